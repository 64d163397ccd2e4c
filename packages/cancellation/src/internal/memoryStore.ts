/**
 * A complete store in memory: the contract in its shortest form, for tests and programs of one process.
 *
 * Every operation is one synchronous step, so it is a transaction by itself.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { defaultTenant, messageKey, type ProcessId, type Run, runKey } from "../Message.ts"
import type { ForgetQuery, MessageStore, RunQuery, StopLook } from "../MessageStore.ts"
import {
  receiptOf,
  RunRecord,
  type StopIntent,
  StopReceipt,
  StopRequest,
  type StopTarget
} from "../StopRequest.ts"
import { isIn, type Where } from "./place.ts"
import { positive } from "../Setting.ts"

interface Tombstone {
  readonly target: StopTarget
  readonly request: StopRequest
  readonly expiresAt: number
}

export const makeMemoryStore = Effect.fnUntraced(function* (options?: {
  readonly tombstoneTtl?: Duration.Input | undefined
}): Effect.fn.Return<MessageStore["Service"]> {
  const tombstoneTtl = Duration.toMillis(
    yield* positive("tombstoneTtl", options?.tombstoneTtl ?? "30 seconds")
  )
  const records = new Map<string, RunRecord>()
  const currents = new Map<string, string>()
  const chats = new Map<string, Set<string>>()
  const tombstones = new Map<string, Tombstone>()
  const leases = new Map<ProcessId, number>()

  const write = (key: string, fields: typeof RunRecord.Type): RunRecord => {
    // Put together here, of what was checked before.
    const record = RunRecord.make(fields, { disableChecks: true })
    records.set(key, record)
    return record
  }

  const inChat = (key: string): ReadonlyArray<RunRecord> =>
    Array.from(chats.get(key) ?? []).flatMap((run) => records.get(run) ?? [])

  // The stop that waited for this run, whichever way it was aimed. All that match are taken, so that
  // none is left for the next run; the first one asked counts.
  const takeTombstone = (run: Run, now: number): StopRequest | undefined => {
    const requests: Array<StopRequest> = []
    for (const key of [runKey(run), messageKey(run.ref), chatKey(run.ref)]) {
      const tombstone = tombstones.get(key)
      if (tombstone !== undefined && tombstone.expiresAt > now) requests.push(tombstone.request)
      tombstones.delete(key)
    }
    return requests.toSorted((one, other) => one.userAbortedAt - other.userAbortedAt)[0]
  }

  const start = (run: Run, owner: ProcessId | undefined, now: number): RunRecord => {
    const key = runKey(run)
    const existing = records.get(key)
    if (existing !== undefined) {
      return existing.outcome !== undefined || owner === undefined
        ? existing
        : write(key, { ...existing, owner })
    }
    const message = messageKey(run.ref)
    const superseded = currents.get(message) ?? ""
    const before = records.get(superseded)
    if (before !== undefined) write(superseded, { ...before, current: false })
    currents.set(message, key)
    const chat = chatKey(run.ref)
    const siblings = chats.get(chat)
    if (siblings === undefined) chats.set(chat, new Set([key]))
    else siblings.add(key)
    const request = takeTombstone(run, now)
    return write(key, {
      run,
      ...(owner === undefined ? {} : { owner }),
      startedAt: now,
      current: true,
      ...(request === undefined ? {} : { request })
    })
  }

  const stop = (record: RunRecord, request: StopRequest): StopReceipt => {
    const { endedAt, outcome, run } = record
    const already = receiptOf(record)
    if (already !== undefined) return already
    if (endedAt !== undefined && outcome !== undefined) {
      return StopReceipt.cases.TooLate.make({ run, endedAt, outcome })
    }
    if (!record.current) return StopReceipt.cases.Superseded.make({ run })
    write(runKey(run), { ...record, request })
    return StopReceipt.cases.Requested.make({ run, request })
  }

  const pending = (key: string, target: StopTarget, request: StopRequest): StopReceipt => {
    const now = request.userAbortedAt
    for (const [other, tombstone] of tombstones) {
      if (tombstone.expiresAt <= now) tombstones.delete(other)
    }
    const tombstone = tombstones.get(key) ?? { target, request, expiresAt: now + tombstoneTtl }
    tombstones.set(key, tombstone)
    return StopReceipt.cases.Pending.make(tombstone)
  }

  const stopChat = (target: StopTarget & { _tag: "Chat" }, request: StopRequest) => {
    const all = inChat(chatKey(target)).filter((record) => record.current)
    const running = all.filter((record) => record.outcome === undefined)
    if (running.length > 0) return running.map((record) => stop(record, request))
    const recent = all.filter(
      (record) => (record.endedAt ?? 0) > request.userAbortedAt - tombstoneTtl
    )
    const last = recent.at(-1)
    return [last === undefined ? pending(chatKey(target), target, request) : stop(last, request)]
  }

  const requestStop = (
    target: StopTarget,
    intent: StopIntent,
    now: number
  ): ReadonlyArray<StopReceipt> => {
    const request = StopRequest.make({ ...intent, userAbortedAt: now })
    if (target._tag === "Chat") return stopChat(target, request)
    const [tombstone, key] =
      target._tag === "Run"
        ? [runKey(target.run), runKey(target.run)]
        : [messageKey(target.ref), currents.get(messageKey(target.ref)) ?? ""]
    const record = records.get(key)
    return [record === undefined ? pending(tombstone, target, request) : stop(record, request)]
  }

  const look = (runs: ReadonlyArray<Run>, now: number): StopLook => {
    const requests: Array<StopLook["requests"][number]> = []
    const gone: Array<Run> = []
    const lost: Array<Run> = []
    for (const run of runs) {
      const record = records.get(runKey(run))
      if (record === undefined) gone.push(run)
      else if (record.request !== undefined) requests.push({ run, request: record.request })
      else if (record.outcome === "lost") lost.push(run)
    }
    return { requests, gone, lost, failures: [], now }
  }

  const advance = (run: Run, to: "observed" | (RunRecord["outcome"] & string), now: number) => {
    const key = runKey(run)
    const record = records.get(key)
    if (record === undefined || record.outcome !== undefined) return record
    const seen =
      record.request !== undefined && (to === "observed" || to === "stopped" || to === "abandoned")
    const observed = seen ? { observedAt: record.observedAt ?? now } : {}
    return write(
      key,
      to === "observed"
        ? { ...record, ...observed }
        : { ...record, ...observed, outcome: to, endedAt: now }
    )
  }

  const sweep = (now: number): ReadonlyArray<RunRecord> => {
    const swept: Array<RunRecord> = []
    for (const [key, record] of records) {
      if (record.outcome !== undefined || record.owner === undefined) continue
      if ((leases.get(record.owner) ?? 0) > now) continue
      swept.push(write(key, { ...record, outcome: "lost", endedAt: now }))
    }
    for (const [owner, expiresAt] of leases) if (expiresAt <= now) leases.delete(owner)
    return swept
  }

  const erase = (record: RunRecord): void => {
    const key = runKey(record.run)
    const chat = chatKey(record.run.ref)
    records.delete(key)
    if (currents.get(messageKey(record.run.ref)) === key)
      currents.delete(messageKey(record.run.ref))
    chats.get(chat)?.delete(key)
    if (chats.get(chat)?.size === 0) chats.delete(chat)
  }

  const forget = (query: ForgetQuery): number => {
    const erased = Array.from(records.values()).filter((record) => isForgotten(query, record))
    erased.forEach(erase)
    for (const [key, { target }] of tombstones) {
      if (query._tag !== "EndedBefore" && isIn(query, whereOf(target))) tombstones.delete(key)
    }
    return erased.length
  }

  const atomically = <A>(f: (now: number) => A): Effect.Effect<A> =>
    Effect.map(Clock.currentTimeMillis, f)

  return {
    supports: { runs: true, stops: true, find: true, leases: true, erasure: true, hints: false },
    stopRequests: (runs) => atomically((now) => look(runs, now)),
    startRuns: (runs, lease) =>
      atomically((now) => {
        if (lease !== undefined) leases.set(lease.owner, now + Duration.toMillis(lease.ttl))
        return runs.map((run) => start(run, lease?.owner, now))
      }),
    requestStop: (target, intent) => atomically((now) => requestStop(target, intent, now)),
    advanceRuns: (changes) =>
      atomically((now) => changes.flatMap(({ run, to }) => advance(run, to, now) ?? [])),
    findRuns: (query) => Effect.sync(() => Array.from(records.values()).filter(foundBy(query))),
    renewLease: ({ owner, ttl }) =>
      atomically((now) => void leases.set(owner, now + Duration.toMillis(ttl))),
    sweepLost: atomically(sweep),
    forget: (query) => Effect.sync(() => forget(query))
  }
})

const chatKey = (where: Where): string =>
  `${where.companyId ?? defaultTenant}\0${where.userId ?? defaultTenant}\0${where.chatId}`

const whereOf = (target: StopTarget): Where =>
  target._tag === "Chat" ? target : target._tag === "Message" ? target.ref : target.run.ref

const foundBy = (query: RunQuery): ((record: RunRecord) => boolean) => {
  const isWanted = ({ outcome }: RunRecord) => query.runningOnly !== true || outcome === undefined
  if (query._tag !== "Refs") return (record) => isWanted(record) && isIn(query, record.run.ref)
  const keys = new Set(query.refs.map(messageKey))
  return (record) => isWanted(record) && keys.has(messageKey(record.run.ref))
}

const isForgotten = (query: ForgetQuery, record: RunRecord): boolean =>
  query._tag === "EndedBefore"
    ? record.endedAt !== undefined && record.endedAt < query.time
    : isIn(query, record.run.ref)
