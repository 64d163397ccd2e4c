import * as fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import { StopError } from "effect-cancellation-promise"
import { deferred, place, quietStops, turn } from "./laws.fixture.ts"

const unhandled: Array<unknown> = []
const note = (error: unknown) => void unhandled.push(error)
beforeAll(() => void process.on("unhandledRejection", note))
afterAll(() => void process.off("unhandledRejection", note))

const step = fc.constantFrom(
  "stop",
  "stop inside",
  "outer abort",
  "resolve",
  "reject",
  "check",
  "turn",
  "close",
  "close all"
)

test("one run, whatever happens in whatever order: one result, one event", async () => {
  const outer = new Error("outer")
  const own = new Error("own")
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 8 }),
      fc.boolean(),
      fc.boolean(),
      async (steps, heeds, hasFallback) => {
        const stops = quietStops({ gracePeriod: 5 })
        const run = await stops.watch(place)
        let events = 0
        let aborts = 0
        run.onStop(() => events++)
        run.signal.addEventListener("abort", () => aborts++)
        const controller = new AbortController()
        const settling = deferred<string>()
        const signal = controller.signal
        const work = (inside: AbortSignal) => {
          if (heeds) inside.addEventListener("abort", () => settling.reject(inside.reason))
          return settling.promise
        }
        const result = hasFallback
          ? run.run(work, { signal, whenStopped: "stopped" })
          : run.run(work, { signal })
        const told = result.then(
          (value) => value,
          (error: unknown) => error
        )
        const doing: Array<Promise<unknown>> = []
        for (const what of steps) {
          if (what === "stop") doing.push(stops.stop(place).catch(() => {}))
          else if (what === "stop inside") doing.push(run.stop("deadline"))
          else if (what === "outer abort") controller.abort(outer)
          else if (what === "resolve") settling.resolve("value")
          else if (what === "reject") settling.reject(own)
          else if (what === "check") doing.push(run.check())
          else if (what === "close") doing.push(run.close())
          else if (what === "close all") doing.push(stops.close())
          else await turn()
        }
        doing.push(stops.close())
        // Work that heeds no signal, and met no stop, is waited for.
        if (!run.stopped) settling.resolve("value")
        await Promise.all(doing)
        settling.resolve("value")
        const end = await told
        const has = (what: (typeof steps)[number]) => steps.includes(what)
        const isClosed = end instanceof Error && end.message === "The run is closed."

        const isAllowed = () => {
          if (end === "stopped") return run.stopped && hasFallback
          if (end instanceof StopError) return run.event === end.cause
          if (end === outer) return has("outer abort")
          if (end === own) return has("reject")
          return isClosed ? has("close") : end === "value"
        }
        expect([end, isAllowed()]).toEqual([end, true])
        await turn()
        expect([events, aborts]).toEqual(run.stopped ? [1, 1] : [0, 0])
        expect(unhandled).toEqual([])
      }
    ),
    { numRuns: 300 }
  )
})
