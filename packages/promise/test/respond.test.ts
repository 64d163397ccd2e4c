import { expect, test } from "vitest"
import { deferred, place, quietStops, turn, untilAborted } from "./laws.fixture.ts"

const endless = () =>
  new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      await turn()
      controller.enqueue(new TextEncoder().encode("."))
    }
  })

/** How the runs of the place ended, once they have: they end behind their bodies. */
const outcomes = async (stops: ReturnType<typeof quietStops>) => {
  while (true) {
    const receipts = await stops.receipts(place)
    const ends = receipts.flatMap((receipt) => ("ended" in receipt ? [receipt.ended?.outcome] : []))
    if (ends.length === receipts.length) return ends
    await turn()
  }
}

test("a body that is read to its end completes the run, and so does none", async () => {
  for (const body of ["text", null]) {
    await using stops = quietStops()
    const response = await stops.respond(place, async (run) => {
      await run.check()
      return new Response(body, { headers: { mine: "kept" } })
    })
    expect(response.headers.get("mine")).toBe("kept")
    expect(await response.text()).toBe(body ?? "")
    expect(await outcomes(stops)).toEqual(["completed"])
  }
})

test("a body that its reader leaves interrupts the run, and is cancelled", async () => {
  await using stops = quietStops()
  const left = deferred<unknown>()
  const response = await stops.respond(place, async (run) => {
    await run.check()
    return new Response(new ReadableStream({ cancel: left.resolve }))
  })
  await response.body?.cancel("closed tab")
  expect(await left.promise).toBe("closed tab")
  expect(await outcomes(stops)).toEqual(["interrupted"])
})

test("a body that breaks fails the run", async () => {
  await using stops = quietStops()
  const response = await stops.respond(place, async (run) => {
    await run.check()
    return new Response(
      new ReadableStream({
        pull: (controller) => controller.error(new Error("broken"))
      })
    )
  })
  await expect(response.text()).rejects.toThrow("broken")
  expect(await outcomes(stops)).toEqual(["failed"])
})

test("a handler that throws closes the run, before and after a stop", async () => {
  await using stops = quietStops()
  const failing = stops.respond(place, async (run) => {
    await run.check()
    throw new Error("mine")
  })
  await expect(failing).rejects.toThrow("mine")
  expect(await outcomes(stops)).toEqual(["failed"])
  const stopped = stops.respond(place, async (run) => {
    await run.check()
    void stops.stop(place)
    return untilAborted(run.signal)
  })
  await expect(stopped).rejects.toMatchObject({ name: "AbortError" })
  expect(await outcomes(stops)).toEqual(["failed", "stopped"])
})

test("a body that goes on for longer than gracePeriod after the stop is cut", async () => {
  await using stops = quietStops({ gracePeriod: 1 })
  const response = await stops.respond(place, async (run) => {
    await run.check()
    return new Response(endless())
  })
  const text = response.text()
  await stops.stop(place)
  expect(await text).toMatch(/^\.*$/)
})

test("a body that comes when the time is over is cut at once", async () => {
  await using stops = quietStops({ gracePeriod: 1 })
  const left = deferred<unknown>()
  const response = await stops.respond(place, async (run) => {
    await run.check()
    await run.stop("user")
    // Closed behind the grace period of what is under way.
    await run.close()
    await turn()
    return new Response(new ReadableStream({ cancel: left.resolve }))
  })
  expect(await response.text()).toBe("")
  await left.promise
  expect(await outcomes(stops)).toEqual(["abandoned"])
})

test("close cuts a body that nobody reads", async () => {
  const stops = quietStops({ gracePeriod: 1 })
  const left = deferred<unknown>()
  await stops.respond(place, () => new Response(new ReadableStream({ cancel: left.resolve })))
  await stops.close()
  await left.promise
})
