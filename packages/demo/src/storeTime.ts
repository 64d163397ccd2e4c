import * as Effect from "effect/Effect"
import type { MessageStore, MessageStoreError } from "effect-cancellation"

/** The store's own time, which its rows were written at: a server's clock need not be this machine's. */
export const storeTime = (
  store: MessageStore["Service"]
): Effect.Effect<number, MessageStoreError> => Effect.map(store.stopRequests([]), ({ now }) => now)
