/**
 * What happens to a run when nobody looks at it any more: a closed tab is not a Stop, unless the
 * application says so.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  MessageRepo,
  type Run,
  runKey,
  Setting,
  StopIntent,
  StopTarget,
  type UserId
} from "effect-cancellation"
import { HttpServerError, HttpServerRequest } from "effect/http"

/**
 * Settings of what happens when the last one leaves.
 *
 * @category models
 * @since 0.1.0
 */
export interface ViewersOptions {
  /** `continue`: the run goes on. `stop`: it is stopped, with the reason `disconnect`. */
  readonly onDisconnect: "continue" | "stop"
  /**
   * How long a run goes on after the last one left, so that a page can be loaded again and a phone
   * can change its network. Default 10 seconds; zero or above.
   */
  readonly grace?: Duration.Input | undefined
}

/**
 * Who looks at which run.
 *
 * @category models
 * @since 0.1.0
 */
export interface ViewersService {
  readonly onDisconnect: ViewersOptions["onDisconnect"]
  /**
   * Somebody looks at a run while the scope is open, who may stop it: leaving may. They have left if
   * it closes by an interrupt or a failure, as it does when their connection is gone; a scope that
   * closes well has shown all. Nobody has left because a server ends: an interrupt within one of its
   * requests (`HttpServerRequest` is in the context) counts if it is that of a client which is gone.
   */
  readonly look: (run: Run, viewer?: UserId) => Effect.Effect<void, never, Scope.Scope>
}

const reference = Context.Reference<ViewersService>("effect-cancellation-http/Viewers", {
  defaultValue: () => ({ onDisconnect: "continue", look: () => Effect.void })
})

const watching =
  (run: Run, viewer?: UserId) =>
  <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
    Stream.unwrap(
      Effect.gen(function* () {
        const { look } = yield* reference
        yield* look(run, viewer)
        return stream
      })
    )

const layer = ({ grace, onDisconnect }: ViewersOptions): Layer.Layer<never, never, MessageRepo> =>
  onDisconnect === "continue"
    ? Layer.empty
    : Layer.effect(
        reference,
        Effect.suspend(() => make(grace ?? "10 seconds"))
      )

/**
 * Who looks at which run. By default a run goes on, whoever leaves.
 *
 * `Viewers.layer({ onDisconnect: "stop" })` stops a run when the last one that looked at it has left
 * and nobody came back within `grace`: with the reason `disconnect`, never `user`. The events of the
 * Stop API count as a look of those whom the policy lets stop the run, and of nobody else: they
 * could stop it by leaving. Wrap a stream of your own, such as the one that carries the words, with
 * `Viewers.watching(run)`, for those alone too. Each process counts its own viewers, so send all of
 * a chat to one process if you use `stop` with several. Nobody has left because a server ends.
 *
 * ```ts
 * import { Stream } from "effect"
 * import type { Run } from "effect-cancellation"
 * import { HttpServerResponse } from "effect/http"
 * import { Viewers } from "effect-cancellation-http/Viewers"
 *
 * declare const words: (run: Run) => Stream.Stream<Uint8Array>
 *
 * const respond = (run: Run) =>
 *   HttpServerResponse.stream(words(run).pipe(Viewers.watching(run)))
 *
 * const StopWhenAllHaveLeft = Viewers.layer({ onDisconnect: "stop", grace: "10 seconds" })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const Viewers = Object.assign(reference, { layer, watching })

const make = Effect.fnUntraced(function* (graceInput: Duration.Input) {
  const grace = yield* Setting.notNegative("grace", graceInput)
  const repo = yield* MessageRepo
  const counts = new Map<string, number>()
  const leaving = yield* FiberMap.make<string>()

  const arrive = (key: string) =>
    Effect.sync(() => {
      counts.set(key, (counts.get(key) ?? 0) + 1)
      // Not waited for: a store that hangs while the last one leaves holds up nobody who comes.
      Option.getOrUndefined(FiberMap.getUnsafe(leaving, key))?.interruptUnsafe()
    })

  const leave = (run: Run, key: string, viewer: UserId | undefined, hasLeft: boolean) =>
    Effect.suspend(() => {
      const left = (counts.get(key) ?? 1) - 1
      if (left > 0) counts.set(key, left)
      else counts.delete(key)
      return left > 0 || !hasLeft
        ? Effect.void
        : Effect.asVoid(FiberMap.run(leaving, key, stop(run, viewer)))
    })

  const stop = (run: Run, viewer: UserId | undefined) =>
    repo
      .requestStop(
        StopTarget.cases.Run.make({ run }),
        StopIntent.make({
          reason: "disconnect",
          ...(viewer === undefined ? {} : { requestedBy: viewer })
        })
      )
      .pipe(
        Effect.retry(patience),
        Effect.catch((error) =>
          Effect.logWarning(`A run that nobody looks at goes on. ${error.message}`)
        ),
        Effect.delay(grace)
      )

  return {
    onDisconnect: "stop" as const,
    look: (run: Run, viewer?: UserId) => {
      const key = runKey(run)
      return Effect.flatMap(Effect.serviceOption(HttpServerRequest.HttpServerRequest), (request) =>
        Effect.acquireRelease(arrive(key), (_, exit) =>
          leave(run, key, viewer, Exit.isFailure(exit) && isLeaving(exit.cause, request))
        )
      )
    }
  }
})

// A server interrupts its requests also when it ends, and marks the interrupts that are its clients'.
// The body of a web response is nobody's but its reader's, and has no mark.
const isLeaving = (
  cause: Cause.Cause<unknown>,
  request: Option.Option<HttpServerRequest.HttpServerRequest>
): boolean =>
  !Cause.hasInterrupts(cause) ||
  Option.isNone(request) ||
  request.value.source instanceof globalThis.Request ||
  cause.reasons.some(({ annotations }) => annotations.has(HttpServerError.ClientAbort.key))

const patience = Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: "30 seconds" }))
