/**
 * Runs that are watched, on a store in this process's memory.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CancellationWatcher, MessageRef, MessageRepo, MessageStore } from "effect-cancellation"

export const refOf = (index: number): MessageRef =>
  MessageRef.of({ chatId: `chat-${index % 1000}`, messageId: `message-${index}` })

/** A repo on a store in memory, and that store. */
const InMemory = MessageRepo.layer().pipe(Layer.provideMerge(MessageStore.layerMemory()))

/** Does something within one watched run. */
export const inRun = <A>(body: Effect.Effect<A, never, CancellationWatcher | MessageStore>) =>
  body.pipe(
    Effect.provide(CancellationWatcher.layer({ ref: refOf(0) }).pipe(Layer.provideMerge(InMemory))),
    Effect.runPromise
  )

/** Rows without a stop, as a database with a flag on its messages answers them. */
export const rowsOf = (refs: ReadonlyArray<MessageRef>) =>
  refs.map((ref) => ({ ref, userAbortedAt: null }))

/** What a run has at least: a service of its own, made by a layer of its own. */
export class Bare extends Context.Service<Bare, { readonly ref: MessageRef }>()("benchmark/Bare") {
  static readonly layer = (ref: MessageRef): Layer.Layer<Bare> =>
    Layer.effect(
      this,
      Effect.sync(() => ({ ref }))
    )
}
