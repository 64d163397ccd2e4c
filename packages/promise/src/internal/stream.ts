/**
 * Passes on what a source brings, until the run is stopped.
 *
 * The whole stream is one piece of work of its run: one waiter a stream, not one a value.
 */
import type { Source, StreamOptions, StreamWork } from "../Run.ts"
import { ignoring, isReadable, type OpenSource, openSource } from "./openSource.ts"
import type { Thrown } from "./thrown.ts"
import type { Works } from "./works.ts"

type Given<A> = Source<A> | ((signal: AbortSignal) => Source<A> | PromiseLike<Source<A>>)

/** Binds `stream` to one run. */
export const makeStream = (works: Works): StreamWork => {
  function stream<A>(source: ReadableStream<A>, options?: StreamOptions): ReadableStream<A>
  function stream<A>(source: Given<A>, options?: StreamOptions): AsyncIterableIterator<A>
  function stream<A>(
    source: Given<A>,
    options: StreamOptions = {}
  ): ReadableStream<A> | AsyncIterableIterator<A> {
    const values = valuesOf(works, source, options)
    return isReadable(source) ? readableOf(values) : values
  }
  return stream
}

type Result<A> = IteratorResult<A, undefined>

interface Waiter<A> {
  readonly resolve: (result: Result<A>) => void
  readonly reject: (error: unknown) => void
}

interface Values<A> extends AsyncIterableIterator<A, undefined> {
  readonly next: () => Promise<Result<A>>
  readonly return: () => Promise<Result<A>>
}

const done: Result<never> = { done: true, value: undefined }

const valuesOf = <A>(works: Works, given: Given<A>, options: StreamOptions): Values<A> => {
  const waiting = new Set<Waiter<A>>()
  let isOver = false
  let isDone = false
  let life: Promise<void> | undefined
  let cut: AbortSignal | undefined
  /** What the end was that nobody has been told of yet. */
  let untold: Thrown | undefined
  let finish: (error?: Thrown) => void = () => {}
  const ending = new Promise<Thrown | undefined>((resolve) => {
    finish = resolve
  })
  let tellOpened: (source: OpenSource<A>) => void = () => {}
  const opened = new Promise<OpenSource<A>>((resolve) => {
    tellOpened = resolve
  })

  const work = async (signal: AbortSignal): Promise<void> => {
    cut = signal
    signal.addEventListener("abort", () => finish(), { once: true })
    const source = openSource(typeof given === "function" ? await given(signal) : given)
    tellOpened(source)
    const error = signal.aborted ? undefined : await ending
    if (error !== undefined) throw error.thrown
    if (!isDone) await source.close(signal.reason)
    // Cut by the end of its run, it must not look like one that is done.
    signal.throwIfAborted()
  }

  const end = (error?: Thrown) => {
    isOver = true
    const [first, ...others] = waiting
    waiting.clear()
    if (error === undefined) first?.resolve(done)
    else if (first === undefined) untold = error
    else first.reject(error.thrown)
    for (const { resolve } of others) resolve(done)
  }

  const live = async (): Promise<void> => {
    try {
      await works.perform(work, options)
      // Stopped before it was opened; nobody else will close it.
      if (cut === undefined) await discard(given, works.signal.reason)
      end()
    } catch (thrown) {
      end({ thrown })
    }
  }

  const pull = async (waiter: Waiter<A>): Promise<void> => {
    // After a stop nothing is passed on: whoever waits is told when the source is closed.
    const isWanted = () => cut?.aborted !== true && waiting.has(waiter)
    const source = await opened
    // One that comes after the stop is closed, and never begun.
    if (!isWanted()) return
    try {
      const result = await source.next()
      if (!isWanted()) return
      if (result.done === true) {
        isDone = true
        return finish()
      }
      waiting.delete(waiter)
      waiter.resolve(result)
    } catch (thrown) {
      // The end is told once the run knows of it: whoever closes the run next says how it went.
      if (isWanted()) finish({ thrown })
    }
  }

  const next = async (): Promise<Result<A>> => {
    if (untold !== undefined) {
      const { thrown } = untold
      untold = undefined
      throw thrown
    }
    if (isOver) return done
    life ??= live()
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject }
      waiting.add(waiter)
      void pull(waiter)
    })
  }

  const values: Values<A> = {
    next,
    return: async () => {
      if (life === undefined) await discard(given, undefined)
      isOver = isOver || life === undefined
      finish()
      await life
      untold = undefined
      return done
    },
    [Symbol.asyncIterator]: () => values
  }
  return values
}

const discard = async (given: unknown, reason: unknown): Promise<void> => {
  if (isReadable(given)) await openSource(given).close(reason)
  // An iterator that was handed over is closed as well; what only makes one has begun nothing.
  else if (isIterator(given)) await ignoring(() => given.return())
}

const isIterator = (given: unknown): given is { readonly return: () => unknown } =>
  typeof given === "object" &&
  given !== null &&
  "return" in given &&
  typeof given.return === "function"

const readableOf = <A>(values: Values<A>): ReadableStream<A> =>
  new ReadableStream<A>(
    {
      pull: async (controller) => {
        const result = await values.next()
        if (result.done === true) controller.close()
        else controller.enqueue(result.value)
      },
      cancel: async () => {
        await values.return()
      }
    },
    // What nobody has asked for is not read.
    { highWaterMark: 0 }
  )
