/**
 * How a run is written in a row of `agent_runs`, and read back by the schemas of the domain.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import {
  defaultTenant,
  MalformedRow,
  MessageStoreError,
  RunRecord,
  StopRequest
} from "effect-cancellation"
import type { SqlConnection } from "effect/sql"
import type { Dialect } from "./dialect.ts"

export type Row = SqlConnection.Row

/** What is read of a row, of the table of this name. */
export const columnsOf = (dialect: Dialect, table: string): string =>
  [
    ...["sequence", "run_key", "company_id", "user_id", "chat_id", "message_id", "run_id"].map(
      (column) => `${table}.${column}`
    ),
    ...["owner", "current"].map((column) => `${table}.${column}`),
    ...["started_at", "user_aborted_at", "observed_at", "ended_at"].map(
      (column) => `${dialect.millis(`${table}.${column}`)} AS ${column}`
    ),
    ...["stop_reason", "stop_requested_by", "stop_note", "outcome"].map(
      (column) => `${table}.${column}`
    )
  ].join(", ")

const decodeRecord = Schema.decodeUnknownResult(RunRecord)
const decodeRequest = Schema.decodeUnknownResult(StopRequest)
const isRequest = Schema.is(Schema.Struct(StopRequest.fields))

/** Reads a whole row. */
const recordOf = (row: Row): Result.Result<RunRecord, MessageStoreError> =>
  Result.mapError(
    decodeRecord({
      run: {
        ref: {
          ...tenant("companyId", row["company_id"]),
          ...tenant("userId", row["user_id"]),
          chatId: row["chat_id"],
          messageId: row["message_id"]
        },
        runId: row["run_id"]
      },
      ...present({ owner: row["owner"] }),
      startedAt: row["started_at"],
      current: row["current"] === true || row["current"] === 1,
      ...(row["user_aborted_at"] === null ? {} : { request: rawRequest(row) }),
      ...present({
        observedAt: row["observed_at"],
        endedAt: row["ended_at"],
        outcome: row["outcome"]
      })
    }),
    malformed(row)
  )

/** Reads only the stop of a row. */
export const requestOf = (row: Row): Result.Result<StopRequest, MessageStoreError> => {
  const raw: unknown = rawRequest(row)
  // To decode takes twice as long as to look, on the way of every stop; but it says what is wrong.
  return isRequest(raw)
    ? Result.succeed(new StopRequest(raw, { disableChecks: true }))
    : Result.mapError(decodeRequest(raw), malformed(row))
}

/**
 * Reads rows. One that is malformed hides no other: it is left out with a warning, and only if
 * nothing else is left is it an error.
 */
export const recordsOf = Effect.fnUntraced(function* (
  rows: ReadonlyArray<Row>
): Effect.fn.Return<ReadonlyArray<RunRecord>, MessageStoreError> {
  const records: Array<RunRecord> = []
  let failure: MessageStoreError | undefined
  for (const row of rows) {
    const record = recordOf(row)
    if (Result.isSuccess(record)) records.push(record.success)
    else {
      failure ??= record.failure
      if (rows.length > 1) yield* Effect.logWarning(record.failure.message)
    }
  }
  if (failure !== undefined && records.length === 0) return yield* failure
  return records
})

const rawRequest = (row: Row) => ({
  userAbortedAt: row["user_aborted_at"],
  reason: row["stop_reason"],
  ...present({ requestedBy: row["stop_requested_by"], note: row["stop_note"] })
})

const tenant = (name: "companyId" | "userId", value: unknown) =>
  value === defaultTenant ? {} : { [name]: value }

const present = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)
  )

const pathsOf = SchemaIssue.makeFormatterStandardSchemaV1()

const wrongColumns = ({ issue }: Schema.SchemaError): ReadonlyArray<string> =>
  Array.from(new Set(pathsOf(issue).issues.map(({ path }) => (path ?? []).map(String).join("."))))

// Names the columns and not their values: a remark of a person's must not reach the logs.
const malformed = (row: Row) => (error: Schema.SchemaError) =>
  new MessageStoreError({
    reason: new MalformedRow({
      detail: `agent_runs row ${String(row["sequence"])}, ${wrongColumns(error).join(" and ")}`
    })
  })
