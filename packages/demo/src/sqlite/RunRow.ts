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
  type MessageRef,
  MessageStoreError,
  type Run,
  RunRecord,
  StopRequest,
  type StopTarget
} from "effect-cancellation"
import type { SqlConnection } from "effect/sql"

type Row = SqlConnection.Row

/** What a row is found by; `messageId` and `runId` are empty for a whole chat or message. */
export type Key = readonly [
  company: string,
  user: string,
  chat: string,
  message: string,
  run: string
]

/** The key of one run. */
export const keyOf = ({ ref, runId }: Run): Key => [...messageKeyOf(ref), runId]

const messageKeyOf = (ref: MessageRef) => [...chatKeyOf(ref), ref.messageId] as const

const chatKeyOf = (where: {
  readonly companyId?: string
  readonly userId?: string
  readonly chatId: string
}) => [where.companyId ?? defaultTenant, where.userId ?? defaultTenant, where.chatId] as const

/** The key of what a stop is aimed at. */
export const targetKey = (target: StopTarget): Key => {
  if (target._tag === "Run") return keyOf(target.run)
  if (target._tag === "Message") return [...messageKeyOf(target.ref), ""]
  return [...chatKeyOf(target), "", ""]
}

/** Keys as one bound parameter, so that one prepared statement serves any number of runs. */
export const keysParameter = (keys: ReadonlyArray<Key>): string => JSON.stringify(keys)

const decodeRecord = Schema.decodeUnknownResult(RunRecord)
const decodeRequest = Schema.decodeUnknownResult(StopRequest)

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
      current: row["current"] === 1,
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
export const requestOf = (row: Row): Result.Result<StopRequest, MessageStoreError> =>
  Result.mapError(decodeRequest(rawRequest(row)), malformed(row))

/**
 * Reads rows. One that is malformed hides no other: it is left out with a warning, and only if
 * nothing else is left is it an error.
 */
export const recordsOf = Effect.fnUntraced(function* (
  rows: ReadonlyArray<Row>
): Effect.fn.Return<ReadonlyArray<RunRecord>, MessageStoreError> {
  const records: Array<RunRecord> = []
  for (const row of rows) {
    const record = recordOf(row)
    if (Result.isSuccess(record)) records.push(record.success)
    else if (rows.length === 1) return yield* record.failure
    else yield* Effect.logWarning(record.failure.message)
  }
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

const columnsOf = ({ issue }: Schema.SchemaError): ReadonlyArray<string> =>
  Array.from(new Set(pathsOf(issue).issues.map(({ path }) => (path ?? []).map(String).join("."))))

// Names the columns and not their values: a remark of a person's must not reach the logs.
const malformed = (row: Row) => (error: Schema.SchemaError) =>
  new MessageStoreError({
    reason: new MalformedRow({
      detail: `agent_runs row ${String(row["sequence"])}, ${columnsOf(error).join(" and ")}`
    })
  })
