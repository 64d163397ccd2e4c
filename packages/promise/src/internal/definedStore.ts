/**
 * A store made of a program's own functions, which know runs.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import {
  defaultTenant,
  type ForgetQuery,
  type Lease,
  MessageStore,
  MessageStoreError,
  receiptOf,
  type Run,
  runKey,
  RunNotFound,
  type RunQuery,
  type RunRecord,
  Run as CoreRun,
  type StopIntent,
  type StopLook,
  StopReceipt,
  type StopTarget,
  type Supports,
  unavailable,
  unsupported
} from "effect-cancellation"
import type {
  StoredForget,
  StoredIntent,
  StoredLease,
  StoredQuery,
  StoreDefinition,
  StoredTarget
} from "../defineStore.ts"
import {
  ask,
  isRow,
  malformed,
  millisOf,
  recordOfRow,
  recordsOf,
  refOfRow,
  requestOfRow,
  rowsOf,
  storedChat,
  storedMessage,
  storedRun,
  wrongAnswer
} from "./definedRows.ts"
import { runIdOf } from "./ids.ts"

export const definedStore = (
  definition: StoreDefinition,
  supports: Supports
): Layer.Layer<MessageStore> => Layer.sync(MessageStore, () => makeStore(definition, supports))

const makeStore = (definition: StoreDefinition, supports: Supports): MessageStore["Service"] => {
  let warned = false

  const stopRequests = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>) {
    const answer: unknown = yield* ask("findStops", () => definition.findStops(runs.map(storedRun)))
    const dated = isRow(answer) && !Array.isArray(answer) ? answer : undefined
    const rows = yield* rowsOf("findStops", dated === undefined ? answer : dated["rows"])
    const now = dated === undefined ? yield* Clock.currentTimeMillis : millisOf(dated["now"])
    if (now === undefined) return yield* wrongAnswer("findStops", dated?.["now"], "a time as now")
    const look = lookOf(runs, rows, now)
    if (!warned && rows.length > 0 && look.gone.length === runs.length) {
      warned = true
      yield* Effect.logWarning(
        "findStops: no row answered is that of a run asked for, so no stop is seen. Are its ids the same?"
      )
    }
    return look
  })

  const startRuns = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>, lease?: Lease) {
    if (definition.startRuns === undefined) return yield* unsupported("startRuns")
    if (runs.length === 0 && lease === undefined) return []
    const answer = yield* ask(
      "startRuns",
      async () => await definition.startRuns?.(runs.map(storedRun), lease && storedLease(lease))
    )
    const records = yield* recordsOf("startRuns", answer)
    if (records.length === 0 && runs.length > 0) {
      return yield* unavailable(
        "startRuns",
        new TypeError("startRuns of defineStore answered none of the runs it was to start")
      )
    }
    return records
  })

  const requestStop = Effect.fnUntraced(function* (target: StopTarget, intent: StopIntent) {
    if (definition.requestStop === undefined) return yield* unsupported("requestStop")
    const answer: unknown = yield* ask(
      "requestStop",
      async () => await definition.requestStop?.(storedTarget(target), storedIntent(intent))
    )
    if (isRow(answer) && !Array.isArray(answer)) {
      const { expiresAt, pending } = answer
      const until = millisOf(expiresAt)
      if (!isRow(pending) || until === undefined) {
        return yield* wrongAnswer("requestStop", answer, "{ pending, expiresAt }")
      }
      const request = yield* Effect.fromResult(requestOfRow(pending))
      return [StopReceipt.cases.Pending.make({ target, request, expiresAt: until })]
    }
    const records = yield* recordsOf("requestStop", answer)
    if (records.length === 0) return yield* notFound()
    return yield* Effect.forEach(records, receiptNow)
  })

  const records = <A>(operation: keyof StoreDefinition, call: (() => Promise<A>) | undefined) =>
    call === undefined
      ? Effect.fail(unsupported(operation))
      : Effect.flatMap(ask(operation, call), (answer) => recordsOf(operation, answer))

  return MessageStore.of({
    supports,
    stopRequests,
    startRuns,
    requestStop,
    advanceRuns: (changes) =>
      records(
        "advanceRuns",
        definition.advanceRuns &&
          (async () =>
            await definition.advanceRuns?.(
              changes.map(({ run, to }) => ({ run: storedRun(run), to }))
            ))
      ),
    findRuns: (query) =>
      records(
        "findRuns",
        definition.findRuns && (async () => await definition.findRuns?.(storedQuery(query)))
      ),
    renewLease: (lease) =>
      definition.renewLease === undefined
        ? Effect.fail(unsupported("renewLease"))
        : Effect.asVoid(
            ask("renewLease", async () => await definition.renewLease?.(storedLease(lease)))
          ),
    sweepLost: Effect.suspend(() =>
      records("sweepLost", definition.sweepLost && (async () => await definition.sweepLost?.()))
    ),
    forget: Effect.fnUntraced(function* (query) {
      if (definition.forget === undefined) return yield* unsupported("forget")
      const erased: unknown = yield* ask(
        "forget",
        async () => await definition.forget?.(storedForget(query))
      )
      return typeof erased === "number" && Number.isSafeInteger(erased) && erased >= 0
        ? erased
        : yield* wrongAnswer("forget", erased, "how many runs it erased")
    })
  })
}

const lookOf = (runs: ReadonlyArray<Run>, rows: ReadonlyArray<unknown>, now: number): StopLook => {
  const byRun = new Map<string, unknown>()
  let nameless = 0
  for (const row of rows) {
    const key = keyOfRow(row)
    if (key === undefined) nameless++
    else byRun.set(key, row)
  }
  const requests: Array<StopLook["requests"][number]> = []
  const gone: Array<Run> = []
  const lost: Array<Run> = []
  const failures: Array<StopLook["failures"][number]> = []
  for (const run of runs) {
    const row = byRun.get(runKey(run))
    if (row === undefined) {
      // A row whose ids cannot be read may be this run's: that is no reason to call it deleted.
      if (nameless === 0) gone.push(run)
      else failures.push({ run, error: malformed("findStops answered a row that names no run") })
      continue
    }
    const record = recordOfRow(row)
    if (Result.isFailure(record)) failures.push({ run, error: record.failure })
    else if (record.success.request !== undefined) {
      requests.push({ run, request: record.success.request })
    } else if (record.success.outcome === "lost") lost.push(run)
  }
  return { requests, gone, lost, failures, now }
}

const keyOfRow = (row: unknown): string | undefined => {
  const ref = refOfRow(row)
  if (ref === undefined || !isRow(row) || typeof row["runId"] !== "string") return undefined
  try {
    return runKey(CoreRun.make({ ref, runId: runIdOf(row["runId"]) }))
  } catch {
    return undefined
  }
}

const receiptNow = (record: RunRecord): Effect.Effect<StopReceipt, MessageStoreError> => {
  const already = receiptOf(record)
  if (already !== undefined) return Effect.succeed(already)
  const { endedAt, outcome, run } = record
  if (endedAt !== undefined && outcome !== undefined) {
    return Effect.succeed(StopReceipt.cases.TooLate.make({ run, endedAt, outcome }))
  }
  return record.current
    ? Effect.fail(
        unavailable(
          "requestStop",
          new TypeError("requestStop of defineStore answered a running run without its stop")
        )
      )
    : Effect.succeed(StopReceipt.cases.Superseded.make({ run }))
}

const notFound = () =>
  new MessageStoreError({
    reason: new RunNotFound({ detail: "requestStop of defineStore answered no row" })
  })

const storedLease = ({ owner, ttl }: Lease): StoredLease => ({
  owner,
  ttl: Duration.toMillis(ttl)
})

const storedIntent = ({ note, reason, requestedBy }: StopIntent): StoredIntent => ({
  reason,
  ...(requestedBy === undefined ? {} : { requestedBy }),
  ...(note === undefined ? {} : { note })
})

const storedTarget = (target: StopTarget): StoredTarget => {
  if (target._tag === "Chat") return storedChat(target)
  return target._tag === "Run" ? storedRun(target.run) : storedMessage(target.ref)
}

const storedQuery = (query: RunQuery): StoredQuery => {
  const runningOnly = query.runningOnly ?? false
  if (query._tag === "Refs") return { runningOnly, messages: query.refs.map(storedMessage) }
  const { _tag, companyId = defaultTenant, ...rest } = query
  return { ...rest, companyId, runningOnly }
}

const storedForget = (query: ForgetQuery): StoredForget => {
  if (query._tag === "EndedBefore") return { endedBefore: new Date(query.time) }
  const { _tag, companyId = defaultTenant, ...rest } = query
  return { ...rest, companyId }
}
