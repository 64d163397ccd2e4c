/**
 * The wish that a run stop: why, how it was seen, and how far it has come.
 *
 * @since 0.1.0
 */
import type { RunRef } from "./Message.ts"

/**
 * Why a run is to stop; `other:<code>` is a reason of the application's own (a code is 1 to 64 of
 * `a-z`, `0-9`, `.`, `_`, `-`).
 *
 * @category models
 * @since 0.1.0
 */
export type StopReason =
  | "user"
  | "disconnect"
  | "deadline"
  | "shutdown"
  | "parent"
  | "deleted"
  | "unreachable"
  | `other:${string}`

/**
 * How a run ended; set once.
 *
 * `completed`: by itself. `stopped`: somebody wanted it. `failed`: by an error. `interrupted`: by
 * circumstance (a deadline, a shutdown, a page that left). `abandoned`: it ignored its signal and was
 * given up. `lost`: its process is gone.
 *
 * @category models
 * @since 0.1.0
 */
export type RunOutcome = "completed" | "stopped" | "failed" | "interrupted" | "abandoned" | "lost"

/**
 * What is asked with a stop.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopIntent {
  /** Default `user`. */
  readonly reason?: StopReason | undefined
  /** The id of who asks. */
  readonly requestedBy?: string | undefined
  /** A remark, at most 500 characters; stored and shown, never logged. */
  readonly note?: string | undefined
}

/**
 * A stop, as the run saw it: the message that was stopped, why, and by whom.
 *
 * The two times are of two clocks, the store's and this process's: do not subtract them.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopEvent extends RunRef {
  readonly reason: StopReason
  readonly requestedBy?: string
  readonly note?: string
  /** When the stop was asked, by the store's clock. */
  readonly userAbortedAt: Date
  /** When this process saw it, by its own clock. */
  readonly detectedAt: Date
  /** How: by `check`, a poll, a hint, the first look of the run, or from inside the process. */
  readonly detectedBy: "check" | "poll" | "hint" | "start" | "local"
}

/**
 * The reason of a run's `signal`, and what work rejects with that has no other result. It is an
 * `AbortError`, as everything is that a signal ends; `cause` tells the stop.
 *
 * ```ts
 * import { StopError } from "effect-cancellation-promise"
 *
 * declare const answer: Promise<string>
 *
 * try {
 *   await answer
 * } catch (error) {
 *   if (!(error instanceof StopError)) throw error
 *   console.log(`stopped: ${error.cause.reason}`)
 * }
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class StopError extends Error {
  override readonly name = "AbortError"
  override readonly cause: StopEvent

  constructor(cause: StopEvent) {
    super(`The run was stopped (${cause.reason})`)
    this.cause = cause
  }
}

type Asked = {
  /** When, by whom if it was a person, and why. */
  readonly requested: {
    readonly at: Date
    readonly by?: string
    readonly reason: StopReason
    readonly note?: string
  }
}
type Seen = { readonly observed: { readonly at: Date } }
type Over = { readonly ended: { readonly at: Date; readonly outcome: RunOutcome } }
type Place = { readonly chatId: string; readonly messageId: string; readonly runId: string }

/**
 * How far the stop of a run has come, for a page to show "Stopping…" and "Stopped" when they are
 * true. Times are the store's. As JSON it is what the Stop API of `effect-cancellation-http` answers.
 *
 * | `phase` | what it says |
 * |---|---|
 * | `none` | no stop was asked; with `ended` if the run is over |
 * | `pending` | nothing runs there; what begins there before `expiresAt` is stopped |
 * | `requested` | stored; the run has not seen it yet |
 * | `observed` | the run has seen it and is ending |
 * | `ended` | the run is over, and how |
 * | `tooLate` | the run was over before it saw the stop |
 * | `superseded` | a newer run of the message has taken its place |
 * | `lost` | the process that ran it is gone |
 *
 * @category models
 * @since 0.1.0
 */
export type StopReceipt =
  | (Place & Partial<Over> & { readonly phase: "none" })
  | (Partial<Place> &
      Asked & { readonly phase: "pending"; readonly chatId: string; readonly expiresAt: Date })
  | (Place & Asked & { readonly phase: "requested" })
  | (Place & Asked & Seen & { readonly phase: "observed" })
  | (Place & Asked & Partial<Seen> & Over & { readonly phase: "ended" })
  | (Place & Partial<Asked> & Over & { readonly phase: "tooLate" })
  | (Place & { readonly phase: "superseded" })
  | (Place & Partial<Asked & Seen> & Over & { readonly phase: "lost" })
