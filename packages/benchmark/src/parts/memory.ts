/**
 * The heap that a watched run takes, while 10,000 of them wait.
 *
 * The store in memory has its rows in the same heap. A database has them elsewhere, so they are kept
 * out: the floor is the same fiber in a layer of its own, with the same rows in a store beside it.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  CancellationWatcher,
  type MessageRef,
  MessageRepo,
  MessageStore,
  Run,
  RunId
} from "effect-cancellation"
import { watchByHand } from "../handWritten.ts"
import type { Figure, Part } from "../Part.ts"
import { median } from "../statistics.ts"
import { Bare, refOf, rowsOf } from "../watched.ts"

interface Contender {
  readonly name: string
  /** Builds what all runs share. */
  readonly prepare: (refs: ReadonlyArray<MessageRef>) => Effect.Effect<Prepared, never, Scope.Scope>
}

interface Prepared {
  readonly run: (ref: MessageRef, wait: Effect.Effect<void>) => Effect.Effect<unknown>
  /** Waits until the store has been told of all runs, or asked about them. */
  readonly settled: Effect.Effect<void>
}

const unshared = (run: Prepared["run"]) => () => Effect.succeed({ run, settled: Effect.void })

// Rarely enough that no look is under way when the heap is read; the hand-written pollers as rarely.
const pollInterval = "1 hour"

const watched =
  (
    body: (wait: Effect.Effect<void>) => Effect.Effect<unknown, never, CancellationWatcher>
  ): Contender["prepare"] =>
  (refs) =>
    Effect.gen(function* () {
      const stores = yield* Layer.build(MessageStore.layerMemory())
      const store = Context.get(stores, MessageStore)
      const repo = yield* Effect.provideContext(Layer.build(MessageRepo.layer()), stores)
      return {
        run: (ref, wait) => inRun(body(wait), ref, repo),
        settled: Effect.orDie(store.findRuns({ _tag: "Company" })).pipe(
          Effect.repeat({ until: (runs) => runs.length === refs.length }),
          Effect.asVoid
        )
      }
    })

const watchedOnLookup: Contender["prepare"] = (refs) =>
  Effect.gen(function* () {
    const allAsked = yield* Deferred.make<void>()
    let asked = 0
    const Store = MessageStore.fromLookup((some) => {
      asked += some.length
      const rows = Effect.sync(() => rowsOf(some))
      return asked < refs.length
        ? rows
        : Effect.tap(rows, () => Deferred.succeed(allAsked, undefined))
    })
    const repo = yield* Layer.build(Layer.provide(MessageRepo.layer(), Store))
    return {
      run: (ref, wait) => inRun(wait, ref, repo),
      settled: Deferred.await(allAsked)
    }
  })

const inRun = (
  body: Effect.Effect<unknown, never, CancellationWatcher>,
  ref: MessageRef,
  repo: Context.Context<MessageRepo>
) =>
  Effect.flatMap(CancellationWatcher, () => body).pipe(
    Effect.provide(CancellationWatcher.layer({ ref, pollInterval })),
    Effect.provideContext(repo)
  )

const inBareLayer = (body: Effect.Effect<void>, ref: MessageRef) =>
  Effect.provide(
    Effect.flatMap(Bare, () => body),
    Bare.layer(ref)
  )

/** The runs themselves are made before, so that nothing but their rows is added. */
const bareWithRows: Contender["prepare"] = (refs) =>
  Effect.gen(function* () {
    const store = Context.get(yield* Layer.build(MessageStore.layerMemory()), MessageStore)
    const runs = new Map(
      refs.map((ref) => [ref, Run.make({ ref, runId: RunId.make(crypto.randomUUID()) })])
    )
    return {
      run: (ref, wait) => {
        const run = runs.get(ref)
        const start = run === undefined ? Effect.void : Effect.orDie(store.startRuns([run]))
        return Effect.andThen(start, inBareLayer(wait, ref))
      },
      settled: Effect.void
    }
  })

const byHand: Contender["prepare"] = () =>
  Effect.map(Ref.make(false), (flag) => ({
    run: (_, wait) =>
      watchByHand({ isStopped: Ref.get(flag), pollInterval, pollTimeout: "5 seconds" }).pipe(
        Effect.andThen(wait),
        Effect.scoped
      ),
    settled: Effect.void
  }))

/** The same without Effect, and so without a fiber: an `AbortController` and a poller of its own. */
const byPromises: Contender["prepare"] = () =>
  Effect.gen(function* () {
    const controllers: Array<AbortController> = []
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => controllers.forEach((controller) => controller.abort()))
    )
    return {
      run: () => Effect.sync(() => void controllers.push(startByPromises())),
      settled: Effect.void
    }
  })

const startByPromises = (): AbortController => {
  const isStopped = async () => false
  const controller = new AbortController()
  const look = async () => {
    if (await isStopped()) controller.abort()
  }
  const poller = setInterval(() => void look(), 3_600_000)
  const work = new Promise<void>(() => {})
  void Promise.race([work, aborted(controller.signal)]).finally(() => clearInterval(poller))
  return controller
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true })
  })

const contenders = {
  fiber: { name: "bare fiber", prepare: unshared((_, wait) => wait) },
  layer: { name: "bare layer", prepare: unshared((ref, wait) => inBareLayer(wait, ref)) },
  rows: { name: "bare layer, and its row in the store", prepare: bareWithRows },
  watched: { name: "watched, and its row in the store", prepare: watched((wait) => wait) },
  lookup: { name: "watched, on a store that keeps nothing", prepare: watchedOnLookup },
  hand: { name: "by hand", prepare: byHand },
  promises: { name: "promises, with AbortController and setInterval", prepare: byPromises },
  race: {
    name: "bare layer, in raceFirst",
    prepare: unshared((ref, wait) => inBareLayer(Effect.raceFirst(wait, Effect.never), ref))
  },
  wrapped: {
    name: "watched, in runWithCancellation",
    prepare: watched((wait) =>
      CancellationWatcher.runWithCancellation(wait, { cancelResult: undefined })
    )
  },
  subscribed: {
    name: "watched, with a subscriber to events",
    prepare: watched((wait) =>
      Effect.andThen(Effect.forkChild(Stream.runDrain(CancellationWatcher.events)), wait)
    )
  }
} satisfies Record<string, Contender>

type Key = keyof typeof contenders

/** Bytes of the heap for one of so many runs. */
const bytesOfOne = (contender: Contender, refs: ReadonlyArray<MessageRef>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { run, settled } = yield* contender.prepare(refs)
      const end = yield* Deferred.make<void>()
      const before = yield* heapUsed
      for (const ref of refs) yield* Effect.forkScoped(run(ref, Deferred.await(end)))
      yield* Effect.yieldNow
      yield* settled
      const after = yield* heapUsed
      yield* Deferred.succeed(end, undefined)
      return (after - before) / refs.length
    })
  )

// Some of what nobody holds any more can be freed only a turn of the loop later.
const heapUsed = Effect.gen(function* () {
  yield* Effect.sleep(2)
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
})

export const memory: Part = {
  name: "memory",
  about: "heap of a watched run, while 10,000 wait",
  needsDatabase: false,
  run: async ({ named, quick }) => {
    const refs = Array.from({ length: quick ? 1000 : 10_000 }, (_, index) => refOf(index))
    const keys: ReadonlyArray<Key> = [
      ...(["fiber", "layer", "rows", "watched", "hand", "promises"] as const),
      ...(named ? (["subscribed", "lookup", "race", "wrapped"] as const) : [])
    ]
    const figures = new Map<Key, Array<number>>(keys.map((key) => [key, []]))
    // The first round pays for what is compiled and cached once.
    for (let round = -1; round < (quick ? 2 : 7); round++) {
      for (const key of keys) {
        const bytes = await Effect.runPromise(bytesOfOne(contenders[key], refs))
        if (round >= 0) figures.get(key)?.push(bytes / 1024)
      }
    }
    const roundsOf = (key: Key) => figures.get(key) ?? []
    const beyond = (name: string, one: Key, floor: Key): Figure => ({
      name,
      unit: "KiB",
      rounds: roundsOf(one).map((value, round) => value - (roundsOf(floor)[round] ?? Number.NaN))
    })
    const watcher = beyond("the watcher: beyond the bare layer and its row", "watched", "rows")
    return {
      figures: [
        ...keys.map((key): Figure => ({
          name: contenders[key].name,
          unit: "KiB",
          rounds: roundsOf(key)
        })),
        watcher,
        beyond("the watcher and its layer: beyond the bare fiber", "watched", "fiber"),
        beyond("by hand: beyond the bare fiber", "hand", "fiber"),
        beyond("on a store that keeps nothing: beyond the bare layer", "lookup", "layer"),
        beyond("raceFirst adds to the bare layer", "race", "layer"),
        beyond("runWithCancellation adds", "wrapped", "watched"),
        beyond("a subscriber to events adds, its fiber included", "subscribed", "watched"),
        beyond("a row of the store in memory", "rows", "layer")
      ].filter(({ rounds }) => rounds.length > 0),
      bars: [
        {
          name: "heap of a watched run beyond the bare layer",
          unit: "KiB",
          value: median(watcher.rounds),
          atMost: 4.5
        }
      ],
      notes: [
        "the store in memory has its rows in the same heap; they are in the floor as well",
        ...(named ? [] : ["`npm run bench memory` measures some more"])
      ]
    }
  }
}
