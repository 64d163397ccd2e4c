/**
 * What a row of an application's table says of a stop, read by schema.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import {
  MalformedRow,
  MessageId,
  MessageStoreError,
  type Run,
  StopReceipt,
  StopRequest
} from "effect-cancellation"
import type { Row } from "./rows.ts"

// Zero and less are written by careless programs for "never", and no date is beyond the last.
const Millis = Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 8.64e15 }))

const isoPattern =
  /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s?(Z|[+-]\d{2}(:?\d{2})?)?$/

const IsoTime = Schema.String.check(Schema.isPattern(isoPattern)).pipe(
  Schema.decodeTo(
    Millis,
    SchemaTransformation.transform({
      decode: (text: string) => {
        // `CURRENT_TIMESTAMP` of SQLite names no zone, and means UTC.
        const zoned = /(Z|[+-]\d{2}(:?\d{2})?)$/.test(text.slice(16)) ? text : `${text}Z`
        return Date.parse(
          zoned
            .replace(/\s/, "T")
            .replace(/\s/, "")
            .replace(/([+-]\d{2})$/, "$1:00")
        )
      },
      encode: (millis) => new Date(millis).toISOString()
    })
  )
)

const Time = Schema.Union([Millis, IsoTime])

const decodeTime = Schema.decodeUnknownResult(Time)
const decodeMessageId = Schema.decodeUnknownResult(MessageId)

/** How the columns are called in an error. */
export interface FlagNames {
  readonly table: string
  readonly messageId: string
  readonly userAbortedAt: string
  readonly completedAt: string | undefined
}

/** Reads the stop of a row that has one. */
export const requestOfFlag = (
  names: FlagNames,
  message: string,
  value: unknown
): Result.Result<StopRequest, MessageStoreError> =>
  Result.map(timeOf(names.table, names.userAbortedAt, message, value), (userAbortedAt) =>
    // A flag says that somebody pressed Stop, and no more.
    StopRequest.make({ userAbortedAt, reason: "user" })
  )

/** The message that a row is of. */
export const messageIdOfFlag = (
  names: FlagNames,
  row: Row
): Result.Result<MessageId, MessageStoreError> =>
  Result.mapError(decodeMessageId(row["message_id"]), () =>
    malformed(`the column ${names.messageId} of a row of ${names.table} holds no id`)
  )

/** How a stop stands by a row; `undefined` if the row knows of none and is not complete. */
export const receiptOfFlag = (
  names: FlagNames,
  run: Run,
  row: Row
): Result.Result<StopReceipt | undefined, MessageStoreError> =>
  Result.gen(function* () {
    const { messageId } = run.ref
    const request =
      row["user_aborted_at"] === null
        ? undefined
        : yield* requestOfFlag(names, messageId, row["user_aborted_at"])
    if (row["completed_at"] !== null) {
      const endedAt = yield* timeOf(
        names.table,
        names.completedAt ?? "",
        messageId,
        row["completed_at"]
      )
      return StopReceipt.cases.TooLate.make({
        run,
        endedAt,
        outcome: "completed",
        ...(request === undefined ? {} : { request })
      })
    }
    return request === undefined ? undefined : StopReceipt.cases.Requested.make({ run, request })
  })

const timeOf = (table: string, column: string, message: string, value: unknown) =>
  Result.mapError(decodeTime(value), () =>
    // Names the column and not its value, which may be anything.
    malformed(`the column ${column} of message ${message} in ${table} holds no time`)
  )

const malformed = (detail: string) =>
  new MessageStoreError({ reason: new MalformedRow({ detail }) })
