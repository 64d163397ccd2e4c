/**
 * Runs that are watched, on a store in this process's memory.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CancellationWatcher, MessageRef, MessageRepo, MessageStore } from "effect-cancellation"

export const refOf = (index: number): MessageRef =>
  MessageRef.of({ chatId: `chat-${index % 1000}`, messageId: `message-${index}` })

/** A repo on a store in memory, and that store. */
export const InMemory = MessageRepo.layer().pipe(Layer.provideMerge(MessageStore.layerMemory()))

/** Does something within one watched run. */
export const inRun = <A>(body: Effect.Effect<A, never, CancellationWatcher | MessageStore>) =>
  body.pipe(
    Effect.provide(CancellationWatcher.layer({ ref: refOf(0) })),
    Effect.provide(InMemory),
    Effect.runPromise
  )
