/**
 * Rows that a program's own functions answer, read as what they are.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  type ChatId,
  type CompanyId,
  defaultTenant,
  MalformedRow,
  type MessageId,
  MessageRef,
  MessageStoreError,
  type Run,
  RunRecord,
  StopRequest,
  unavailable,
  type UserId
} from "effect-cancellation"

export type Row = Readonly<Record<string, unknown>>

/** Asks one of the functions; whatever it throws is why the store is unavailable. */
export const ask = <A>(
  operation: string,
  call: () => Promise<A>
): Effect.Effect<A, MessageStoreError> =>
  Effect.tryPromise({
    try: async () => await call(),
    catch: (cause) => unavailable(operation, cause)
  })

/** The rows of an answer, whatever its type has promised. */
export const rowsOf = (
  operation: string,
  answer: unknown
): Effect.Effect<ReadonlyArray<unknown>, MessageStoreError> =>
  Array.isArray(answer)
    ? Effect.succeed(answer)
    : wrongAnswer(operation, answer, "an array of rows")

export const wrongAnswer = (operation: string, answer: unknown, wanted: string) =>
  Effect.fail(
    unavailable(
      operation,
      new TypeError(
        `${operation} of defineStore answered ${answer === null ? "null" : typeof answer}, and not ${wanted}`
      )
    )
  )

export const isRow = (row: unknown): row is Row => typeof row === "object" && row !== null

export const millisOf = (value: unknown): number | undefined => {
  const millis =
    value instanceof Date ? value.getTime() : typeof value === "string" ? Date.parse(value) : value
  return typeof millis === "number" && Number.isFinite(millis) && millis > 0 ? millis : undefined
}

const present = (fields: Row): Row =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)
  )

// What is no time stays as it is, for the schema to refuse it by name.
const time = (value: unknown): unknown =>
  isAbsent(value) ? value : (millisOf(value) ?? Number.NaN)
const isAbsent = (value: unknown): boolean => value === null || value === undefined
const tenant = (value: unknown): unknown => (value === defaultTenant ? undefined : value)

const rawRef = (row: Row) => ({
  ...present({ companyId: tenant(row["companyId"]), userId: tenant(row["userId"]) }),
  chatId: row["chatId"],
  messageId: row["messageId"]
})

const rawRequest = (row: Row) => ({
  userAbortedAt: time(row["userAbortedAt"]),
  reason: row["reason"] ?? "user",
  ...present({ requestedBy: row["requestedBy"], note: row["note"] })
})

const decodeRef = Schema.decodeUnknownResult(MessageRef)
const decodeRecord = Schema.decodeUnknownResult(RunRecord)
const decodeRequest = Schema.decodeUnknownResult(StopRequest)

/** The message that a row names, if it names one. */
export const refOfRow = (row: unknown): MessageRef | undefined =>
  isRow(row) ? Result.getOrUndefined(decodeRef(rawRef(row))) : undefined

export const requestOfRow = (row: Row): Result.Result<StopRequest, MessageStoreError> =>
  Result.mapError(decodeRequest(rawRequest(row)), () => malformed(`the stop of ${placeOf(row)}`))

/** Reads a whole row. */
export const recordOfRow = (row: unknown): Result.Result<RunRecord, MessageStoreError> => {
  if (!isRow(row)) return Result.fail(malformed("a row is no object"))
  const isCurrent = row["current"] === true || row["current"] === 1
  const isKnown = isCurrent || row["current"] === false || row["current"] === 0
  if (isAbsent(row["endedAt"]) !== isAbsent(row["outcome"])) {
    return Result.fail(malformed(`only one of endedAt and outcome of ${placeOf(row)} is set`))
  }
  return Result.mapError(
    decodeRecord({
      run: { ref: rawRef(row), runId: row["runId"] },
      startedAt: time(row["startedAt"]),
      current: isKnown ? isCurrent : undefined,
      ...(isAbsent(row["userAbortedAt"]) ? {} : { request: rawRequest(row) }),
      ...present({
        owner: row["owner"],
        observedAt: time(row["observedAt"]),
        endedAt: time(row["endedAt"]),
        outcome: row["outcome"]
      })
    }),
    // It names the fields and not their values: a person's remark must not reach the logs.
    () => malformed(`${wrongFields(row).join(" and ") || "a field"} of ${placeOf(row)}`)
  )
}

const wrongFields = (row: Row): ReadonlyArray<string> => {
  const record = { run: { ref: rawRef(row), runId: row["runId"] }, startedAt: 1, current: true }
  const isWrong: Readonly<Record<string, boolean>> = {
    "an id": Result.isFailure(decodeRecord(record)),
    startedAt: millisOf(row["startedAt"]) === undefined,
    current: ![true, false, 0, 1].some((value) => value === row["current"]),
    "the stop": !isAbsent(row["userAbortedAt"]) && Result.isFailure(decodeRequest(rawRequest(row))),
    observedAt: !isAbsent(row["observedAt"]) && millisOf(row["observedAt"]) === undefined,
    endedAt: !isAbsent(row["endedAt"]) && millisOf(row["endedAt"]) === undefined,
    outcome:
      !isAbsent(row["outcome"]) &&
      Result.isFailure(decodeRecord({ ...record, endedAt: 1, outcome: row["outcome"] }))
  }
  return Object.keys(isWrong).filter((field) => isWrong[field] === true)
}

/**
 * Reads rows. One that is malformed hides no other: it is left out with a warning, and only if
 * nothing else is left is it an error.
 */
export const recordsOf = Effect.fnUntraced(function* (operation: string, answer: unknown) {
  const rows = yield* rowsOf(operation, answer)
  const records: Array<RunRecord> = []
  let failure: MessageStoreError | undefined
  for (const row of rows) {
    const record = recordOfRow(row)
    if (Result.isSuccess(record)) records.push(record.success)
    else {
      failure ??= record.failure
      if (rows.length > 1) yield* Effect.logWarning(record.failure.message)
    }
  }
  if (failure !== undefined && records.length === 0) return yield* failure
  return records
})

export const malformed = (detail: string) =>
  new MessageStoreError({ reason: new MalformedRow({ detail }) })

const placeOf = (row: Row): string =>
  typeof row["messageId"] === "string" ? `message ${row["messageId"].slice(0, 60)}` : "a row"

interface Place {
  readonly companyId?: CompanyId
  readonly userId?: UserId
  readonly chatId: ChatId
}

export const storedChat = ({ chatId, companyId, userId }: Place) => ({
  companyId: companyId ?? defaultTenant,
  userId: userId ?? defaultTenant,
  chatId
})

export const storedMessage = (ref: Place & { readonly messageId: MessageId }) => ({
  ...storedChat(ref),
  messageId: ref.messageId
})

export const storedRun = ({ ref, runId }: Run) => ({ ...storedMessage(ref), runId })
