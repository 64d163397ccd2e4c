/**
 * One request and the chunks of its answer, as a stream that lets go of the connection at once.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"

/** Makes the request; it must listen to the signal. */
export type Open = (signal: AbortSignal) => PromiseLike<AsyncIterable<unknown>>

/** The client answered what cannot be read chunk by chunk. */
export class NoStream extends Error {}

/**
 * The chunks, one as each is asked for. Whatever ends the stream before its last chunk (an interrupt
 * while the request is made, while a chunk is awaited or while the reader is busy, or a reader that
 * has enough) aborts the signal in the same step, and waits for nobody.
 */
export const chunksOf = <E>(
  open: Open,
  refuse: (thrown: unknown) => Effect.Effect<never, E>
): Stream.Stream<unknown, E> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const request = yield* Effect.acquireRelease(
        Effect.sync(() => makeRequest(open, refuse)),
        (request) => Effect.sync(request.close)
      )
      const next = yield* request.opened
      return Stream.fromPull(Effect.succeed(next))
    })
  )

const makeRequest = <E>(open: Open, refuse: (thrown: unknown) => Effect.Effect<never, E>) => {
  const controller = new AbortController()
  let iterator: AsyncIterator<unknown> | undefined
  let over = false

  const close = () => {
    if (over) return
    over = true
    // Before `return`: that of a generator waits for the chunk under way.
    controller.abort()
    if (iterator !== undefined) void letGo(iterator)
  }

  const fail = (thrown: unknown) => Effect.andThen(Effect.sync(close), refuse(thrown))

  const next = (iterator: AsyncIterator<unknown>) =>
    Effect.callback<readonly [unknown], E | Cause.Done>((resume) => {
      const ask = async () => {
        const result = await iterator.next()
        if (result.done !== true) return resume(Effect.succeed([result.value]))
        over = true
        resume(Cause.done())
      }
      ask().catch((thrown: unknown) => resume(fail(thrown)))
      return Effect.sync(close)
    })

  const opened = Effect.callback<ReturnType<typeof next>, E>((resume) => {
    const ask = async () => {
      const chunks = await open(controller.signal)
      if (!Predicate.hasProperty(chunks, Symbol.asyncIterator)) throw new NoStream()
      const answer = chunks[Symbol.asyncIterator]()
      // It came although it had been told not to: nobody will read it.
      if (over) return letGo(answer)
      iterator = answer
      resume(Effect.succeed(next(answer)))
    }
    ask().catch((thrown: unknown) => resume(fail(thrown)))
    return Effect.sync(close)
  })

  return { opened, close }
}

// Nobody waits for it and nobody is told how it went: the connection is closed by the signal.
const letGo = async (iterator: AsyncIterator<unknown>): Promise<void> => {
  try {
    await iterator.return?.()
  } catch {
    return
  }
}
