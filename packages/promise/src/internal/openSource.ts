/**
 * Whatever brings values, read in one way.
 */
import type { Source } from "../Run.ts"

export interface OpenSource<A> {
  readonly next: () => PromiseLike<IteratorResult<A, unknown>> | IteratorResult<A, unknown>
  /** Tells it that nothing more is wanted, and waits until it has taken notice. */
  readonly close: (reason: unknown) => Promise<void>
}

export const isReadable = (source: unknown): source is ReadableStream<unknown> =>
  typeof source === "object" && source !== null && "getReader" in source

export const openSource = <A>(source: Source<A>): OpenSource<A> => {
  if (isReadable(source)) {
    const reader: ReadableStreamDefaultReader<A> = source.getReader()
    return {
      next: () => reader.read(),
      close: (reason) => ignoring(() => reader.cancel(reason))
    }
  }
  const iterator = iteratorOf(source)
  return {
    next: () => iterator.next(),
    close: () => ignoring(() => iterator.return?.())
  }
}

const iteratorOf = <A>(source: AsyncIterable<A> | Iterable<A>): AsyncIterator<A> | Iterator<A> => {
  if (typeof source === "object" && source !== null) {
    if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]()
    if (Symbol.iterator in source) return source[Symbol.iterator]()
  }
  throw new TypeError(
    `A source is an async iterable, an iterable or a ReadableStream, not ${typeof source}.`
  )
}

/** Closes something whose failure to close changes nothing. */
export const ignoring = async (close: () => unknown): Promise<void> => {
  try {
    await close()
  } catch {
    // What a source says when it is told to end changes nothing any more.
  }
}
