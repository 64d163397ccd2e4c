/**
 * From the request of a stop in one process to the interrupt in another, with push, beside what the
 * bare driver takes to hear of a change on the same server.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import { SqlClient } from "effect/sql"
import type { MessageRef } from "effect-cancellation"
import { messagesOf, now, repoOn, runInProcess, startKnown, storesOn } from "../agents.ts"
import { addFlags, isFlagSet, listen, makeFlags } from "../flags.ts"
import type { Bar, Figure, Part } from "../Part.ts"
import { type Request, startRequester, stopOf } from "../requester.ts"
import { median, percentile, ratios } from "../statistics.ts"

export const latency: Part = {
  name: "latency",
  about: "stop to interrupt in another process, PostgreSQL with push, by the number of runs",
  needsDatabase: true,
  run: ({ databaseUrl = "", named, quick }) =>
    Effect.gen(function* () {
      yield* prepare(databaseUrl)
      const sizes = quick ? [1, 1000] : [1, 1000, 10_000]
      const stops = quick ? 8 : named ? 45 : 18
      const all = yield* Effect.forEach(sizes, (size) =>
        Effect.scoped(measure({ url: databaseUrl, size, rounds: 7, stops }))
      )
      return {
        figures: all.flatMap(({ figures }) => figures),
        bars: all.flatMap(({ bars }) => bars),
        notes: [
          "By hand is a listener of one's own that reads the row when it hears of it, and races the work.",
          `A round is ${stops} stops, too few for a p99: that is of all rounds together.`
        ]
      }
    }).pipe(runInProcess)
}

const prepare = Effect.fnUntraced(function* (url: string) {
  yield* Effect.scoped(Layer.build(storesOn(url)))
  yield* makeFlags(url)
  yield* addFlags(url, flags)
})

// Set again and again: what is measured is the change, not its first time.
const flags = messagesOf("flag", 10_000)

const names = {
  flag: "UPDATE + NOTIFY to notification",
  once: "both in one statement",
  hand: "by hand",
  stop: "requestStop to interrupt"
}
const kinds = ["flag", "once", "hand", "stop"] as const
type Times = Record<(typeof kinds)[number], Array<number>>

const noTimes = (): Times => ({ flag: [], once: [], hand: [], stop: [] })

const measure = Effect.fnUntraced(function* (options: {
  readonly url: string
  readonly size: number
  readonly rounds: number
  readonly stops: number
}) {
  const { rounds, size, stops, url } = options
  const group = `latency${size}`
  const context = yield* Layer.build(repoOn(url))
  const sql = yield* Effect.provide(SqlClient.SqlClient, context)
  const heard = yield* listen(url)
  const hears = Effect.map(Queue.take(heard), now)

  const moments = new Map<string, Deferred.Deferred<number>>()
  const start = Effect.fnUntraced(function* (refs: ReadonlyArray<MessageRef>) {
    for (const { messageId } of refs) moments.set(messageId, Deferred.makeUnsafe())
    return yield* startKnown(group, refs, {
      onInterrupt: ({ messageId }) => {
        const moment = moments.get(messageId)
        if (moment !== undefined) Deferred.doneUnsafe(moment, Effect.succeed(now()))
      }
    })
  })

  let order: Effect.Success<ReturnType<typeof startRequester>> | undefined
  const ordered = Effect.fnUntraced(function* (request: Request) {
    // Its statements are prepared for the table as it is by now.
    order ??= yield* startRequester(url)
    return yield* order([request])
  })
  const timed = <E, R>(request: Request, end: Effect.Effect<number, E, R>) =>
    Effect.map(
      Effect.all([ordered(request), end], { concurrency: 2 }),
      ([{ began }, ended]) => ended - (began[0] ?? Number.NaN)
    )
  // A run's work, interrupted by a listener that has read the row.
  const raced = (flag: MessageRef) =>
    Effect.gen(function* () {
      const stopped = Deferred.makeUnsafe<void>()
      const interrupted = Deferred.makeUnsafe<number>()
      const work = Effect.never.pipe(
        Effect.onInterrupt(() => Effect.suspend(() => Deferred.succeed(interrupted, now()))),
        Effect.raceFirst(Deferred.await(stopped))
      )
      yield* Effect.forkChild(work, { startImmediately: true })
      yield* Queue.take(heard)
      if (yield* isFlagSet(sql, flag)) yield* Deferred.succeed(stopped, undefined)
      return yield* Deferred.await(interrupted)
    })

  const stop = Effect.fnUntraced(function* (ref: MessageRef, turn: number) {
    const flag = flags[turn % flags.length] ?? ref
    const interrupted = moments.get(ref.messageId) ?? Deferred.makeUnsafe<number>()
    const each = {
      flag: timed(stopOf(flag, 0, "flag"), hears),
      once: timed(stopOf(flag, 0, "flag at once"), hears),
      hand: timed(stopOf(flag, 0, "flag"), raced(flag)),
      stop: timed(stopOf(ref), Deferred.await(interrupted))
    }
    const times = { flag: 0, once: 0, hand: 0, stop: 0 }
    // Each in its turn comes first, and after the same silence: what follows at once finds all awake.
    for (let index = 0; index < kinds.length; index++) {
      const kind = kinds[(turn + index) % kinds.length] ?? "stop"
      yield* Effect.sleep("4 millis")
      times[kind] = yield* each[kind]
    }
    return times
  })

  return yield* Effect.gen(function* () {
    const turns = stops * (rounds + 1)
    // As many are watched as was said until the last is stopped; one alone is begun anew each time.
    let agents = yield* start(messagesOf(group, size === 1 ? 1 : size + turns))
    const all: Array<Times> = []
    for (const [turn, ref] of messagesOf(group, turns).entries()) {
      if (turn % stops === 0) all.push(noTimes())
      if (size === 1 && turn > 0) agents = yield* start([ref])
      const times = yield* stop(ref, turn)
      for (const kind of kinds) all.at(-1)?.[kind].push(times[kind])
      // Its last write is over before the next turn begins.
      const agent = agents[size === 1 ? 0 : turn]
      if (agent !== undefined) yield* Fiber.await(agent)
    }
    // The first round is to warm up.
    return report(size, all.slice(1))
  }).pipe(Effect.provide(context))
})

const report = (size: number, rounds: ReadonlyArray<Times>) => {
  const of = (kind: keyof Times, part: number) => rounds.map((one) => percentile(one[kind], part))
  const p99 = (kind: keyof Times) =>
    percentile(
      rounds.flatMap((one) => one[kind]),
      0.99
    )
  const figures = kinds.flatMap((kind): ReadonlyArray<Figure> => [
    { name: `${size} runs: ${names[kind]}, p50`, unit: "ms", rounds: of(kind, 0.5) },
    { name: `${size} runs: ${names[kind]}, p99`, unit: "ms", rounds: [p99(kind)] },
    { name: `${size} runs: ${names[kind]}, worst of a round`, unit: "ms", rounds: of(kind, 1) }
  ])
  const times = (one: keyof Times, floor: keyof Times): Figure => ({
    name: `${size} runs: ${names[one]}, p50, times ${names[floor]}`,
    unit: "x",
    rounds: ratios(of(one, 0.5), of(floor, 0.5))
  })
  const bars: ReadonlyArray<Bar> = [
    {
      name: `${size} runs: p50, times ${names.flag}`,
      unit: "x",
      value: median(ratios(of("stop", 0.5), of("flag", 0.5))),
      atMost: 1.5
    },
    {
      name: `${size} runs: p99, times ${names.flag}`,
      unit: "x",
      value: p99("stop") / p99("flag"),
      atMost: 3
    }
  ]
  return { figures: [...figures, times("hand", "flag"), times("stop", "once")], bars }
}
