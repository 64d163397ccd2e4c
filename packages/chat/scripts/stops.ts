/**
 * Stops agents at random moments and tells what still happened: `npm run stops`.
 *
 * The agents ask a model on a local server, which sends a chunk each 10 ms, and use tools that change
 * the world each 10 ms for 100 ms. They run twice: on this library, with push; and as the same loop
 * by hand, where a poller reads the flag every two seconds and the loop looks at it before each step
 * and before each tool.
 *
 *   npm run stops [-- <runs>]
 */
import { NodeRuntime } from "@effect/platform-node"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import {
  call,
  finish,
  pace,
  say,
  type Script,
  serveChatCompletions
} from "../test/support/ChatCompletionsServer.ts"
import { byHand } from "./stops/byHand.ts"
import { type Loop, type Seen, type World, median, percentile } from "./stops/World.ts"
import { withLibrary } from "./stops/withLibrary.ts"

const runs = Number(process.argv[2] ?? 200)
const concurrency = 20

// Five answers of 20 chunks and two tools each: about 2.5 seconds if nobody stops it.
const steps = 5
const answer = (step: number): Script => [
  pace(10),
  ...say(...Array.from({ length: 20 }, (_, n) => `w${n} `)),
  ...(step === steps
    ? finish("stop")
    : [
        ...call({ id: `a${step}`, name: "change", params: {}, index: 0, pieces: 1 }),
        ...call({ id: `b${step}`, name: "change", params: {}, index: 1, pieces: 1 }),
        ...finish("tool_calls")
      ])
]

const stepOf = (body: unknown): number =>
  (body as { readonly messages: ReadonlyArray<{ readonly role: string }> }).messages.filter(
    ({ role }) => role === "assistant"
  ).length

const trial = Effect.fnUntraced(function* (loop: Loop, name: string) {
  const server = yield* serveChatCompletions(({ body }) => answer(stepOf(body)))
  const exchangesOf = (id: string) =>
    server.exchanges().filter(({ body }) => (body as { readonly user?: string }).user === id)
  const written = (id: string) =>
    exchangesOf(id).reduce((sum, exchange) => sum + exchange.written(), 0)

  const one = Effect.fnUntraced(function* (index: number) {
    const id = `${name}-${index}`
    const seen: Seen = { starts: [], changes: [], unasked: 0 }
    // In steps, not in time: which of two came first is known also within a millisecond.
    let steps = 0
    let storedAt = Number.POSITIVE_INFINITY
    let clearedBy: number | undefined
    const world: World = {
      look: () => {
        const beganAt = ++steps
        return () => {
          clearedBy = beganAt
        }
      },
      stored: () => {
        storedAt = ++steps
      },
      change: Effect.gen(function* () {
        if (clearedBy === undefined || clearedBy > storedAt) seen.unasked++
        clearedBy = undefined
        seen.starts.push(yield* Clock.currentTimeMillis)
        for (let slice = 0; slice < 10; slice++) {
          yield* Effect.sleep("10 millis")
          seen.changes.push(yield* Clock.currentTimeMillis)
        }
      })
    }
    let chunksAtInterrupt: number | undefined
    const agent = yield* loop({
      id,
      baseUrl: server.baseUrl,
      world,
      // What is under way when the program hears of the stop.
      onInterrupt: Effect.sync(() => (chunksAtInterrupt = written(id)))
    })
    yield* Effect.sleep(Math.random() * 2000)
    yield* agent.stop
    const stoppedAt = yield* Clock.currentTimeMillis
    const chunksAtStop = written(id)
    yield* agent.ended
    yield* Effect.forEach(exchangesOf(id), ({ outcome }) => outcome, { discard: true })
    const chunks = written(id)
    const last = Math.max(stoppedAt, ...seen.changes.filter((time) => time > stoppedAt))
    return {
      chunksAfterStop: chunks - chunksAtStop,
      chunksAfterInterrupt:
        chunksAtInterrupt === undefined ? undefined : chunks - chunksAtInterrupt,
      toolsUnasked: seen.unasked,
      toolsStarted: seen.starts.filter((time) => time > stoppedAt).length,
      toLastChange: last - stoppedAt,
      toEnd: (yield* Clock.currentTimeMillis) - stoppedAt
    }
  }, Effect.scoped)

  return yield* Effect.forEach(
    Array.from({ length: runs }, (_, n) => n),
    one,
    { concurrency }
  )
}, Effect.scoped)

type Figures = Effect.Success<ReturnType<typeof trial>>

const rows: ReadonlyArray<readonly [string, (figures: Figures) => string]> = [
  ["runs stopped", (all) => String(all.length)],
  [
    "chunks sent after the interrupt, at most",
    (all) => {
      const interrupted = all.flatMap((one) => one.chunksAfterInterrupt ?? [])
      return interrupted.length === 0 ? "no interrupt" : String(Math.max(...interrupted))
    }
  ],
  ["chunks sent after the stop, median / at most", spread((one) => one.chunksAfterStop)],
  [
    "tools begun by a check that began after the stop",
    (all) => String(sum(all.map((one) => one.toolsUnasked)))
  ],
  [
    "tools begun after the stop was stored, in all",
    (all) => String(sum(all.map((one) => one.toolsStarted)))
  ],
  ["stop to last effect on the world, median / p99 (ms)", times((one) => one.toLastChange)],
  ["stop to the end of the run, median / p99 (ms)", times((one) => one.toEnd)]
]

function sum(values: ReadonlyArray<number>) {
  return values.reduce((total, value) => total + value, 0)
}

function spread(figure: (one: Figures[number]) => number) {
  return (all: Figures) => `${median(all.map(figure))} / ${Math.max(...all.map(figure))}`
}

function times(figure: (one: Figures[number]) => number) {
  return (all: Figures) => `${median(all.map(figure))} / ${percentile(all.map(figure), 99)}`
}

const program = Effect.gen(function* () {
  yield* Console.log(`Stopping ${runs} runs at random moments, ${concurrency} at a time, twice ...`)
  const ours = yield* trial(withLibrary, "ours")
  const theirs = yield* trial(byHand, "by-hand")
  const table = [
    ["", "effect-cancellation", "flag polled by hand"],
    ...rows.map(([name, figure]) => [name, figure(ours), figure(theirs)])
  ]
  yield* Console.log(
    table
      .map(([name = "", a = "", b = ""]) => `${name.padEnd(54)}${a.padStart(20)}${b.padStart(22)}`)
      .join("\n")
  )
  if (ours.some(({ chunksAfterInterrupt = 0 }) => chunksAfterInterrupt > 1)) {
    return yield* Effect.die(new Error("More than one chunk was sent after an interrupt."))
  }
  if (ours.some(({ toolsUnasked }) => toolsUnasked > 0)) {
    return yield* Effect.die(new Error("A tool began by a check that began after the stop."))
  }
})

NodeRuntime.runMain(Effect.provideService(program, References.MinimumLogLevel, "Warn"))
