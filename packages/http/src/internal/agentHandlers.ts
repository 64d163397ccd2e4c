/**
 * The six routes of the Agent API.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  type Lease,
  MessageStore,
  type MessageStoreError,
  type Run,
  type RunChange,
  type RunRecord,
  StopSignal,
  unavailable
} from "effect-cancellation"
import type { AgentLease, Look } from "../AgentApi.ts"
import { Agent } from "../CurrentAgent.ts"
import { Forbidden, InvalidRequest, Unavailable } from "../Problem.ts"
import { makeAgentGrants } from "./agentGrants.ts"
import { makeAgentHints } from "./agentHints.ts"
import { type AgentOwners, ownersOf } from "./agentOwner.ts"
import { makeAgentSweep } from "./agentSweep.ts"
import { eventStream } from "./eventStream.ts"
import { ofStore } from "./storeProblem.ts"
import { within } from "./within.ts"

export interface AgentSettings {
  readonly maxBody: number
  readonly bodyTimeout: Duration.Duration
  readonly minLeaseTtl: Duration.Duration
  readonly maxLeaseTtl: Duration.Duration
  readonly sweepAfter: Duration.Duration
  readonly storeTimeout: Duration.Duration
  readonly keepAlive: Duration.Duration
  readonly maxHints: Duration.Duration
  readonly capacity: number
}

export const makeAgentHandlers = Effect.fnUntraced(function* (settings: AgentSettings) {
  const { maxLeaseTtl, minLeaseTtl, storeTimeout } = settings
  const store = yield* MessageStore
  const signal = yield* StopSignal
  const hints = yield* makeAgentHints({ ...settings, signal })
  const sweep = makeAgentSweep(settings.sweepAfter)
  const { following, isWithin } = makeAgentGrants()
  const owners = Effect.flatMap(Agent, ownersOf)

  const ask = <A>(call: Effect.Effect<A, MessageStoreError>) =>
    within(storeTimeout, Effect.fail(tooSlow))(ofStore(call))

  const ttlOf = ({ ttl }: AgentLease): Effect.Effect<Duration.Duration, InvalidRequest> => {
    const time = Duration.millis(ttl)
    return Duration.between(time, { minimum: minLeaseTtl, maximum: maxLeaseTtl })
      ? Effect.succeed(time)
      : Effect.fail(
          new InvalidRequest({
            detail: `A lease of this server lasts ${Duration.format(minLeaseTtl)} at least and ${Duration.format(maxLeaseTtl)} at most.`
          })
        )
  }

  const leaseOf = ({ stored }: AgentOwners, claimed: AgentLease) =>
    Effect.flatMap(ttlOf(claimed), (ttl) =>
      Effect.map(stored(claimed.owner), (owner): Lease => ({ owner, ttl }))
    )

  const look = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>) {
    const isOwn = yield* isWithin
    const [strange, own] = partition(runs, isOwn)
    const found = yield* ask(store.stopRequests(own))
    return {
      requests: found.requests.filter(({ run }) => isOwn(run)),
      gone: [...found.gone.filter(isOwn), ...strange],
      lost: found.lost.filter(isOwn),
      failures: found.failures
        .filter(({ run }) => isOwn(run))
        .map(({ error, run }) => ({ run, error: withoutCause(error) })),
      now: found.now
    } satisfies Look
  })

  const start = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>, claimed?: AgentLease) {
    const isOwn = yield* isWithin
    const [strange] = partition(runs, isOwn)
    if (strange.length > 0) {
      return yield* new Forbidden({
        detail: `Of ${runs.length} runs ${strange.length} are outside of what these credentials are for; none was started.`
      })
    }
    const own = yield* owners
    const lease = claimed === undefined ? undefined : yield* leaseOf(own, claimed)
    const started =
      lease === undefined || !store.supports.leases
        ? ask(store.startRuns(runs))
        : sweep.renewing(ask(store.startRuns(runs, lease)))
    return (yield* started).map(own.told)
  })

  const advance = Effect.fnUntraced(function* (changes: ReadonlyArray<RunChange>) {
    const isOwn = yield* isWithin
    const own = changes.filter(({ run }) => isOwn(run))
    if (own.length === 0) return []
    return (yield* ask(store.advanceRuns(own))).map((yield* owners).told)
  })

  const lease = Effect.fnUntraced(function* (claimed: ReadonlyArray<AgentLease>) {
    const own = yield* owners
    const leases = yield* Effect.forEach(claimed, (one) => leaseOf(own, one))
    // That none was renewed says nothing of the store.
    if (leases.length === 0) return
    const renewal = Effect.forEach(leases, store.renewLease, { concurrency: 16, discard: true })
    yield* sweep.renewing(ask(renewal))
  })

  const sweepLost = Effect.gen(function* () {
    const isOwn = yield* isWithin
    // A store without leases says so itself.
    if (store.supports.leases && !(yield* sweep.isAllowed)) return []
    const swept = yield* ask(store.sweepLost)
    const strange = swept.filter(({ run }) => !isOwn(run)).length
    if (strange > 0) {
      // The agent that asked logs its own, and is not told of these.
      yield* Effect.logWarning(`Lost, since their processes are gone: ${strange} runs of others`)
    }
    return swept.filter(({ run }) => isOwn(run)).map((yield* owners).told)
  })

  const records = Effect.map((records: ReadonlyArray<RunRecord>) => ({ records }))

  return {
    look: ({ payload }: { readonly payload: { readonly runs: ReadonlyArray<Run> } }) =>
      look(payload.runs),
    start: ({
      payload
    }: {
      readonly payload: { readonly runs: ReadonlyArray<Run>; readonly lease?: AgentLease }
    }) => records(start(payload.runs, payload.lease)),
    advance: ({ payload }: { readonly payload: { readonly changes: ReadonlyArray<RunChange> } }) =>
      records(advance(payload.changes)),
    lease: ({ payload }: { readonly payload: { readonly leases: ReadonlyArray<AgentLease> } }) =>
      lease(payload.leases),
    sweep: () => records(sweepLost),
    hints: () =>
      Effect.map(following, (isOwn) =>
        eventStream(Stream.unwrap(Effect.map(isOwn, hints)), {
          keepAlive: settings.keepAlive,
          longest: settings.maxHints
        })
      )
  }
})

const tooSlow = new Unavailable({
  detail: "The store of runs does not answer; what was asked may be done or not.",
  retryAfter: 1
})

// Which row is malformed is the agent's own; what a database said is not.
const withoutCause = (error: MessageStoreError): MessageStoreError =>
  error.reason._tag === "StoreUnavailable"
    ? unavailable(error.reason.operation, "the row could not be read")
    : error

const partition = <A>(
  all: ReadonlyArray<A>,
  isWanted: (one: A) => boolean
): readonly [unwanted: ReadonlyArray<A>, wanted: ReadonlyArray<A>] => [
  all.filter((one) => !isWanted(one)),
  all.filter(isWanted)
]
