import { expect, test } from "vitest"
import { StopError, type StopEvent } from "effect-cancellation-promise"
import { aborted, deferred, place, quietStops, turn, untilAborted } from "./laws.fixture.ts"

test("sticky: a run that is stopped stays stopped, also when it is closed", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  await stops.stop(place)
  await aborted(run.signal)
  const { event } = run
  expect(run.stopped).toBe(true)
  await stops.stop(place, { reason: "deadline" })
  await run.stop("shutdown")
  expect(await run.check()).toBe(true)
  await run.close()
  expect(run.event).toBe(event)
  expect(run.event?.reason).toBe("user")
  expect(await run.check()).toBe(true)
  expect(await run.run(() => "work", { whenStopped: "stopped" })).toBe("stopped")
})

test("once: however often it is seen, each handler runs once, and the signal aborts once", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  const seen: Array<StopEvent> = []
  let aborts = 0
  run.signal.addEventListener("abort", () => aborts++)
  run.onStop((event) => seen.push(event))
  const stop = stops.stop(place)
  await Promise.all([run.check(), run.check(), stop, stops.stop(place), run.stop("deadline")])
  await run.check()
  await run.close()
  expect(seen).toEqual([run.event])
  expect(aborts).toBe(1)
})

test("late: a handler registered after the stop is called, one that was removed is not", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  const removed: Array<string> = []
  run.onStop(() => removed.push("removed"))()
  await run.stop("user")
  const late = deferred<StopEvent>()
  run.onStop(late.resolve)
  expect(await late.promise).toBe(run.event)
  await run.close()
  expect(removed).toEqual([])
  // Nothing is left to call it, and nothing breaks by it.
  run.onStop(() => {})()
})

test("a handler that throws is logged, and spoils nothing", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  const called: Array<string> = []
  run.onStop(() => {
    throw new Error("handler one")
  })
  run.onStop(async () => {
    await turn()
    throw new Error("handler two")
  })
  run.onStop(() => called.push("three"))
  await run.stop("user")
  await run.close()
  expect(called).toEqual(["three"])
  expect(stops.entries.map(({ error }) => error instanceof Error && error.message)).toEqual(
    expect.arrayContaining(["handler one", "handler two"])
  )
})

test("signal first: it has aborted when the first handler runs, and waits for none", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  const order: Array<string> = []
  const hold = deferred()
  const begun = deferred()
  run.onStop(async () => {
    begun.resolve()
    order.push(`handler, aborted: ${run.signal.aborted}, known: ${run.stopped}`)
    await hold.promise
  })
  run.signal.addEventListener("abort", () =>
    order.push(`signal, known: ${run.event?.reason}, handlers: ${order.length}`)
  )
  const result = run.run(untilAborted, { whenStopped: "stopped" })
  await stops.stop(place)
  expect(await result).toBe("stopped")
  await begun.promise
  expect(order).toEqual(["signal, known: user, handlers: 0", "handler, aborted: true, known: true"])
  hold.resolve()
})

test("signal first: the work's signal has aborted as soon as the run's has", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  let inside: AbortSignal | undefined
  const result = run.run((signal) => {
    inside = signal
    return untilAborted(signal)
  })
  const { signal } = run
  const both = deferred<boolean>()
  signal.addEventListener("abort", () =>
    queueMicrotask(() => both.resolve(inside?.aborted === true))
  )
  await stops.stop(place)
  await expect(result).rejects.toBeInstanceOf(StopError)
  expect(await both.promise).toBe(true)
  expect(inside?.reason).toBe(signal.reason)
  expect(signal.reason).toMatchObject({ name: "AbortError", cause: { reason: "user" } })
})

test("already stopped: work is not begun, and no source is opened", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  await run.stop("user")
  const begun: Array<string> = []
  const work = () => {
    begun.push("work")
    return 1
  }
  expect(await run.run(work, { whenStopped: undefined })).toBeUndefined()
  await expect(run.run(work)).rejects.toBeInstanceOf(StopError)
  async function* source() {
    begun.push("source")
    yield 1
  }
  expect(await run.stream(source).next()).toEqual({ done: true, value: undefined })
  expect(await run.stream(source()).next()).toEqual({ done: true, value: undefined })
  const cancelled = deferred<unknown>()
  const readable = new ReadableStream<number>(
    { pull: () => void begun.push("readable"), cancel: cancelled.resolve },
    { highWaterMark: 0 }
  )
  expect(await run.stream(readable).getReader().read()).toEqual({ done: true, value: undefined })
  expect(await cancelled.promise).toBe(run.signal.reason)
  expect(begun).toEqual([])
})

test("already stopped: a job that is delivered again finds the stop, and begins no work", async () => {
  await using stops = quietStops()
  const job = { runId: "job-1" }
  const first = await stops.watch(place, job)
  const stopping = first.run(untilAborted, { whenStopped: "stopped" })
  await stops.stop(place)
  await stopping
  await first.close()
  const second = await stops.watch(place, job)
  expect(await second.check()).toBe(true)
  expect(second.event?.detectedBy).toBe("start")
  let isBegun = false
  await second.run(() => void (isBegun = true), { whenStopped: "stopped" })
  expect(isBegun).toBe(false)
  // Written anew, it starts clean.
  const third = await stops.watch(place)
  expect(await third.check()).toBe(false)
})

test("already stopped: a stop that was there before the run is found by its first look", async () => {
  await using stops = quietStops()
  expect(await stops.stop(place, { requestedBy: "ann" })).toMatchObject([{ phase: "pending" }])
  const result = await stops.run(place, (run) => untilAborted(run.signal), {
    whenStopped: ({ detectedBy, requestedBy }) => `${detectedBy} ${requestedBy}`
  })
  expect(result).toBe("start ann")
})
