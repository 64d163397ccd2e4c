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
import {
  ChatId,
  CompanyId,
  defaultTenant,
  MessageId,
  MessageRef,
  Run,
  RunId,
  UserId
} from "effect-cancellation"

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
  if (!areIds(ids)) return Option.none()
  const [companyId, userId, chatId, messageId, runId] = ids
  const ref = new MessageRef(
    {
      ...(companyId === defaultTenant ? {} : { companyId }),
      ...(userId === defaultTenant ? {} : { userId }),
      chatId,
      messageId
    },
    unchecked
  )
  return Option.some(new Run({ ref, runId }, unchecked))
}

// Looked at once, and not again as the run is made of them: this is on the way of every stop.
const areIds = Schema.is(Schema.Tuple([CompanyId, UserId, ChatId, MessageId, RunId]))
const unchecked = { disableChecks: true }

const parsed = (payload: string): unknown => {
  try {
    return JSON.parse(payload)
  } catch {
    return undefined
  }
}
