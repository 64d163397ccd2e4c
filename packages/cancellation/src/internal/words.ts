/**
 * How log lines say things: one line each, short, and without a stack.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import type { Run } from "../Message.ts"
import { MessageStoreError } from "../MessageStoreError.ts"

/** `1 run`, `2 runs`. */
export const plural = (count: number, noun: string): string =>
  `${count} ${count === 1 ? noun : `${noun}s`}`

/** The first ten, and how many more there are. */
export const listed = (items: ReadonlyArray<string>): string =>
  items.length <= most
    ? items.join(", ")
    : `${items.slice(0, most).join(", ")} and ${items.length - most} more`

const most = 10

/** A time as a person reads it: whole seconds from ten on, whole milliseconds below. */
export const lasting = (millis: number): string =>
  Duration.format(
    Duration.millis(millis < 10_000 ? Math.round(millis) : Math.round(millis / 1000) * 1000)
  )

/** Which kind of failure it is, and what was said of it; the line goes on after it. */
export const whatFailed = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  const said =
    error instanceof MessageStoreError ? `${error.reason._tag}: ${error.message}` : String(error)
  return oneLine(said).replace(/\.$/, "")
}

/** What was said, cut where it would fill the log: a database may quote a whole statement. */
export const oneLine = (text: string): string => {
  const line = text.trim().replaceAll(/\s+/g, " ")
  return line.length <= 500 ? line : `${line.slice(0, 500)}…`
}

/** What every log line and span about a run carries. Never a note: that is somebody's own words. */
export const annotations = (run: Run) => ({
  "effect_cancellation.chat_id": run.ref.chatId,
  "effect_cancellation.message_id": run.ref.messageId,
  "effect_cancellation.run_id": run.runId
})
