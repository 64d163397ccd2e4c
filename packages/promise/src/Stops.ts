/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The stops of a program: made once, where it starts.
 *
 * @since 0.1.0
 */
import type { Engine } from "./internal/engine.ts"
import { memorySource } from "./internal/memory.ts"
import { handledIfStopped } from "./internal/rejections.ts"
import { respond } from "./internal/respond.ts"
import { checkStopsOptions, notNegative } from "./internal/settings.ts"
import { signalSourceOf, storeSourceOf } from "./internal/source.ts"
import type { ChatRef, MessageRef, RunRef } from "./Message.ts"
import type { Run, WatchOptions, WhenStopped, WorkOptions } from "./Run.ts"
import type { StopEvent, StopIntent, StopReceipt } from "./Stop.ts"
import { consoleLog, type StopsLog, type StopsLogEntry } from "./StopsLog.ts"
import type { StopSignal, StopStore } from "./StopStore.ts"

/**
 * Where stops are kept, and how runs are watched. All times are milliseconds; a value that cannot
 * work throws a `RangeError`.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopsOptions extends Omit<WatchOptions, "runId"> {
  /** The database. Default: this process's memory, with one warning. */
  readonly store?: StopStore | undefined
  /** Tells other processes of stops at once, for stores that cannot. Default: what the store has. */
  readonly signal?: StopSignal | undefined
  /** After this a call to the store counts as failed and is not waited for. Default 5,000. */
  readonly pollTimeout?: number | undefined
  /** How long a process may be silent before its runs are called lost. Default 30,000. */
  readonly leaseTtl?: number | undefined
  /** For how long last writes are tried again through an outage. Default 30,000. */
  readonly finalWriteTimeout?: number | undefined
  /** Stops runs (reason `unreachable`) that no look has reached for this long. Default: never. */
  readonly maxBlind?: number | undefined
  /** Most runs in one statement. Default 1,000. */
  readonly chunkSize?: number | undefined
  /** The name of this process in the store, for operators. Default: no name. */
  readonly processId?: string | undefined
  /** Gets what there is to say: outages, their end, work that was given up. Default: the console. */
  readonly log?: StopsLog | undefined
}

/**
 * What a stop is aimed at: whatever runs in a chat, a message's current run, or one run of it.
 *
 * @category models
 * @since 0.1.0
 */
export type StopTarget = ChatRef | MessageRef | RunRef

/**
 * A message to be watched; without a `messageId` it gets a random one, which the run tells.
 *
 * @category models
 * @since 0.1.0
 */
export type NewMessage = ChatRef & { readonly messageId?: string | undefined }

/**
 * What is to be erased: all of a person, all of a chat, or runs that ended before a time of the store's
 * clock.
 *
 * @category models
 * @since 0.1.0
 */
export type ForgetQuery =
  | ChatRef
  | { readonly companyId?: string | undefined; readonly userId: string }
  | { readonly endedBefore: Date }

/**
 * Watches runs, and stops them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stops extends AsyncDisposable {
  /**
   * Watches a run until it is closed. Waits for no database: the work begins at once, and a store that
   * is away does not keep it from beginning. Rejects with a `TypeError` if an id is none.
   */
  readonly watch: (message: NewMessage, options?: WatchOptions) => Promise<Run>
  /**
   * Watches a run, does its work, closes it, and answers what the work does: `watch`, `run` and `close`
   * in one. The work gets the run, and a signal that aborts at the stop, and for the `signal` of the
   * options too; `run.signal` is for the stop alone.
   */
  readonly run: RunMessage
  /**
   * Watches a run that ends with the body of the response it answers with: done, broken, or left by
   * whoever read it. The body is not cut at a stop: it is for whoever writes it, by the run's signal,
   * to end it. Where that takes longer than `gracePeriod`, it is cut.
   *
   * A chat that a page can resume needs `watch` and `close` instead: its work outlives the response.
   */
  readonly respond: (
    message: NewMessage,
    handler: (run: Run) => PromiseLike<Response> | Response,
    options?: WatchOptions
  ) => Promise<Response>
  /**
   * Asks for a stop, on whatever machine the run is. Twice is once. Answers a receipt for each run.
   * Rejects with `StoreError` if the store did not say that it is stored: then ask again.
   */
  readonly stop: (target: StopTarget, intent?: StopIntent) => Promise<ReadonlyArray<StopReceipt>>
  /** How far stops have come: a receipt for each run of the target, oldest first. */
  readonly receipts: (target: StopTarget) => Promise<ReadonlyArray<StopReceipt>>
  /** Erases runs and stops; answers how many runs. What runs there is stopped (`deleted`). */
  readonly forget: (query: ForgetQuery) => Promise<number>
  /**
   * Ends the program's work, for a SIGTERM: no new runs (they are stopped as they begin), those under
   * way may end within `timeout` milliseconds, what is left is stopped with the reason `shutdown` and
   * waited for; then everything is closed.
   */
  readonly drain: (options: { readonly timeout: number }) => Promise<void>
  /** Stops what runs (`shutdown`), closes it and everything else; afterwards nothing keeps the process. */
  readonly close: () => Promise<void>
}

/**
 * The type of `Stops.run`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunMessage {
  <A, B>(
    message: NewMessage,
    work: (run: Run, signal: AbortSignal) => PromiseLike<A> | A,
    options: WatchOptions &
      WorkOptions & { readonly whenStopped: (event: StopEvent) => PromiseLike<B> | B }
  ): Promise<A | B>
  <A, B extends WhenStopped>(
    message: NewMessage,
    work: (run: Run, signal: AbortSignal) => PromiseLike<A> | A,
    options: WatchOptions & WorkOptions & { readonly whenStopped: B }
  ): Promise<A | B>
  <A>(
    message: NewMessage,
    work: (run: Run, signal: AbortSignal) => PromiseLike<A> | A,
    options?: WatchOptions & WorkOptions
  ): Promise<A>
}

/**
 * Makes the stops of a program. Nothing is opened before it is used first.
 *
 * ```ts
 * import { createStops } from "effect-cancellation-promise"
 *
 * declare const agent: (signal: AbortSignal) => Promise<string>
 *
 * const stops = createStops()
 *
 * export const answer = (chatId: string) =>
 *   stops.run({ chatId }, (_run, signal) => agent(signal), { whenStopped: "stopped" })
 *
 * export const pressStop = (chatId: string) => stops.stop({ chatId })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const createStops = (options: StopsOptions = {}): Stops => {
  checkStopsOptions(options)
  const log = options.log ?? consoleLog
  const store = options.store === undefined ? undefined : storeSourceOf(options.store)
  const signal = options.signal === undefined ? undefined : signalSourceOf(options.signal)
  let opening: Promise<Engine> | undefined
  let closing: Promise<void> | undefined

  const load = async (): Promise<Engine> => {
    if (store === undefined) log(memoryWarning)
    const { openEngine } = await import("./internal/engine.ts")
    return openEngine({ ...options, store: store ?? memorySource(undefined), signal, log })
  }
  const open = async (): Promise<Engine> => {
    if (closing !== undefined) throw new Error("These stops are closed.")
    // One that could not be loaded is loaded again.
    opening ??= load().catch((error: unknown) => {
      opening = undefined
      throw error
    })
    return opening
  }
  const close = (): Promise<void> => {
    // What could not be opened needs no closing.
    closing ??=
      opening === undefined ? Promise.resolve() : opening.then(({ close }) => close(), nothing)
    return closing
  }

  const run = <A, B>(
    message: NewMessage,
    work: (run: Run, signal: AbortSignal) => PromiseLike<A> | A,
    settings: WatchOptions & WorkOptions & { readonly whenStopped?: B } = {}
  ): Promise<A | B> => {
    const whole = async () => {
      const watched = await stops.watch(message, settings)
      try {
        return await watched.run((signal) => work(watched, signal), settings)
      } finally {
        await watched.close()
      }
    }
    return handledIfStopped(whole())
  }

  const stops: Stops = {
    watch: async (message, own = {}) => (await (await open()).watch(message, own)).run,
    run,
    respond: (message, handler, own = {}) => {
      const whole = async () => respond(await (await open()).watch(message, own), handler)
      return handledIfStopped(whole())
    },
    stop: async (target, intent = {}) => (await open()).stop(target, intent),
    receipts: async (target) => (await open()).receipts(target),
    forget: async (query) => (await open()).forget(query),
    drain: async ({ timeout }) => {
      notNegative("timeout", timeout ?? Number.NaN)
      if (closing === undefined) await opening?.then((engine) => engine.drain(timeout), nothing)
      await close()
    },
    close,
    [Symbol.asyncDispose]: close
  }
  return stops
}

const nothing = () => {}

const memoryWarning: StopsLogEntry = {
  level: "warning",
  message:
    "Stops are kept in this process's memory: none reaches another process, and none outlives this one. Give createStops a store, or memory() where that is meant.",
  details: {}
}
