/**
 * What the tests of the store's contract share: how they are registered, what they are about, and how
 * they wait.
 */
import { assert, describe } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import {
  ChatId,
  CompanyId,
  MessageId,
  MessageRef,
  MessageStore,
  type MessageStoreError,
  ProcessId,
  Run,
  RunId,
  runKey,
  RunQuery,
  type RunRecord,
  StopIntent,
  type StopReceipt,
  StopTarget,
  type Supports,
  UserId
} from "effect-cancellation"

export type Store = MessageStore["Service"]

/** Registers a test, if the store supports what it needs. */
type RegisterTest = (
  needs: ReadonlyArray<keyof Supports>,
  title: string,
  body: (store: Store) => Effect.Effect<void, MessageStoreError>
) => void

export interface Contract {
  /** A `describe`, unless the store supports none of its tests: Vitest refuses an empty one. */
  readonly group: (title: string, register: (test: RegisterTest) => void) => void
}

export const makeContract = (
  it: Vitest.MethodsNonLive<MessageStore>,
  supports: Supports,
  timeout: number
): Contract => ({
  group: (title, register) => {
    const tests: Array<() => void> = []
    register((needs, title, body) => {
      if (!needs.every((need) => supports[need])) return
      tests.push(() => it.effect(title, () => Effect.flatMap(MessageStore, body), { timeout }))
    })
    if (tests.length === 0) return
    // oxlint-disable-next-line vitest/valid-title -- it is a string, as its type says
    describe(title, () => {
      for (const test of tests) test()
    })
  }
})

// Ids are new in each test, because a real database is not empty and keeps what the last test left.
export const freshId = (): string => crypto.randomUUID()

export interface Where {
  readonly companyId: CompanyId
  readonly userId: UserId
  readonly chatId: ChatId
}

export const freshChat = (): Where => ({
  companyId: CompanyId.make(freshId()),
  userId: UserId.make(freshId()),
  chatId: ChatId.make(freshId())
})

/** A run of a new message, in a chat of its own unless told where. */
export const freshRun = (where: Where = freshChat()): Run =>
  runOf(MessageRef.make({ ...where, messageId: MessageId.make(freshId()) }))

export const runOf = (ref: MessageRef): Run => Run.make({ ref, runId: RunId.make(freshId()) })

export const freshLease = (ttl: Duration.Input) => ({
  owner: ProcessId.make(freshId()),
  ttl: Duration.fromInputUnsafe(ttl)
})

/** A lease that outlives every test. */
export const longLease = () => freshLease("1 hour")

export const stopOfRun = (run: Run) => StopTarget.cases.Run.make({ run })
export const stopOfMessage = ({ ref }: Run) => StopTarget.cases.Message.make({ ref })
export const stopOfChat = ({ ref }: Run) => {
  const { messageId: _messageId, ...chat } = ref
  return StopTarget.cases.Chat.make(chat)
}

/** The three ways to aim a stop at one and the same run. */
export const aims: ReadonlyArray<readonly [string, (run: Run) => StopTarget]> = [
  ["run", stopOfRun],
  ["message", stopOfMessage],
  ["chat", stopOfChat]
]

export const by = (actor: string): StopIntent =>
  StopIntent.make({ reason: "user", requestedBy: UserId.make(actor) })

export const runKeys = (runs: ReadonlyArray<Run>): ReadonlyArray<string> =>
  runs.map(runKey).toSorted()

/** The one element of a list. */
export const only = <A>(values: ReadonlyArray<A>): A => {
  assert.strictEqual(values.length, 1, `expected one, got ${JSON.stringify(values)}`)
  const [value] = values
  if (value === undefined) throw new Error("The one element is undefined")
  return value
}

export const start = (store: Store, run: Run): Effect.Effect<RunRecord, MessageStoreError> =>
  Effect.map(store.startRuns([run]), only)

export const stop = (
  store: Store,
  target: StopTarget,
  actor = "somebody"
): Effect.Effect<StopReceipt, MessageStoreError> =>
  Effect.map(store.requestStop(target, by(actor)), only)

/** The run as it stands; dies if there is none. */
export const recordOf = (store: Store, run: Run): Effect.Effect<RunRecord, MessageStoreError> =>
  store.supports.find
    ? Effect.map(recordsOf(store, [run]), only)
    : // starting a run again changes nothing, so it reads as well
      start(store, run)

/** Those of these runs that the store has. */
export const recordsOf = (
  store: Store,
  runs: ReadonlyArray<Run>
): Effect.Effect<ReadonlyArray<RunRecord>, MessageStoreError> => {
  const keys = new Set(runs.map(runKey))
  return Effect.map(
    store.findRuns(RunQuery.cases.Refs.make({ refs: runs.map(({ ref }) => ref) })),
    (records) => records.filter(({ run }) => keys.has(runKey(run)))
  )
}

/** Everything of a record that can be compared, whichever way the store wrote a default tenant. */
export const standing = (record: RunRecord) => ({
  run: runKey(record.run),
  owner: record.owner,
  startedAt: record.startedAt,
  current: record.current,
  request: record.request && { ...record.request },
  observedAt: record.observedAt,
  endedAt: record.endedAt,
  outcome: record.outcome
})

/** Who stopped the run by the hot read; undefined if nobody did. */
export const stopperOf = (
  store: Store,
  run: Run
): Effect.Effect<string | undefined, MessageStoreError> =>
  Effect.map(store.stopRequests([run]), ({ failures, requests }) => {
    assert.deepStrictEqual(failures, [])
    return requests[0]?.request.requestedBy
  })

/** The store's own time. */
export const timeOf = (store: Store): Effect.Effect<number, MessageStoreError> =>
  // a list that is not empty, because an empty one may be answered without asking the database
  Effect.map(store.stopRequests([freshRun()]), ({ now }) => now)

/** Waits until the store's own clock is past a time. */
export const timePasses = (store: Store, time: number): Effect.Effect<number, MessageStoreError> =>
  timeOf(store).pipe(
    Effect.repeat({ schedule: Schedule.spaced("5 millis"), until: (now) => now > time }),
    Effect.timeoutOrElse({
      duration: "10 seconds",
      orElse: () => Effect.die(new Error(`The store's clock did not pass ${time} in 10 seconds`))
    })
  )

/** Waits until whatever is written next has a later time than what is written already. */
export const clockTicks = (store: Store): Effect.Effect<number, MessageStoreError> =>
  Effect.flatMap(timeOf(store), (now) => timePasses(store, now))
