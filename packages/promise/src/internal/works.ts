/**
 * What is under way in one run: each piece of work has a signal, and is awaited.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { CancellationWatcher, MessageRepo } from "effect-cancellation"
import type { RunWork, WorkOptions } from "../Run.ts"
import { StopError, type StopEvent } from "../Stop.ts"
import { handledIfStopped, RunClosed } from "./rejections.ts"
import { checkStreamOptions } from "./settings.ts"
import { within } from "./within.ts"

/** How work ended that did not reject. */
type Ended<A> = { readonly stop: undefined; readonly value: A } | { readonly stop: StopError }

export interface Works {
  /** Aborts at the stop. */
  readonly signal: AbortSignal
  readonly gracePeriod: number
  readonly run: RunWork<AbortSignal>
  /** Does something until it is over, or stopped and given time to end. */
  readonly perform: <A>(
    work: (signal: AbortSignal) => PromiseLike<A> | A,
    options: WorkOptions
  ) => Promise<Ended<A>>
  /** Ends what is under way, and tells how all of it went. */
  readonly end: () => Promise<"completed" | "failed" | "interrupted">
}

type Result<A> =
  | { readonly failed: false; readonly value: A }
  | { readonly failed: true; readonly error: unknown }

interface UnderWay {
  readonly controller: AbortController
  readonly gracePeriod: number
  readonly over: Promise<void>
}

export const makeWorks = (self: {
  readonly context: Context.Context<MessageRepo>
  readonly watcher: CancellationWatcher["Service"]
  readonly signal: AbortSignal
  readonly gracePeriod: number
}): Works => {
  const { context, gracePeriod, signal, watcher } = self
  const underWay = new Set<UnderWay>()
  let last: "completed" | "failed" | "interrupted" = "completed"
  let closed: RunClosed | undefined

  const perform = async <A>(
    work: (signal: AbortSignal) => PromiseLike<A> | A,
    options: WorkOptions
  ): Promise<Ended<A>> => {
    checkStreamOptions(options)
    // A run that was stopped stays so when it is closed.
    if (closed !== undefined && !signal.aborted) throw closed
    if (options.signal?.aborted === true) last = "interrupted"
    // As `fetch` does, and all that take a signal.
    options.signal?.throwIfAborted()
    const controller = new AbortController()
    const leave = follow(controller, [signal, options.signal])
    const limit = options.gracePeriod ?? gracePeriod
    let tellOver = () => {}
    const over = new Promise<void>((resolve) => {
      tellOver = resolve
    })
    // Before the work begins: it may close its run in its first step.
    const entry = { controller, gracePeriod: limit, over }
    underWay.add(entry)
    try {
      const result = await Effect.runPromiseWith(context)(
        watcher.runWithCancellation(awaiting(work, controller.signal), {
          cancelResult: undefined,
          pollInterval: options.pollInterval,
          gracePeriod: Number.isFinite(limit) ? limit : undefined
        })
      )
      if (result === undefined) {
        // Both are there: what came from outside wins, for the caller; the stop stays known.
        options.signal?.throwIfAborted()
        return { stop: stopOf(signal) }
      }
      const wasEnded = options.signal?.aborted === true
      last = wasEnded ? "interrupted" : result.failed ? "failed" : "completed"
      if (result.failed) throw result.error
      // Some clients end quietly when their signal aborts: half an answer must not look like a whole.
      options.signal?.throwIfAborted()
      return { stop: undefined, value: result.value }
    } finally {
      underWay.delete(entry)
      leave()
      tellOver()
    }
  }

  const settle = async <A, B>(
    work: (signal: AbortSignal) => PromiseLike<A> | A,
    options: WorkOptions & { readonly whenStopped?: B | WhenStoppedCall<B> }
  ): Promise<A | B> => {
    const ended = await perform(work, options)
    if (ended.stop === undefined) return ended.value
    if (!("whenStopped" in options)) throw ended.stop
    const { whenStopped } = options
    return isCall(whenStopped) ? whenStopped(ended.stop.cause) : whenStopped
  }

  const run: RunWork<AbortSignal> = <A, B>(
    work: (signal: AbortSignal) => PromiseLike<A> | A,
    options?: WorkOptions & { readonly whenStopped?: B | WhenStoppedCall<B> }
  ) => handledIfStopped(settle(work, options ?? {}))

  return {
    signal,
    gracePeriod,
    run,
    perform,
    end: async () => {
      closed = new RunClosed()
      const left = Array.from(underWay)
      for (const { controller } of left) controller.abort(closed)
      const ended = await Promise.all(left.map((entry) => within(entry.gracePeriod, entry.over)))
      if (ended.includes(false)) await Effect.runPromiseWith(context)(tellLeft(watcher))
      return left.length > 0 ? "interrupted" : last
    }
  }
}

// Without a stop the core gives nothing up, and says nothing of it.
const tellLeft = (watcher: CancellationWatcher["Service"]) =>
  Effect.flatMap(watcher.run, ({ ref, runId }) =>
    Effect.logWarning(
      "Work resists the end of its run and is not waited for; it is still running"
    ).pipe(Effect.annotateLogs({ chatId: ref.chatId, messageId: ref.messageId, runId }))
  )

// The promise decides when it is over: an interrupt waits for it. Its signal has aborted by then.
const awaiting = <A>(
  work: (signal: AbortSignal) => PromiseLike<A> | A,
  signal: AbortSignal
): Effect.Effect<Result<A>> =>
  Effect.callback<Result<A>>((resume) => {
    const over = attempt(work, signal)
    void over.then((result) => resume(Effect.succeed(result)))
    return Effect.promise(() => over)
  })

const attempt = async <A>(
  work: (signal: AbortSignal) => PromiseLike<A> | A,
  signal: AbortSignal
): Promise<Result<A>> => {
  try {
    return { failed: false, value: await work(signal) }
  } catch (error) {
    return { failed: true, error }
  }
}

// Unlike `AbortSignal.any`, it leaves nothing with a signal that outlives the work.
const follow = (
  controller: AbortController,
  signals: ReadonlyArray<AbortSignal | undefined>
): (() => void) => {
  const leaving = signals.map((signal) => {
    const abort = () => controller.abort(signal?.reason)
    if (signal?.aborted === true) abort()
    else signal?.addEventListener("abort", abort, { once: true })
    return () => signal?.removeEventListener("abort", abort)
  })
  return () => {
    for (const leave of leaving) leave()
  }
}

const stopOf = (signal: AbortSignal): StopError => {
  const reason: unknown = signal.reason
  if (reason instanceof StopError) return reason
  throw new Error("The run is stopped, but its signal does not say so.")
}

type WhenStoppedCall<B> = (event: StopEvent) => PromiseLike<B> | B

const isCall = <B>(value: B | WhenStoppedCall<B>): value is WhenStoppedCall<B> =>
  typeof value === "function"
