import { getEventListeners } from "node:events"
import { describe, expect, test } from "vitest"
import { type Run, StopError } from "effect-cancellation-promise"
import { aborted, deferred, place, quietStops, turn, untilAborted } from "./laws.fixture.ts"

describe("one winner", () => {
  test("the flag decides, whatever the work says after it", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place)
    const value = run.run(
      async (signal) => {
        await aborted(signal)
        return "value"
      },
      { whenStopped: "stopped" }
    )
    const error = run.run(
      async (signal) => {
        await aborted(signal)
        throw new Error("mine")
      },
      { whenStopped: () => Promise.resolve("made") }
    )
    await stops.stop(place)
    expect(await Promise.all([value, error])).toEqual(["stopped", "made"])
  })

  test("work that is over before the stop keeps its result, and the stop is too late", async () => {
    await using stops = quietStops()
    const over = async (run: Run) => {
      // What ends before the store has been told of it is never told.
      await run.check()
      return "value"
    }
    expect(await stops.run(place, over, { whenStopped: "stopped" })).toBe("value")
    expect(await stops.stop(place)).toMatchObject([
      { phase: "tooLate", ended: { outcome: "completed" } }
    ])
  })

  test("nested work has its own results", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place)
    const inner = deferred<string>()
    const outer = run.run(
      async () => {
        inner.resolve(await run.run(untilAborted, { whenStopped: "inner" }))
      },
      { whenStopped: "outer" }
    )
    await stops.stop(place)
    expect([await inner.promise, await outer]).toEqual(["inner", "outer"])
  })

  test("whenStopped that throws is the caller's own error", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place)
    await run.stop("user")
    const mine = new Error("mine")
    const result = run.run(() => 1, {
      whenStopped: () => {
        throw mine
      }
    })
    await expect(result).rejects.toBe(mine)
  })
})

describe("transparent", () => {
  test.each([[undefined], [null], [0], ["text"], [new Error("mine")]])(
    "a rejection stays what it is: %s",
    async (thrown) => {
      await using stops = quietStops()
      const run = await stops.watch(place)
      const told = (promise: Promise<unknown>) =>
        promise.then(
          () => "resolved",
          (error: unknown) => ({ error })
        )
      const failing = () => Promise.reject(thrown)
      expect(await told(run.run(failing, { whenStopped: "stopped" }))).toEqual({ error: thrown })
      const throwing = () => {
        throw thrown
      }
      expect(await told(run.run(throwing))).toEqual({ error: thrown })
      expect(await told(stops.run(place, failing))).toEqual({ error: thrown })
    }
  )

  test("values pass, also of work without a promise", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place)
    const value = {}
    expect(await run.run(() => value)).toBe(value)
    expect(await run.run(() => undefined, undefined)).toBeUndefined()
    expect(await run.run(() => Promise.resolve(value), { whenStopped: undefined })).toBe(value)
  })
})

describe("an outer abort is no stop", () => {
  test.each([[undefined], [Infinity]])(
    "the work's own rejection stands (%s)",
    async (gracePeriod) => {
      await using stops = quietStops()
      const run = await stops.watch(place)
      await run.check()
      const outer = new AbortController()
      const result = run.run(untilAborted, {
        whenStopped: "stopped",
        signal: outer.signal,
        gracePeriod
      })
      const reason = new Error("left")
      outer.abort(reason)
      await expect(result).rejects.toBe(reason)
      expect(run.stopped).toBe(false)
      expect(run.signal.aborted).toBe(false)
      await run.close()
      expect(await stops.receipts(place)).toMatchObject([
        { phase: "none", ended: { outcome: "interrupted" } }
      ])
    }
  )

  test("it reaches the work of stops.run", async () => {
    await using stops = quietStops()
    const outer = new AbortController()
    const result = stops.run(
      place,
      (run, signal) => {
        outer.abort(new Error("left"))
        expect(run.stopped).toBe(false)
        return untilAborted(signal)
      },
      { signal: outer.signal, whenStopped: "stopped" }
    )
    await expect(result).rejects.toThrow("left")
  })

  test("a time-out is none either", async () => {
    await using stops = quietStops()
    const signal = AbortSignal.timeout(5)
    // The timer of the signal alone keeps no process.
    const alive = setInterval(() => {}, 1000)
    const result = stops.run(place, (run) => run.run(untilAborted, { signal }), {
      whenStopped: "stopped"
    })
    await expect(result).rejects.toMatchObject({ name: "TimeoutError" })
    clearInterval(alive)
  })

  test("one that has aborted begins nothing", async () => {
    await using stops = quietStops()
    let isBegun = false
    const signal = AbortSignal.abort(new Error("gone"))
    const run = await stops.watch(place)
    await run.check()
    const result = run.run(() => void (isBegun = true), { signal, whenStopped: 1 })
    await expect(result).rejects.toThrow("gone")
    expect(isBegun).toBe(false)
    await run.close()
    expect(await stops.receipts(place)).toMatchObject([{ ended: { outcome: "interrupted" } }])
  })

  test("with a stop at once, it wins for the caller, and the stop stays known", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place)
    const outer = new AbortController()
    run.signal.addEventListener("abort", () => outer.abort(new Error("left")))
    const result = run.run(untilAborted, { whenStopped: "stopped", signal: outer.signal })
    await stops.stop(place)
    await expect(result).rejects.toThrow("left")
    expect(run.event?.reason).toBe("user")
  })

  test("nothing is left with a signal that outlives the work", async () => {
    await using stops = quietStops()
    const { signal } = new AbortController()
    const many = Array.from({ length: 1000 }, (_, n) =>
      stops.run(
        { chatId: `chat-${n}` },
        async (run) => {
          const own = run.onStop(() => {})
          await turn()
          own()
          return getEventListeners(run.signal, "abort").length
        },
        { signal }
      )
    )
    expect(new Set(await Promise.all(many))).toEqual(new Set([1]))
    expect(getEventListeners(signal, "abort")).toEqual([])
    await stops.close()
    await turn()
    expect(process.getActiveResourcesInfo().filter((name) => name === "Timeout")).toEqual([])
  })
})

describe("finalizers", () => {
  test("run before the result is told", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place)
    const order: Array<string> = []
    const result = run.run(
      async (signal) => {
        try {
          await untilAborted(signal)
        } finally {
          await turn()
          order.push("finalizer")
        }
      },
      { whenStopped: () => order.push("whenStopped") }
    )
    await stops.stop(place)
    await result
    expect(order).toEqual(["finalizer", "whenStopped"])
  })

  test("Infinity waits for them as long as it takes", async () => {
    await using stops = quietStops({ gracePeriod: 0 })
    const run = await stops.watch(place)
    const hold = deferred()
    const result = run.run(() => hold.promise, { whenStopped: "stopped", gracePeriod: Infinity })
    await stops.stop(place)
    await aborted(run.signal)
    const first = await Promise.race([result, turn().then(() => "waits")])
    expect(first).toBe("waits")
    const closing = run.close()
    hold.resolve()
    expect(await result).toBe("stopped")
    await closing
    expect(await stops.receipts(place)).toMatchObject([{ ended: { outcome: "stopped" } }])
  })

  test("work that ignores its signal is given up: abandoned", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place, { gracePeriod: 1 })
    const hold = deferred<never>()
    const result = run.run(() => hold.promise)
    await stops.stop(place)
    await expect(result).rejects.toBeInstanceOf(StopError)
    await run.close()
    expect(await stops.receipts(place)).toMatchObject([
      { phase: "ended", ended: { outcome: "abandoned" } }
    ])
    expect(stops.entries.filter(({ level }) => level === "warning")).toMatchObject([
      { message: expect.stringContaining("given up"), details: { chatId: "chat" } }
    ])
    // Nobody is there to hear it any more; were it unhandled, the run of the tests would fail.
    hold.reject(new Error("late"))
    await turn()
  })
})
