/**
 * One run of `Stops`, on a `CancellationWatcher`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { CancellationEvent, CancellationWatcher, type MessageRepo } from "effect-cancellation"
import type { Run, WatchOptions } from "../Run.ts"
import { type StopEvent, StopError } from "../Stop.ts"
import type { NewMessage } from "../Stops.ts"
import { messageIdOf, reasonOf, refOf, runIdOf } from "./ids.ts"
import { checkWatchOptions } from "./settings.ts"
import { makeStream } from "./stream.ts"
import { eventOf } from "./words.ts"
import { makeWorks, type Works } from "./works.ts"

/** A run, with what the package itself needs of it. */
export interface WatchedRun {
  readonly run: Run
  readonly works: Works
  /** Resolves when it is closed; never rejects. */
  readonly closed: Promise<void>
}

/** Settings of a run, all of them. */
export interface RunSettings extends WatchOptions {
  readonly gracePeriod: number
}

export const watchRun = async (
  context: Context.Context<MessageRepo>,
  message: NewMessage,
  options: RunSettings
): Promise<WatchedRun> => {
  checkWatchOptions(options)
  const ref = refOf({ ...message, messageId: message.messageId ?? globalThis.crypto.randomUUID() })
  const scope = Scope.makeUnsafe()
  const promise = Effect.runPromiseWith(context)
  const sync = Effect.runSyncWith(context)

  const services = await promise(
    Layer.buildWithScope(
      CancellationWatcher.layer({
        ref,
        runId: options.runId === undefined ? undefined : runIdOf(options.runId),
        pollInterval: options.pollInterval,
        handlerTimeout: options.handlerTimeout
      }),
      scope
    )
  )
  const watcher = Context.get(services, CancellationWatcher)
  const { runId } = sync(watcher.run)

  const stopping = new AbortController()
  let event: StopEvent | undefined
  const stopped = (found: unknown) => {
    if (event !== undefined || !(found instanceof CancellationEvent)) return
    event = eventOf(found)
    stopping.abort(new StopError(event))
  }
  // In the step of the detection itself: no turn of the event loop lies between.
  const detected = sync(watcher.abortSignal)
  if (detected.aborted) stopped(detected.reason.cause)
  else detected.addEventListener("abort", () => stopped(detected.reason.cause), { once: true })

  const works = makeWorks({
    context,
    watcher,
    signal: stopping.signal,
    gracePeriod: options.gracePeriod
  })

  let closing: Promise<void> | undefined
  let tellClosed = () => {}
  const closed = new Promise<void>((resolve) => {
    tellClosed = resolve
  })
  const close: Run["close"] = (outcome) => {
    if (outcome !== undefined && !(outcome in exits)) {
      return Promise.reject(new TypeError("A run is closed as completed, failed or interrupted."))
    }
    closing ??= works
      .end()
      .then((ended) => promise(Scope.close(scope, exits[outcome ?? ended])))
      .finally(tellClosed)
    return closing
  }

  const run: Run = {
    chatId: ref.chatId,
    companyId: ref.companyId,
    userId: ref.userId,
    get messageId() {
      return sync(watcher.run).ref.messageId
    },
    runId,
    signal: stopping.signal,
    get stopped() {
      return event !== undefined
    },
    get event() {
      return event
    },
    check: () =>
      closing === undefined ? promise(watcher.check) : Promise.resolve(event !== undefined),
    run: works.run,
    stream: makeStream(works),
    onStop: (handler) => {
      const own = sync(Scope.fork(scope))
      sync(
        Scope.provide(
          watcher.onCancellation(() =>
            Effect.promise(async () => event !== undefined && (await handler(event)))
          ),
          own
        )
      )
      return () => {
        Effect.runForkWith(context)(Scope.close(own, Exit.void))
      }
    },
    stop: async (reason) => {
      await promise(watcher.cancel(reasonOf(reason)))
    },
    retarget: async (messageId) => {
      await promise(watcher.retarget(messageIdOf(messageId)))
    },
    close,
    [Symbol.asyncDispose]: () => close()
  }
  return { run, works, closed }
}

const exits = {
  completed: Exit.void,
  failed: Exit.fail("failed"),
  interrupted: Exit.interrupt()
}
