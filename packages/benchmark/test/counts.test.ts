/** What must not grow, counted: it is the same on any machine, however busy it is. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Tracer from "effect/Tracer"
import {
  CancellationWatcher,
  type MessageRef,
  MessageRepo,
  MessageStore,
  RunQuery
} from "effect-cancellation"
import * as Postgres from "../../sql/test/support/Postgres.ts"
import {
  countStatements,
  forkAll,
  messagesOf,
  repoOn,
  startAgents,
  untilRunning
} from "../src/agents.ts"
import { Bare, refOf, rowsOf } from "../src/watched.ts"

const until = <A, E, R>(look: Effect.Effect<A, E, R>, accept: (seen: A) => boolean) =>
  Effect.repeat(look, { schedule: Schedule.spaced("10 millis"), until: accept })

const isLook = (statement: string) => statement.includes("UNION ALL SELECT -1")

describe("on PostgreSQL", () => {
  const started = Effect.fnUntraced(function* (size: number) {
    const { url } = yield* Postgres.database
    const counted = countStatements()
    const context = yield* Effect.withTracer(
      Layer.build(repoOn(Redacted.value(url), { notify: false })),
      counted.tracer
    )
    const before = counted.others.length
    yield* startAgents(messagesOf("counted", size), { pollInterval: "200 millis" }).pipe(
      Effect.andThen(untilRunning("counted", (running) => running === size)),
      Effect.provide(context)
    )
    return { ...counted, starts: counted.others.slice(before) }
  })

  it.live.each([
    { size: 1, statements: 1 },
    { size: 1000, statements: 1 },
    { size: 2500, statements: 3 }
  ])(
    "a tick of $size runs is $statements statements, and their start is no more looks",
    ({ size, statements }) =>
      Effect.gen(function* () {
        const { ofTicks, others, starts } = yield* started(size)
        const transactions = starts.filter((text) => text.includes("INSERT INTO agent_runs"))
        // The first to start does not wait for the others.
        assert.isAtMost(transactions.length, 1 + Math.ceil(size / 1000))
        // Eight statements a transaction, and a renewal of the lease.
        assert.isAtMost(starts.length, 8 * transactions.length + 1)
        assert.isFalse(starts.some(isLook))

        const before = ofTicks().length
        yield* until(Effect.sync(ofTicks), (ticks) => ticks.length >= before + 3)
        // The first may have been under way while there were fewer runs.
        assert.deepStrictEqual(ofTicks().slice(before + 1, before + 3), [statements, statements])
        // Nor does anything else look meanwhile, in whichever span.
        assert.isFalse(others.some(isLook))
      }).pipe(Effect.scoped),
    60_000
  )
})

/** Fibers and sleeps that are there now, of what is run with the counter. */
const makeCounter = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const count = { fibers: 0, sleeps: 0 }
  const metrics: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => void count.fibers++,
    recordFiberEnd: () => void count.fibers--
  }
  const counting: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) =>
      Effect.suspend(() => {
        count.sleeps++
        return Effect.ensuring(
          clock.sleep(duration),
          Effect.sync(() => void count.sleeps--)
        )
      })
  }
  return {
    count,
    counted: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      effect.pipe(
        Effect.provideService(Metric.FiberRuntimeMetrics, metrics),
        Effect.provideService(Clock.Clock, counting)
      )
  }
})

describe("in memory", () => {
  const watching = Effect.fnUntraced(function* (
    size: number,
    work: Effect.Effect<void, never, CancellationWatcher>
  ) {
    const { count, counted } = yield* makeCounter
    const store = yield* Layer.build(MessageStore.layerMemory())
    yield* counted(
      Effect.gen(function* () {
        const repo = yield* Layer.build(MessageRepo.layer())
        yield* forkAll(
          messagesOf("counted", size).map((ref) =>
            Effect.provide(work, CancellationWatcher.layer({ ref }), { local: true })
          )
        ).pipe(Effect.provide(repo))
      }).pipe(Effect.provide(store))
    )
    const inMemory = yield* Effect.provide(MessageStore, store)
    yield* until(
      inMemory.findRuns(RunQuery.cases.Company.make({ runningOnly: true })),
      (runs) => runs.length === size
    )
    return count
  })
  const grown = Effect.fnUntraced(function* (
    work: Effect.Effect<void, never, CancellationWatcher>
  ) {
    const few = yield* watching(10, work)
    const many = yield* watching(110, work)
    return { fibers: (many.fibers - few.fibers) / 100, sleeps: many.sleeps - few.sleeps, few }
  })

  it.live("a watched run is no fiber but its own, and no timer", () =>
    Effect.gen(function* () {
      const { few, fibers, sleeps } = yield* grown(Effect.never)
      assert.strictEqual(fibers, 1)
      assert.strictEqual(sleeps, 0)
      // Of the process: the ticks and the lease.
      assert.strictEqual(few.sleeps, 2)
    }).pipe(Effect.scoped)
  )

  it.live("runWithCancellation is one fiber more, and no timer", () =>
    Effect.gen(function* () {
      const { fibers, sleeps } = yield* grown(
        CancellationWatcher.runWithCancellation(Effect.never, { cancelResult: undefined })
      )
      assert.strictEqual(fibers, 2)
      assert.strictEqual(sleeps, 0)
    }).pipe(Effect.scoped)
  )
})

describe("operations of Effect's run loop", () => {
  /** What one of many takes, whatever is done for all of them together included. */
  const operationsOfOne = Effect.fnUntraced(function* (
    store: Layer.Layer<MessageStore>,
    one: (ref: MessageRef) => Effect.Effect<unknown, never, MessageRepo | MessageStore>
  ) {
    let count = 0
    const tracer = Tracer.make({
      span: (options) => new Tracer.NativeSpan(options),
      context: (primitive, fiber) => {
        count++
        return primitive["~effect/Effect/evaluate"](fiber)
      }
    })
    const refs = Array.from({ length: 1000 }, (_, index) => refOf(index))
    yield* Effect.forEach(refs, one, { concurrency: 100, discard: true }).pipe(
      Effect.provide(MessageRepo.layer().pipe(Layer.provideMerge(store))),
      Effect.withTracer(tracer)
    )
    return count / refs.length
  })

  it.live("a run of one step takes a quarter more than the same in a bare layer and a race", () =>
    Effect.gen(function* () {
      const Lookup = MessageStore.fromLookup((asked) => Effect.sync(() => rowsOf(asked)))
      const step = Effect.as(Effect.yieldNow, 1)
      const bare = yield* operationsOfOne(Lookup, (ref) =>
        Effect.provide(
          Effect.flatMap(Bare, () => Effect.raceFirst(step, Effect.never)),
          Bare.layer(ref)
        )
      )
      const watched = yield* operationsOfOne(Lookup, (ref) =>
        Effect.provide(
          CancellationWatcher.runWithCancellation(step, { cancelResult: 0 }),
          CancellationWatcher.layer({ ref })
        )
      )
      assert.isAbove(bare, 30)
      assert.isAtMost(watched / bare, 1.25)
    })
  )

  it.live(
    "a check takes fewer than the store's read with a time limit",
    () =>
      Effect.gen(function* () {
        const repeated = (
          looking: (
            watcher: CancellationWatcher["Service"],
            read: Effect.Effect<unknown>
          ) => Effect.Effect<unknown>
        ) =>
          operationsOfOne(MessageStore.layerMemory(), (ref) =>
            Effect.gen(function* () {
              const store = yield* MessageStore
              const watcher = yield* CancellationWatcher
              const run = yield* watcher.run
              // Its start is the first look.
              yield* Effect.sleep("10 millis")
              const read = Effect.orDie(store.stopRequests([run]))
              yield* Effect.repeat(looking(watcher, read), { times: 99 })
            }).pipe(Effect.provide(CancellationWatcher.layer({ ref })))
          )
        const nothing = yield* repeated(() => Effect.void)
        const limited = yield* repeated((_, read) =>
          Effect.orDie(Effect.timeout(read, "5 seconds"))
        )
        const checked = yield* repeated((watcher) => watcher.check)
        assert.isAbove(limited - nothing, 1000)
        assert.isAtMost((checked - nothing) / (limited - nothing), 0.95)
      }),
    60_000
  )
})
