/**
 * Prints what a run takes of the heap. A program of its own, for `--expose-gc` and a young generation
 * so large that nothing is collected but where it is asked for.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import {
  CancellationWatcher,
  type MessageRef,
  MessageRepo,
  MessageStore
} from "effect-cancellation"
import { Bare, refOf } from "../../src/watched.ts"

/** Bytes of one run: all that was allocated to start it, and what is kept of it. */
export interface HeapOfRun {
  readonly allocated: number
  readonly waiting: number
  readonly ended: number
}

interface Contender {
  readonly run: (ref: MessageRef, wait: Effect.Effect<void>) => Effect.Effect<unknown>
  /** Waits until there are so many that have not ended. */
  readonly settled: (running: number) => Effect.Effect<unknown>
  readonly forget: Effect.Effect<unknown>
}

const size = 2000

const turns = Effect.repeat(Effect.yieldNow, { times: 10 })

const bare: Contender = {
  run: (ref, wait) =>
    Effect.provide(
      Effect.flatMap(Bare, () => Effect.raceFirst(wait, Effect.never)),
      Bare.layer(ref)
    ),
  settled: () => turns,
  forget: Effect.void
}

const makeWatched = Effect.gen(function* () {
  const stores = yield* Layer.build(MessageStore.layerMemory())
  const repo = yield* Effect.provideContext(Layer.build(MessageRepo.layer()), stores)
  const running = Effect.map(
    Context.get(stores, MessageStore).findRuns({ _tag: "Company", runningOnly: true }),
    (runs) => runs.length
  )
  const contender: Contender = {
    run: (ref, wait) =>
      CancellationWatcher.runWithCancellation(wait, { cancelResult: undefined }).pipe(
        Effect.provide(CancellationWatcher.layer({ ref, pollInterval: "1 hour" })),
        Effect.provideContext(repo)
      ),
    settled: (wanted) =>
      turns.pipe(
        Effect.andThen(Effect.orDie(running)),
        Effect.repeat({ until: (now) => now === wanted })
      ),
    forget: Effect.orDie(
      Context.get(repo, MessageRepo).forget({ _tag: "EndedBefore", time: Number.MAX_SAFE_INTEGER })
    )
  }
  return contender
})

// Some of what nobody holds any more can be freed only a turn of the loop later.
const heapAfterCollection = Effect.gen(function* () {
  for (let i = 0; i < 4; i++) {
    yield* turns
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
})

const begin = ({ run }: Contender, wait: Effect.Effect<void>) =>
  Effect.forEach(
    Array.from({ length: size }, (_, index) => refOf(index)),
    (ref) => Effect.forkDetach(run(ref, wait))
  )

const measure = Effect.fnUntraced(function* (contender: Contender) {
  const end = Deferred.makeUnsafe<void>()
  const before = yield* heapAfterCollection
  let fibers: ReadonlyArray<Fiber.Fiber<unknown>> = yield* begin(contender, Deferred.await(end))
  yield* contender.settled(size)
  const begun = process.memoryUsage().heapUsed
  const waiting = yield* heapAfterCollection
  yield* Deferred.succeed(end, undefined)
  yield* Fiber.awaitAll(fibers)
  fibers = []
  yield* contender.settled(0)
  yield* contender.forget
  const ended = yield* heapAfterCollection
  const ofOne = (heap: number) => (heap - before) / size
  return { allocated: ofOne(begun), waiting: ofOne(waiting), ended: ofOne(ended) }
})

const measureRounds = Effect.fnUntraced(function* (contender: Contender) {
  // The first pays for what is compiled and cached once; what is kept of a run is kept in each.
  yield* measure(contender)
  const rounds = yield* Effect.replicateEffect(measure(contender), 3)
  const least = (key: keyof HeapOfRun) => Math.min(...rounds.map((round) => round[key]))
  return { allocated: least("allocated"), waiting: least("waiting"), ended: least("ended") }
})

const program = Effect.gen(function* () {
  return { bare: yield* measureRounds(bare), watched: yield* measureRounds(yield* makeWatched) }
}).pipe(Effect.scoped)

const measured = await Effect.runPromise(program)
// Not waited for: what the runs may have left behind.
process.stdout.write(JSON.stringify(measured), () => process.exit())
