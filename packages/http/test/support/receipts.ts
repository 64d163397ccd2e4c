// Receipts as the API says them in JSON, one of each phase.
import type { StopReceipt } from "effect-cancellation-http/browser"

const place = { chatId: "chat-1", messageId: "message-1", runId: "run-1" }
const requested = { at: "2026-11-23T14:00:00.000Z", by: "ada", reason: "user" } as const
const observed = { at: "2026-11-23T14:00:00.100Z" }
const ended = { at: "2026-11-23T14:00:00.200Z", outcome: "stopped" } as const

type Phase = StopReceipt["phase"]

export const receipts: { readonly [P in Phase]: Extract<StopReceipt, { readonly phase: P }> } = {
  none: { phase: "none", ...place },
  pending: {
    phase: "pending",
    chatId: place.chatId,
    messageId: place.messageId,
    requested,
    expiresAt: "2026-11-23T14:00:30.000Z"
  },
  requested: { phase: "requested", ...place, requested },
  observed: { phase: "observed", ...place, requested, observed },
  ended: { phase: "ended", ...place, requested, observed, ended },
  tooLate: { phase: "tooLate", ...place, requested, ended: { ...ended, outcome: "completed" } },
  superseded: { phase: "superseded", ...place },
  lost: { phase: "lost", ...place, requested, ended: { ...ended, outcome: "lost" } }
}

/** One event of a stream. */
export const event = (receipt: StopReceipt) => `data: ${JSON.stringify(receipt)}\n\n`
