/**
 * What a page says and is told, as JSON has it: types alone, and of nobody else's.
 */
import type { StopError } from "../browser.ts"

type Place = Readonly<Record<"chatId" | "messageId" | "runId", string>>
type Seen = Readonly<Record<"observed", { readonly at: string }>>
type Over = Readonly<Record<"ended", { readonly at: string; readonly outcome: Outcome }>>
type Outcome = "completed" | "stopped" | "failed" | "interrupted" | "abandoned" | "lost"
interface Asked {
  /** When, by whom if it was a person, and why. */
  readonly requested: {
    readonly at: string
    readonly by?: string
    readonly reason: Reason
    readonly note?: string
  }
  /** True in the answer to a stop that had been asked before. */
  readonly repeated?: boolean
}
type Reason =
  | ("user" | "disconnect" | "deadline" | "shutdown" | "parent" | "deleted" | "unreachable")
  | `other:${string}`

/**
 * How far a stop has come; `phase` tells which fields there are, and is explained at `Receipt` of
 * `StopApi`. Times are ISO 8601 in UTC, by the clock of the server's store.
 *
 * @category models
 * @since 0.1.0
 */
export type StopReceipt =
  | (Partial<Place> &
      Asked & { readonly phase: "pending"; readonly chatId: string; readonly expiresAt: string })
  | (Place &
      (
        | (Partial<Over> & { readonly phase: "none" })
        | (Asked & { readonly phase: "requested" })
        | (Asked & Seen & { readonly phase: "observed" })
        | (Asked & Partial<Seen> & Over & { readonly phase: "ended" })
        | (Partial<Asked> & Over & { readonly phase: "tooLate" })
        | { readonly phase: "superseded" }
        | (Partial<Asked & Seen> & Over & { readonly phase: "lost" })
      ))

/**
 * Which message is looked at, and how the server is reached.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopOptions {
  readonly chatId: string
  readonly messageId: string
  /** The run that is meant; by default the message's current one. */
  readonly runId?: string | undefined
  /**
   * What stands before `/chats`, such as `/api`; empty by default. With another origin of the same
   * site, CORS is the application's to add; pages of another site are refused.
   */
  readonly baseUrl?: string | undefined
  /** Sent with each request; a function is asked before each, for tokens that are renewed. */
  readonly headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>) | undefined
  /** In place of the `fetch` there is. */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** Ends it: a promise is rejected with the signal's reason, events end without an error. */
  readonly signal?: AbortSignal | undefined
  /** Told why, before it is tried again. */
  readonly onRetry?: ((error: StopError) => void) | undefined
  /**
   * In milliseconds. For how long an answer is asked for, by default 30,000 (what the server waits
   * comes on top). Of events: after which silence the connection is lost, by default 45,000.
   */
  readonly timeout?: number | undefined
}

/**
 * Which message is stopped, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopMessageOptions extends StopOptions {
  /** `user` by default; `disconnect` for a page that is being closed. */
  readonly reason?: "user" | "disconnect" | undefined
  /** A remark, at most 500 characters, shown with the receipt. */
  readonly note?: string | undefined
  /**
   * Answers when this phase has come or cannot come. However long that takes: give a `signal`. If
   * no run begins for as long as the stop waits for one, the answer is `pending`, and nothing stops.
   */
  readonly wait?: "observed" | "ended" | undefined
  /** Whether the request outlives its page; by default if the reason is `disconnect`. */
  readonly keepalive?: boolean | undefined
}

/**
 * The receipts of a message as they come, for one `for await`. How a run ended is its `outcome`: one
 * that was asked to stop may have been done, or have failed.
 *
 * ```ts
 * import { stopEvents, stopMessage } from "effect-cancellation-http/browser"
 *
 * declare const label: HTMLElement
 *
 * const message = { baseUrl: "/api", chatId: "chat-1", messageId: "message-7" }
 * const { phase } = await stopMessage(message)
 * if (phase !== "pending") {
 *   for await (const receipt of stopEvents(message)) {
 *     const outcome = "ended" in receipt ? receipt.ended?.outcome : undefined
 *     label.textContent = outcome ?? receipt.phase
 *   }
 * }
 * ```
 * @category models
 * @since 0.1.0
 */
export interface StopEvents extends AsyncGenerator<StopReceipt, void> {
  /** Ends the iteration, also one that waits, and closes the connection. */
  readonly close: () => void
}
