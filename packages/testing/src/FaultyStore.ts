/**
 * A store that misbehaves when it is told to.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { MessageStore, type Run } from "effect-cancellation"
import { Fault } from "./Fault.ts"
import { type CallCounts, makeCallLog } from "./internal/callLog.ts"
import { changingRecords, receiptsTwice, changingLook, sameAnswer } from "./internal/answers.ts"
import { applyFault, type Call } from "./internal/applyFault.ts"
import { makeGate } from "./internal/gate.ts"

/**
 * An operation of a `MessageStore`.
 *
 * @category models
 * @since 0.1.0
 */
export type StoreOperation = Exclude<keyof MessageStore["Service"], "supports">

const groups = {
  reads: ["stopRequests", "findRuns"],
  starts: ["startRuns"],
  writes: ["requestStop", "advanceRuns", "forget"],
  leases: ["renewLease", "sweepLost"]
} as const satisfies Record<string, ReadonlyArray<StoreOperation>>

const operations: ReadonlyArray<StoreOperation> = Object.values(groups).flat()

/**
 * Which fault which operation gets; what is left out stays as it is. `reads` are `stopRequests` and
 * `findRuns`, `starts` is `startRuns`, `writes` are `requestStop`, `advanceRuns` and `forget`,
 * `leases` are `renewLease` and `sweepLost`. An operation's own name wins over its group, a group
 * over `all`.
 *
 * @category models
 * @since 0.1.0
 */
export type StoreFaultSettings = {
  readonly [Key in StoreOperation | keyof typeof groups | "all"]?: Fault
}

/**
 * The switches of a store that misbehaves, and what was asked of it.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { MessageStore } from "effect-cancellation"
 * import { Fault, StoreFaults } from "effect-cancellation-testing"
 *
 * const test = Effect.gen(function* () {
 *   const faults = yield* StoreFaults
 *   yield* faults.set({ reads: Fault.hang })
 *   // ... the code under test looks ...
 *   yield* faults.begun("stopRequests", 1)
 *   yield* faults.heal
 *   const { stopRequests } = yield* faults.counts
 *   return stopRequests.maxInFlight
 * }).pipe(Effect.provide(StoreFaults.layer(MessageStore.layerMemory())))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class StoreFaults extends Context.Service<
  StoreFaults,
  {
    /** Gives operations a fault, from their next call on. */
    readonly set: (settings: StoreFaultSettings) => Effect.Effect<void>
    /** Makes every operation healthy, and releases what hangs. */
    readonly heal: Effect.Effect<void>
    /** Lets the calls that hang now go on; later ones hang as set. */
    readonly release: Effect.Effect<void>
    /** What has been asked, an operation each. */
    readonly counts: Effect.Effect<Readonly<Record<StoreOperation, CallCounts>>>
    /** Waits until the n-th call (from 1) of an operation has begun; at once if it has. */
    readonly begun: (operation: StoreOperation, nth: number) => Effect.Effect<void>
    /** Waits until n calls of an operation have ended, whichever way; at once if they have. */
    readonly ended: (operation: StoreOperation, nth: number) => Effect.Effect<void>
    /** The store below, always healthy and never counted: for arranging and for the truth. */
    readonly store: MessageStore["Service"]
  }
>()("effect-cancellation-testing/StoreFaults") {
  /**
   * A store over the given one, healthy at first, and its switches.
   *
   * Waiting is on Effect's `Clock`, so it works under `TestClock` too. What still hangs when the
   * layer closes is released.
   */
  static readonly layer = <E, R>(
    store: Layer.Layer<MessageStore, E, R>
  ): Layer.Layer<StoreFaults | MessageStore, E, R> =>
    Layer.provide(Layer.effectContext(make), store)
}

const make = Effect.gen(function* () {
  const store = yield* MessageStore
  const log = makeCallLog(operations)
  const gate = makeGate()
  const settings = new Map<StoreOperation, { readonly fault: Fault; calls: number }>()
  yield* Effect.addFinalizer(() => gate.open)

  const set = (chosen: StoreFaultSettings) =>
    Effect.sync(() => {
      const assign = (targets: ReadonlyArray<StoreOperation>, fault: Fault | undefined) => {
        if (fault === undefined) return
        for (const operation of targets) settings.set(operation, { fault, calls: 0 })
      }
      assign(operations, chosen.all)
      assign(groups.reads, chosen.reads)
      assign(groups.starts, chosen.starts)
      assign(groups.writes, chosen.writes)
      assign(groups.leases, chosen.leases)
      for (const operation of operations) assign([operation], chosen[operation])
    })

  const faultNow = (operation: StoreOperation) => {
    const setting = settings.get(operation)
    if (setting === undefined) return Fault.healthy
    const { fault } = setting
    if (fault._tag !== "Flapping") return fault
    const next = fault.faults[setting.calls % fault.faults.length] ?? fault.faults[0]
    setting.calls += 1
    return next
  }

  const call = <A>(request: Call<A> & { readonly operation: StoreOperation; rows: number }) =>
    log.track(request.operation, request.rows, () =>
      applyFault(faultNow(request.operation), request, gate)
    )

  const wrapped = MessageStore.of({
    supports: store.supports,
    stopRequests: (runs) =>
      call({
        operation: "stopRequests",
        rows: runs.length,
        runs,
        healthy: store.stopRequests(runs),
        changed: changingLook(runs)
      }),
    startRuns: (runs, lease) =>
      call({
        operation: "startRuns",
        rows: runs.length,
        runs,
        healthy: store.startRuns(runs, lease),
        changed: changingRecords(runs)
      }),
    requestStop: (target, intent) =>
      call({
        operation: "requestStop",
        rows: 1,
        runs: target._tag === "Run" ? [target.run] : [],
        healthy: store.requestStop(target, intent),
        changed: receiptsTwice
      }),
    advanceRuns: (changes) =>
      call({
        operation: "advanceRuns",
        rows: changes.length,
        runs: changes.map(({ run }) => run),
        healthy: store.advanceRuns(changes),
        changed: changingRecords(changes.map(({ run }) => run))
      }),
    findRuns: (query) =>
      call({
        operation: "findRuns",
        rows: query._tag === "Refs" ? query.refs.length : 1,
        runs: noRuns,
        healthy: store.findRuns(query),
        changed: changingRecords(noRuns)
      }),
    renewLease: (lease) =>
      call({
        operation: "renewLease",
        rows: 1,
        runs: noRuns,
        healthy: store.renewLease(lease),
        changed: sameAnswer()
      }),
    sweepLost: Effect.suspend(() =>
      call({
        operation: "sweepLost",
        rows: 0,
        runs: noRuns,
        healthy: store.sweepLost,
        changed: changingRecords(noRuns)
      })
    ),
    forget: (query) =>
      call({
        operation: "forget",
        rows: 1,
        runs: noRuns,
        healthy: store.forget(query),
        changed: sameAnswer()
      })
  })

  const faults = StoreFaults.of({
    set,
    heal: Effect.andThen(set({ all: Fault.healthy }), gate.open),
    release: gate.open,
    counts: log.counts,
    begun: (operation, nth) => log.until(operation, "calls", nth),
    ended: (operation, nth) => log.until(operation, "ended", nth),
    store
  })

  return Context.make(StoreFaults, faults).pipe(Context.add(MessageStore, wrapped))
})

const noRuns: ReadonlyArray<Run> = []
