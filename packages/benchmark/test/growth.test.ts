/**
 * What a process does in two minutes and what its runs take, counted in virtual time: whatever is
 * done oftener, or once a run where it was once a process, shows here.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { CancellationWatcher, MessageRepo, MessageStore } from "effect-cancellation"
import { forkAll, messagesOf } from "../src/agents.ts"

/** A store in memory that counts what it is asked, and by which operation. */
const countingStore = Effect.gen(function* () {
  const calls: Record<string, number> = {}
  const counted = <A, E>(name: string, effect: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      calls[name] = (calls[name] ?? 0) + 1
      return effect
    })
  const inMemory = yield* Effect.provide(
    MessageStore,
    yield* Layer.build(Layer.fresh(MessageStore.layerMemory()))
  )
  const store = MessageStore.of({
    supports: inMemory.supports,
    stopRequests: (runs) => counted("stopRequests", inMemory.stopRequests(runs)),
    startRuns: (runs, lease) => counted("startRuns", inMemory.startRuns(runs, lease)),
    requestStop: (target, intent) => counted("requestStop", inMemory.requestStop(target, intent)),
    advanceRuns: (changes) => counted("advanceRuns", inMemory.advanceRuns(changes)),
    findRuns: (query) => counted("findRuns", inMemory.findRuns(query)),
    renewLease: (lease) => counted("renewLease", inMemory.renewLease(lease)),
    sweepLost: counted("sweepLost", inMemory.sweepLost),
    forget: (query) => counted("forget", inMemory.forget(query))
  })
  const known = Effect.map(inMemory.findRuns({ _tag: "Company" }), (runs) => runs.length)
  return { calls, known, store }
})

// Fibers are numbered one after the other, whoever begins them.
const nextFiber = () => Effect.runFork(Effect.void).id

/** Every timer of Node and every fiber begun in this process while the scope is open. */
const countingAll = Effect.gen(function* () {
  const { setInterval, setTimeout } = globalThis
  const count = { timers: 0 }
  const counted = <F extends typeof setInterval | typeof setTimeout>(original: F): F =>
    new Proxy(original, {
      apply: (target, self, given) => {
        count.timers++
        return Reflect.apply(target, self, given)
      }
    })
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      globalThis.setTimeout = counted(setTimeout)
      globalThis.setInterval = counted(setInterval)
    }),
    () =>
      Effect.sync(() => {
        globalThis.setTimeout = setTimeout
        globalThis.setInterval = setInterval
      })
  )
  const first = nextFiber()
  return { timers: () => count.timers, fibers: () => nextFiber() - first - 1 }
})

const watching = (size: number, work: Effect.Effect<void, never, CancellationWatcher>) =>
  Effect.gen(function* () {
    const { calls, known, store } = yield* countingStore
    const repo = yield* Layer.build(
      Layer.provide(MessageRepo.layer(), Layer.succeed(MessageStore, store))
    )
    const counted = yield* countingAll
    yield* forkAll(
      messagesOf("growth", size).map((ref) =>
        Effect.provide(work, CancellationWatcher.layer({ ref }), { local: true })
      )
    ).pipe(Effect.provide(repo))
    yield* Effect.yieldNow.pipe(
      Effect.andThen(known),
      Effect.repeat({ until: (runs) => runs === size })
    )
    const started = { fibers: counted.fibers(), timers: counted.timers() }
    yield* TestClock.adjust("2 minutes")
    return {
      calls: { ...calls },
      started,
      later: {
        fibers: counted.fibers() - started.fibers,
        timers: counted.timers() - started.timers
      }
    }
  }).pipe(Effect.scoped)

describe("in two minutes of a process", () => {
  it.effect.each([
    { size: 1, chunks: 1 },
    { size: 1000, chunks: 1 },
    { size: 2500, chunks: 3 }
  ])("the store is asked as often as the README says, of $size runs", ({ chunks, size }) =>
    Effect.gen(function* () {
      const { calls } = yield* watching(size, Effect.never)
      const { startRuns = 0, ...others } = calls
      // The first to start does not wait for the others.
      assert.isAtMost(startRuns, 1 + Math.ceil(size / 1000))
      assert.deepStrictEqual(others, {
        // Every two seconds.
        stopRequests: 60 * chunks,
        // Every ten.
        renewLease: 12,
        // With each renewal from the fourth on.
        sweepLost: 9
      })
    })
  )
})

describe("a run more", () => {
  const grown = Effect.fnUntraced(function* (
    work: Effect.Effect<void, never, CancellationWatcher>
  ) {
    // Whatever is made once is there before.
    yield* watching(1, work)
    const few = yield* watching(10, work)
    const many = yield* watching(110, work)
    return {
      fibers: (many.started.fibers - few.started.fibers) / 100,
      timers: many.started.timers - few.started.timers,
      later: [few.later, many.later] as const
    }
  })

  it.effect.each([
    { name: "watched", work: Effect.never, fibers: 1 },
    {
      name: "in runWithCancellation",
      work: CancellationWatcher.runWithCancellation(Effect.never, { cancelResult: undefined }),
      fibers: 2
    }
  ])("$name begins so many fibers: $fibers, no timer, and nothing later", ({ fibers, work }) =>
    Effect.gen(function* () {
      const { later, ...atOnce } = yield* grown(work)
      assert.deepStrictEqual(atOnce, { fibers, timers: 0 })
      const [few, many] = later
      assert.deepStrictEqual(many, few)
    })
  )
})
