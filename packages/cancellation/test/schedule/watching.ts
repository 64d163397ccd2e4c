/**
 * What a session asks of its watcher, from within its work or from outside, with what came of it.
 */
import type * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CancellationEvent, CancellationWatcher, MessageId } from "../../src/index.ts"
import type { HandlerSpec, MessageIndex } from "../schedule.ts"
import { type HandlerTrace, isFlagged, type Moment, type SessionTrace } from "./trace.ts"

/** What a schedule can do to work from outside. */
export interface Surroundings {
  readonly gate: (index: number) => Deferred.Deferred<void, string>
  readonly messageId: (index: MessageIndex) => MessageId
  readonly moment: (flag: boolean) => Moment
}

export const check = (
  session: SessionTrace,
  watcher: CancellationWatcher["Service"],
  around: Surroundings
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const began = around.moment(isFlagged(session))
    return Effect.asVoid(
      Effect.onExit(watcher.check, (exit) =>
        Effect.sync(() => {
          const ended = around.moment(isFlagged(session))
          session.checks.push({ began, ended, exit })
        })
      )
    )
  })

export const cancel = (
  session: SessionTrace,
  watcher: CancellationWatcher["Service"]
): Effect.Effect<void> =>
  Effect.suspend(() => {
    session.localCancels++
    return watcher.cancel("parent")
  })

export const retarget = (
  session: SessionTrace,
  watcher: CancellationWatcher["Service"],
  around: Surroundings,
  message: MessageIndex
): Effect.Effect<void> =>
  // In one step, so that what is watched and what is noted as watched are never different.
  Effect.uninterruptible(
    Effect.gen(function* () {
      yield* watcher.retarget(around.messageId(message))
      const run = yield* watcher.run
      if (session.segments.every((other) => other.ref.messageId !== run.ref.messageId)) {
        session.segments.push(run)
      }
    })
  )

export const register = (
  session: SessionTrace,
  watcher: CancellationWatcher["Service"],
  around: Surroundings,
  spec: HandlerSpec
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.uninterruptible(
    Effect.suspend(() => {
      const events: Array<CancellationEvent> = []
      const handler: HandlerTrace = {
        spec,
        registered: around.moment(isFlagged(session)),
        events,
        ran: undefined,
        removed: undefined
      }
      session.handlers.push(handler)
      const handle = (event: CancellationEvent) =>
        Effect.suspend(() => {
          events.push(event)
          handler.ran ??= around.moment(isFlagged(session))
          return handling(spec)
        })
      return Effect.andThen(
        watcher.onCancellation(handle),
        // Added last, so it runs first.
        Effect.addFinalizer(() =>
          Effect.sync(() => {
            handler.removed = around.moment(isFlagged(session))
          })
        )
      )
    })
  )

const handling = ({ kind }: HandlerSpec): Effect.Effect<void, string> => {
  switch (kind) {
    case "slow":
      return Effect.sleep(100)
    case "fail":
      return Effect.fail("handler")
    case "die":
      return Effect.die("handler")
    case "hang":
      return Effect.never
    case "quick":
    default:
      return Effect.void
  }
}
