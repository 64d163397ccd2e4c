/**
 * Runs of one step, started and ended: what they leave behind, and how many a second there can be.
 *
 * The store must not be what grows: one keeps nothing of its runs, the other forgets those that have
 * ended after each block.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  CancellationWatcher,
  MessageRef,
  MessageRepo,
  MessageStore,
  type ForgetQuery
} from "effect-cancellation"
import { watchByHand } from "../handWritten.ts"
import type { Bar, Figure, Part } from "../Part.ts"
import { median, ratios } from "../statistics.ts"
import { Bare, rowsOf } from "../watched.ts"

// It pauses once, as a step does, so that a run is not over before the store can hear of it.
const step = Effect.as(Effect.yieldNow, 1)

const refs = Array.from({ length: 1000 }, (_, index) =>
  MessageRef.of({ chatId: `chat-${index}`, messageId: `message-${index}` })
)

interface Contender {
  readonly name: string
  readonly count: number
  readonly atATime: number
  readonly run: (ref: MessageRef) => Effect.Effect<unknown, never, MessageRepo>
  /** Of the program, around all runs. */
  readonly repo: Context.Context<MessageRepo>
  /** Called after each block, and not timed. */
  readonly forget: Effect.Effect<unknown>
}

const bare = {
  run: (ref: MessageRef) =>
    Effect.provide(
      Effect.flatMap(Bare, () => Effect.raceFirst(step, Effect.never)),
      Bare.layer(ref)
    ),
  forget: Effect.void
}

const watched = (ref: MessageRef) =>
  Effect.provide(
    CancellationWatcher.runWithCancellation(step, { cancelResult: 0 }),
    CancellationWatcher.layer({ ref })
  )

// Each looks at once, as a first look must, and then seldom.
const byHand = (ref: MessageRef) =>
  Effect.scoped(
    Effect.flatMap(
      watchByHand({
        isStopped: Effect.sync(() => rowsOf([ref]).some((row) => row.userAbortedAt !== null)),
        pollInterval: "2 seconds",
        pollTimeout: "5 seconds"
      }),
      (run) => run.runWithCancellation(step)
    )
  )

const ended: ForgetQuery = { _tag: "EndedBefore", time: Number.MAX_SAFE_INTEGER }

const makeContenders = Effect.fnUntraced(function* (many: number, some: number) {
  const Lookup = MessageStore.fromLookup((asked) => Effect.sync(() => rowsOf(asked)))
  const onLookup = yield* Layer.build(Layer.provide(MessageRepo.layer(), Lookup))
  const onMemory = yield* Layer.build(MessageRepo.layerMemory())
  const forget = Effect.orDie(Context.get(onMemory, MessageRepo).forget(ended))
  const onFlag = { run: watched, repo: onLookup, forget: Effect.void }
  const floor = { ...bare, repo: onLookup }
  return {
    bare: { name: "bare, 100 at a time", count: many, atATime: 100, ...floor },
    watched: { name: "watched, 100 at a time", count: many, atATime: 100, ...onFlag },
    hand: {
      name: "by hand, 100 at a time",
      count: some,
      atATime: 100,
      run: byHand,
      repo: onLookup,
      forget: Effect.void
    },
    memory: {
      name: "watched on the store in memory, 100 at a time",
      count: some,
      atATime: 100,
      run: watched,
      repo: onMemory,
      forget
    },
    bareAlone: { name: "bare, one after the other", count: some, atATime: 1, ...floor },
    watchedAlone: { name: "watched, one after the other", count: some, atATime: 1, ...onFlag }
  } satisfies Record<string, Contender>
})

const all = ["bare", "watched", "hand", "memory", "bareAlone", "watchedAlone"] as const
type Key = (typeof all)[number]

const runBlock = ({ atATime, repo, run }: Contender, count: number) =>
  Effect.forEach(refsUpTo(count), run, { concurrency: atATime, discard: true }).pipe(
    Effect.provideContext(repo)
  )

function* refsUpTo(count: number) {
  for (let done = 0; done < count; done += refs.length) yield* refs.slice(0, count - done)
}

const heapUsed = Effect.gen(function* () {
  // What still ends in the background is no leak.
  yield* Effect.sleep(20)
  // Code that is not used any more is freed only after several collections.
  for (let i = 0; i < 5; i++) {
    yield* Effect.sleep(2)
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed / 1024 / 1024
})

export const churn: Part = {
  name: "churn",
  about: "runs of one step, started and ended; 1,000,000 with `npm run bench churn`",
  needsDatabase: false,
  run: ({ named, quick }) =>
    Effect.gen(function* () {
      const many = quick ? 50_000 : named ? 1_000_000 : 200_000
      const some = 30_000
      const rounds = quick ? 5 : 8
      const keys: ReadonlyArray<Key> = quick ? ["bare", "watched"] : all
      const contenders = yield* makeContenders(many, some)
      const rates = new Map(keys.map((key): [string, Array<number>] => [key, []]))
      const heaps: Array<number> = []
      // What is compiled and cached once is there before the first reading.
      for (const key of keys) {
        yield* runBlock(contenders[key], 5000)
        yield* contenders[key].forget
      }
      const before = yield* heapUsed
      for (let round = 0; round < rounds; round++) {
        for (let turn = 0; turn < keys.length; turn++) {
          const key = keys[(round + turn) % keys.length] ?? "bare"
          const contender = contenders[key]
          const count = contender.count / rounds
          globalThis.gc?.()
          const begun = process.cpuUsage()
          yield* runBlock(contender, count)
          const { system, user } = process.cpuUsage(begun)
          rates.get(key)?.push(count / ((user + system) / 1e6))
          yield* contender.forget
        }
        heaps.push(yield* heapUsed)
      }
      const ratio = (name: string, one: string, floor: string): Figure => ({
        name,
        unit: "x",
        rounds: ratios(rates.get(one) ?? [], rates.get(floor) ?? [])
      })
      const rate = ratio("100 at a time: times the bare rate", "watched", "bare")
      const bars: ReadonlyArray<Bar> = [
        {
          name: `heap after ${many} watched runs: times before`,
          unit: "x",
          // Whatever was freed in a round must not make room for a leak in the next.
          value: (heaps.at(-1) ?? Number.NaN) / Math.min(before, ...heaps),
          atMost: 1.05
        },
        {
          name: "rate: times that of a bare layer and raceFirst",
          unit: "x",
          value: median(rate.rounds),
          atLeast: 0.5
        }
      ]
      const figures: ReadonlyArray<Figure> = [
        ...keys.map((key): Figure => ({
          name: `${contenders[key].name}: runs a second`,
          unit: "per s",
          rounds: rates.get(key) ?? []
        })),
        rate,
        ratio("100 at a time, by hand: times the bare rate", "hand", "bare"),
        ratio("100 at a time, on the store in memory: times the bare rate", "memory", "bare"),
        ratio("one after the other: times the bare rate", "watchedAlone", "bareAlone"),
        { name: "heap before", unit: "MiB", rounds: [before] },
        { name: "heap after each round", unit: "MiB", rounds: heaps }
      ]
      return {
        figures: figures.filter((figure) => figure.rounds.length > 0),
        bars,
        notes: [
          "rates are of the processor's time; watched runs are on a store that keeps nothing, unless the store in memory is named, which forgets what has ended after each round"
        ]
      }
    }).pipe(Effect.scoped, Effect.runPromise)
}
