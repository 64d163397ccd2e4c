/// <reference lib="esnext.disposable" preserve="true" />
/**
 * One run, watched: what a program uses while it writes a message.
 *
 * @since 0.1.0
 */
import type { RunOutcome, StopEvent, StopReason } from "./Stop.ts"

/**
 * How a run is watched. All times are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface WatchOptions {
  /**
   * Names the attempt. A queue that delivers the same job again passes the same id, and finds a stop
   * that came before; writing the message anew takes a new one. Default: a new random one.
   */
  readonly runId?: string | undefined
  /** How often the store is asked when no hint comes. Default: as in `createStops`, 2,000. */
  readonly pollInterval?: number | undefined
  /** How long work may go on after its signal. Default: as in `createStops`, 5,000. */
  readonly gracePeriod?: number | undefined
  /** How long the end of the run waits for `onStop` handlers. Default: as in `createStops`, 5,000. */
  readonly handlerTimeout?: number | undefined
}

/**
 * Settings for the time of one call, in milliseconds. Default: those of the run.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamOptions {
  /** How often the store is asked when no hint comes. */
  readonly pollInterval?: number | undefined
  /** How long it may go on after its signal; `Infinity` waits for as long as it takes. */
  readonly gracePeriod?: number | undefined
}

/**
 * How one piece of work is run.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkOptions extends StreamOptions {
  /**
   * A signal of your own, such as a time-out or the request's. It ends the work too, and is no stop:
   * what the work rejects with stands, and where it ends quietly the promise rejects with the
   * signal's reason, as it does if the signal has aborted before.
   */
  readonly signal?: AbortSignal | undefined
}

/**
 * Any value: the union keeps the literal type of a value written in place.
 *
 * @category models
 * @since 0.1.0
 */
export type WhenStopped =
  | string
  | number
  | bigint
  | boolean
  | symbol
  | object
  | {}
  | null
  | undefined

/**
 * Runs work that a stop ends.
 *
 * The work gets a signal and is awaited. At a stop the signal aborts at once; when the work has
 * settled, whatever it says, the result is `whenStopped`: a value, or what a function of the event
 * makes. Without it the promise rejects with `StopError`. Work that goes on for longer than
 * `gracePeriod` after its signal is given up: it is not waited for, and its run is `abandoned`.
 *
 * If there is no stop, the work's own value or rejection stands. Work is not begun if the run is
 * stopped already.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunWork<Given> {
  <A, B>(
    work: (given: Given) => PromiseLike<A> | A,
    options: WorkOptions & { readonly whenStopped: (event: StopEvent) => PromiseLike<B> | B }
  ): Promise<A | B>
  <A, B extends WhenStopped>(
    work: (given: Given) => PromiseLike<A> | A,
    options: WorkOptions & { readonly whenStopped: B }
  ): Promise<A | B>
  <A>(work: (given: Given) => PromiseLike<A> | A, options?: WorkOptions): Promise<A>
}

/**
 * A run: from `stops.watch` until it is closed, by the end of the block of `await using` or by
 * `close()`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run extends AsyncDisposable {
  readonly chatId: string
  readonly companyId: string | undefined
  readonly userId: string | undefined
  /** The message that is written now; see {@link Run.retarget}. */
  readonly messageId: string
  readonly runId: string

  /**
   * Aborts at the stop, with a `StopError` as its reason. It is for stops alone: the end of the run
   * does not abort it. A listener that throws is your program's own uncaught error.
   */
  readonly signal: AbortSignal
  /** Whether the run is stopped, as far as is known; asks nobody. */
  readonly stopped: boolean
  /** The stop, once there is one. */
  readonly event: StopEvent | undefined

  /**
   * Asks the store now: true if the run is stopped. Never rejects: if the store does not answer
   * within `pollTimeout`, the answer is what is known. If it finds the stop, it waits for the handlers.
   */
  readonly check: () => Promise<boolean>
  /** Runs work that a stop ends. */
  readonly run: RunWork<AbortSignal>
  /**
   * Passes on what a source brings until it ends or the run is stopped; then the stream ends as if it
   * were done, and what it has brought stays. The source is closed (`return()` or `cancel()`), and has
   * `gracePeriod` to be over. Its errors are passed on.
   *
   * A `ReadableStream` becomes a `ReadableStream`, anything else an async iterable, for one reader. A
   * function is called when the first value is wanted, and not at all if the run is stopped by then.
   */
  readonly stream: StreamWork
  /**
   * Calls a handler once at the stop, or soon if that was before; what it throws is logged. The signal
   * comes first and waits for no handler. Answers a function that removes it.
   */
  readonly onStop: (handler: (event: StopEvent) => unknown) => () => void
  /** Stops the run from inside: a deadline, say. Writes nothing until the run ends. */
  readonly stop: (reason: StopReason) => Promise<void>
  /** Goes on to the next message of the same turn; stops of earlier ones still count. */
  readonly retarget: (messageId: string) => Promise<void>
  /**
   * Ends the run and writes how. Work that is still under way is ended by its signal, and waited for.
   * Twice is once.
   *
   * Nobody tells a block of `await using` whether it ended by an error, so without `outcome` the run
   * is `failed` if the last `run` or `stream` failed, `interrupted` if a signal of your own ended it or
   * one was under way, and `completed` otherwise. What a stop decides, it decides whatever is given here.
   */
  readonly close: (
    outcome?: Extract<RunOutcome, "completed" | "failed" | "interrupted">
  ) => Promise<void>
}

/**
 * The type of `stream`.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamWork {
  <A>(source: ReadableStream<A>, options?: StreamOptions): ReadableStream<A>
  <A>(
    source: Source<A> | ((signal: AbortSignal) => Source<A> | PromiseLike<Source<A>>),
    options?: StreamOptions
  ): AsyncIterableIterator<A>
}

/**
 * What brings values one after the other.
 *
 * @category models
 * @since 0.1.0
 */
export type Source<A> = AsyncIterable<A> | Iterable<A> | ReadableStream<A>
