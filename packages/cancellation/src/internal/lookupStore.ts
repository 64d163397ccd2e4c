/**
 * A store made from one function that answers the flags of messages.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { messageKey, type MessageRef, type Run } from "../Message.ts"
import type { MessageStore, StopLook } from "../MessageStore.ts"
import { MalformedRow, MessageStoreError, unavailable, unsupported } from "../MessageStoreError.ts"
import { StopRequest } from "../StopRequest.ts"

/**
 * A message's row, as a lookup answers it.
 *
 * @category models
 * @since 0.1.0
 */
export interface LookupRow {
  readonly ref: MessageRef
  /** When the person pressed Stop: a `Date`, an ISO string or milliseconds since 1970, else null. */
  readonly userAbortedAt?: unknown
}

export const makeLookupStore = <E>(
  lookup: (refs: ReadonlyArray<MessageRef>) => Effect.Effect<ReadonlyArray<LookupRow>, E>
): MessageStore["Service"] => {
  let warned = false
  return {
    supports: {
      runs: false,
      stops: false,
      find: false,
      leases: false,
      erasure: false,
      hints: false
    },
    stopRequests: Effect.fnUntraced(function* (runs) {
      const keys = runs.map(({ ref }) => messageKey(ref))
      const distinct = new Map(runs.map(({ ref }, index) => [keys[index], ref]))
      const rows = yield* Effect.mapError(lookup(Array.from(distinct.values())), (error) =>
        unavailable("stopRequests", error)
      )
      const look = answer(runs, keys, distinct.size, rows, yield* Clock.currentTimeMillis)
      if (!warned && rows.length > 0 && look.gone.length === runs.length) {
        warned = true
        yield* Effect.logWarning(
          "fromLookup: no row answered names a message asked for, so no stop is seen. Do its refs have the same company, user and chat?"
        )
      }
      return look
    }),
    startRuns: () => Effect.fail(unsupported("startRuns")),
    requestStop: () => Effect.fail(unsupported("requestStop")),
    advanceRuns: () => Effect.fail(unsupported("advanceRuns")),
    findRuns: () => Effect.fail(unsupported("findRuns")),
    renewLease: () => Effect.fail(unsupported("renewLease")),
    sweepLost: Effect.fail(unsupported("sweepLost")),
    forget: () => Effect.fail(unsupported("forget"))
  }
}

const answer = (
  runs: ReadonlyArray<Run>,
  keys: ReadonlyArray<string>,
  asked: number,
  rows: ReadonlyArray<LookupRow>,
  now: number
): StopLook => {
  // Each run has a message of its own, and each of these one row.
  const isInOrder =
    asked === runs.length &&
    rows.length === asked &&
    rows.every((row, index) => row?.ref === runs[index]?.ref)
  // Most lookups answer the very refs in their order: then no keys need be made of them.
  const byMessage = isInOrder ? undefined : rowsByMessage(rows)
  const requests: Array<StopLook["requests"][number]> = []
  const gone: Array<Run> = []
  const failures: Array<StopLook["failures"][number]> = []
  for (const [index, run] of runs.entries()) {
    const row = byMessage === undefined ? rows[index] : byMessage.get(keys[index])
    if (row === undefined) {
      gone.push(run)
      continue
    }
    if (row.userAbortedAt === null || row.userAbortedAt === undefined) continue
    const userAbortedAt = toMillis(row.userAbortedAt)
    if (userAbortedAt === undefined) {
      const detail = `userAbortedAt of message ${run.ref.messageId} is neither a time nor null`
      failures.push({ run, error: new MessageStoreError({ reason: new MalformedRow({ detail }) }) })
      continue
    }
    requests.push({ run, request: StopRequest.make({ userAbortedAt, reason: "user" }) })
  }
  return { requests, gone, lost: [], failures, now }
}

// A row that names no message belongs to nobody, and hides nobody's.
const rowsByMessage = (rows: ReadonlyArray<LookupRow>) => {
  const byMessage = new Map<string | undefined, LookupRow>()
  for (const row of rows) if (row?.ref !== undefined) byMessage.set(messageKey(row.ref), row)
  return byMessage
}

// "", false and 0 occur where a proxy or a careless serializer wrote them; none of them is a stop.
const toMillis = (value: unknown): number | undefined => {
  const millis =
    value instanceof Date
      ? value.getTime()
      : typeof value === "string"
        ? Date.parse(value)
        : typeof value === "number"
          ? value
          : Number.NaN
  return Number.isFinite(millis) && millis > 0 ? millis : undefined
}
