/**
 * One source for however many listen to it: open while somebody does, and never held up by one who
 * does not read.
 */
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

interface Listener<A> {
  readonly accepts: (item: A) => boolean
  readonly queue: Queue.Queue<A, Cause.Done>
}

/** What one hears who begins to listen now; `first` as soon as nothing more will be missed. */
type Listen<A> = (accepts: (item: A) => boolean, first?: A) => Stream.Stream<A>

/**
 * `source` tells items to all, and never ends by itself. One who has `capacity` items unread loses
 * them, and is told `missed` in their place.
 */
export const makeFanOut = Effect.fnUntraced(function* <A>(options: {
  readonly source: (tell: (item: A) => Effect.Effect<void>) => Effect.Effect<never>
  readonly missed: A
  readonly capacity: number
}) {
  const { capacity, missed, source } = options
  const listeners = new Set<Listener<A>>()
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  let open: Fiber.Fiber<never> | undefined

  const offer = ({ queue }: Listener<A>, item: A): Effect.Effect<void> =>
    Queue.offerUnsafe(queue, item)
      ? Effect.void
      : Effect.andThen(
          Effect.ignore(Queue.clear(queue)),
          Effect.sync(() => void Queue.offerUnsafe(queue, missed))
        )

  const tell = (item: A) =>
    Effect.suspend(() =>
      Effect.forEach(
        Array.from(listeners).filter(({ accepts }) => accepts(item)),
        (listener) => offer(listener, item),
        { discard: true }
      )
    )

  // It belongs to no one who listens, nor to what they trace.
  const opening = Effect.updateContext(source(tell), (_: Context.Context<never>) => context)

  const join = (listener: Listener<A>) =>
    Effect.suspend(() => {
      listeners.add(listener)
      if (listeners.size > 1) return Effect.void
      return Effect.map(Effect.forkIn(opening, scope, { startImmediately: true }), (fiber) => {
        open = fiber
      })
    })

  const leave = (listener: Listener<A>) =>
    Effect.sync(() => {
      listeners.delete(listener)
      if (listeners.size > 0) return
      // Not waited for: one who leaves has nothing to do with how a source closes.
      open?.interruptUnsafe()
      open = undefined
    })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const { queue } of listeners) Queue.endUnsafe(queue)
    })
  )

  const listen: Listen<A> = (accepts, first) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const listener = { accepts, queue: yield* Queue.dropping<A, Cause.Done>(capacity) }
        yield* Effect.acquireRelease(join(listener), () => leave(listener))
        if (first !== undefined) yield* offer(listener, first)
        return Stream.fromQueue(listener.queue)
      })
    )
  return listen
})
