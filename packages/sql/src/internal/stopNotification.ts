/**
 * What a notification says of a stop: the ids of the run, as a JSON array of five strings.
 *
 * In SQL it is `CAST(json_build_array(company_id, user_id, chat_id, message_id, run_id) AS text)`.
 *
 * PostgreSQL takes payloads below 8,000 bytes. An id has at most 255 characters of at most 4 bytes
 * each (a backslash is written as 2), so with quotes, commas and spaces the longest payload has
 * 5 * (255 * 4 + 2) + 4 * 2 + 2 = 5,120 bytes.
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { defaultTenant, Run } from "effect-cancellation"

const Ids = Schema.Tuple([
  Schema.String,
  Schema.String,
  Schema.String,
  Schema.String,
  Schema.String
])

const StopNotification = Schema.fromJsonString(Ids).pipe(
  Schema.decodeTo(
    Run,
    SchemaTransformation.transform<typeof Run.Encoded, typeof Ids.Type>({
      decode: ([company, user, chatId, messageId, runId]) => ({
        ref: {
          ...(company === defaultTenant ? {} : { companyId: company }),
          ...(user === defaultTenant ? {} : { userId: user }),
          chatId,
          messageId
        },
        runId
      }),
      encode: ({ ref, runId }) => [
        ref.companyId ?? defaultTenant,
        ref.userId ?? defaultTenant,
        ref.chatId,
        ref.messageId,
        runId
      ]
    })
  )
)

/** The payload that announces a stop of this run. */
export const encodeStop: (run: Run) => string = Schema.encodeSync(StopNotification)

/** The run that a payload names; none if it is no such payload. */
export const decodeStop = Schema.decodeUnknownOption(StopNotification)
