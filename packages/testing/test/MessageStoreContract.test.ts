import { Effect } from "effect"
import { messageKey, type MessageRef, MessageStore } from "effect-cancellation"
import { MessageStoreContract } from "../src/index.ts"

MessageStoreContract.suite("MessageStore.layerMemory", MessageStore.layerMemory, {
  supports: { hints: false }
})

const flags = new Map<string, { readonly ref: MessageRef; readonly userAbortedAt: Date | null }>()
const row = (userAbortedAt: Date | null) => (ref: MessageRef) =>
  Effect.sync(() => void flags.set(messageKey(ref), { ref, userAbortedAt }))

MessageStoreContract.suite(
  "MessageStore.fromLookup",
  MessageStore.fromLookup((refs) =>
    Effect.succeed(refs.flatMap((ref) => flags.get(messageKey(ref)) ?? []))
  ),
  {
    supports: { runs: false, stops: false, find: false, leases: false, erasure: false },
    rows: { running: row(null), stopped: row(new Date(1_800_000_000_000)) }
  }
)
