/**
 * What a notification says of a stop: the ids of the run, as a JSON array of five strings.
 *
 * In SQL it is `CAST(json_build_array(company_id, user_id, chat_id, message_id, run_id) AS text)`.
 *
 * PostgreSQL takes payloads below 8,000 bytes. An id has at most 255 characters of at most 4 bytes
 * each (a backslash is written as 2), so with quotes, commas and spaces the longest payload has
 * 5 * (255 * 4 + 2) + 4 * 2 + 2 = 5,120 bytes.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { defaultTenant, Run } from "effect-cancellation"

/** The payload that announces a stop of this run. */
export const encodeStop = ({ ref, runId }: Run): string =>
  JSON.stringify([
    ref.companyId ?? defaultTenant,
    ref.userId ?? defaultTenant,
    ref.chatId,
    ref.messageId,
    runId
  ])

/** The run that a payload names; none if it is no such payload. */
export const decodeStop = (payload: string): Option.Option<Run> => {
  const ids = parsed(payload)
  if (!Array.isArray(ids) || ids.length !== 5) return Option.none()
  const [company, user, chatId, messageId, runId]: ReadonlyArray<unknown> = ids
  return decodeRun({
    ref: {
      ...(company === defaultTenant ? {} : { companyId: company }),
      ...(user === defaultTenant ? {} : { userId: user }),
      chatId,
      messageId
    },
    runId
  })
}

// A schema for the array and the JSON around it would take twice as long, on the way of every stop.
const decodeRun = Schema.decodeUnknownOption(Run)

const parsed = (payload: string): unknown => {
  try {
    return JSON.parse(payload)
  } catch {
    return undefined
  }
}
