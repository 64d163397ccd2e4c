/**
 * One process of the small world: a repo on a store and a signal that can be told to misbehave, with
 * an observer between the repo and its store.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Fault, SignalFault, SignalFaults, StoreFaults } from "effect-cancellation-testing"
import {
  MessageRepo,
  MessageStore,
  ProcessId,
  type Run,
  runKey,
  type StopIntent,
  type StopTarget
} from "../../src/index.ts"
import type { Act, ProcessIndex, StoreFault } from "../schedule.ts"

export interface Process {
  readonly index: ProcessIndex
  readonly context: Context.Context<MessageRepo>
  readonly signal: SignalFaults["Service"]
  readonly requestStop: (target: StopTarget, intent: StopIntent) => Effect.Effect<void>
  readonly disturbStore: (
    operations: "reads" | "starts" | "writes" | "all",
    fault: StoreFault
  ) => void
  readonly disturbSignal: (event: Extract<Act, { act: "signal" }>["event"]) => void
  readonly heal: () => void
  /** Healthy, connected to its signal, and with no call to the store under way. */
  readonly isQuiet: () => boolean
  /** Calls that the repo has made to its store. */
  readonly calls: () => number
  /** Reads for stops, with how many runs each was about. */
  readonly reads: () => ReadonlyArray<number>
  /** Runs that were read though nobody here watched them any more. */
  readonly needlessReads: () => ReadonlyArray<string>
}

const faults: Readonly<Record<StoreFault, Fault>> = {
  fail: Fault.fail,
  hang: Fault.hang,
  hangUninterruptibly: Fault.hangUninterruptibly,
  slow: Fault.slow(200),
  late: Fault.late(200),
  die: Fault.die,
  loseAnswer: Fault.loseAnswer,
  malformed: Fault.malformed(),
  stale: Fault.stale,
  nonsense: Fault.nonsense,
  flapping: Fault.flapping(Fault.fail, Fault.healthy, Fault.slow(200))
}

// The switches of the faults are plain steps: nothing in them waits.
const now = <A>(effect: Effect.Effect<A>): A => Effect.runSync(effect)

export const makeProcess = Effect.fnUntraced(function* (options: {
  readonly index: ProcessIndex
  readonly store: MessageStore["Service"]
  readonly signal: Layer.Layer<never>
  readonly scope: Scope.Scope
  readonly chunkSize: number
  readonly isWatched: (process: ProcessIndex, run: Run) => boolean
}): Effect.fn.Return<Process> {
  const { index, isWatched, scope } = options
  const reads: Array<number> = []
  const needless: Array<string> = []
  let inFlight = 0
  let calls = 0
  let healthy = true

  const observed = (store: MessageStore["Service"]): MessageStore["Service"] => {
    const counted = <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        calls++
        inFlight++
        return Effect.ensuring(
          call,
          Effect.sync(() => {
            inFlight--
          })
        )
      })
    return {
      supports: store.supports,
      stopRequests: (runs) =>
        counted(
          Effect.suspend(() => {
            reads.push(runs.length)
            for (const run of runs) if (!isWatched(index, run)) needless.push(runKey(run))
            return store.stopRequests(runs)
          })
        ),
      startRuns: (runs, lease) => counted(store.startRuns(runs, lease)),
      requestStop: (target, intent) => counted(store.requestStop(target, intent)),
      advanceRuns: (changes) => counted(store.advanceRuns(changes)),
      findRuns: (query) => counted(store.findRuns(query)),
      renewLease: (lease) => counted(store.renewLease(lease)),
      sweepLost: counted(store.sweepLost),
      forget: (query) => counted(store.forget(query))
    }
  }

  const observedStore = Layer.effect(MessageStore, Effect.map(MessageStore, observed))
  const layer = MessageRepo.layer({
    chunkSize: options.chunkSize,
    pollTimeout: 1000,
    // Leases have laws of their own; here they would only be more calls.
    leaseTtl: "10 hours",
    processId: ProcessId.make(`process-${index}`)
  }).pipe(
    Layer.provide(observedStore),
    Layer.provideMerge(StoreFaults.layer(Layer.succeed(MessageStore, options.store))),
    Layer.provideMerge(SignalFaults.layer(options.signal))
  )
  const context = yield* Layer.buildWithScope(layer, scope)
  const { repo, signal, store } = yield* Effect.provideContext(
    Effect.all({ repo: MessageRepo, signal: SignalFaults, store: StoreFaults }),
    context
  )

  let subscriptions = 1

  const disturbSignal = (event: Extract<Act, { act: "signal" }>["event"]): void => {
    switch (event) {
      case "disconnect":
      case "crash":
        subscriptions = now(signal.counts).subscribe.calls + 1
        return now(event === "crash" ? signal.crash : signal.disconnect)
      case "drop":
        return now(signal.set({ hints: SignalFault.drop }))
      case "double":
        return now(signal.set({ hints: SignalFault.doubling }))
      case "delay":
        return now(signal.set({ hints: SignalFault.delayed(700) }))
      case "heal":
        return now(signal.heal)
      case "reconnected":
      default:
        return now(signal.reconnected)
    }
  }

  return {
    index,
    context,
    signal,
    requestStop: (target, intent) => Effect.ignore(repo.requestStop(target, intent)),
    disturbStore: (operations, fault) => {
      healthy = false
      now(store.set({ [operations]: faults[fault] }))
    },
    disturbSignal,
    heal: () => {
      healthy = true
      now(store.heal)
      now(signal.heal)
    },
    isQuiet: () => healthy && inFlight === 0 && now(signal.counts).subscribe.calls >= subscriptions,
    calls: () => calls,
    reads: () => reads,
    needlessReads: () => needless
  }
})
