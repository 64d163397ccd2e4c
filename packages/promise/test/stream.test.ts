import { describe, expect, test } from "vitest"
import { aborted, deferred, place, quietStops, turn } from "./laws.fixture.ts"

const numbers = async function* (seen: { closed?: boolean } = {}) {
  try {
    for (let n = 0; ; n++) {
      yield n
      await turn()
    }
  } finally {
    seen.closed = true
  }
}

test("passes on all of it, and the errors of the source", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  const all: Array<number> = []
  for await (const value of run.stream([1, 2, 3])) all.push(value)
  expect(all).toEqual([1, 2, 3])
  const broken = async function* () {
    yield 1
    await Promise.reject(undefined)
  }
  const got: Array<unknown> = []
  const reading = async () => {
    for await (const value of run.stream(broken)) got.push(value)
  }
  await expect(reading()).rejects.toBeUndefined()
  expect(got).toEqual([1])
  await expect(run.stream(() => Promise.reject(new Error("no"))).next()).rejects.toThrow("no")
})

test("a reader that leaves closes the source", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  const seen: { closed?: boolean } = {}
  for await (const value of run.stream(numbers(seen))) if (value === 2) break
  expect(seen.closed).toBe(true)
  const gone = deferred<unknown>()
  const readable = new ReadableStream<number>({ cancel: gone.resolve })
  await run.stream(readable).cancel()
  await gone.promise
})

test("left before it was read, an iterator that was handed over is closed", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  const source = numbers()
  await run.stream(source).return?.()
  expect(await source.next()).toEqual({ done: true, value: undefined })
})

test("left while it opens, it is closed when it is open", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  const opened = deferred<AsyncGenerator<number>>()
  for (const gracePeriod of [Infinity, 5000]) {
    const stream = run.stream(() => opened.promise, { gracePeriod, pollInterval: 500 })
    const first = stream.next()
    const left = stream.return?.()
    opened.resolve(numbers())
    await left
    await first
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  }
})

describe("a stop", () => {
  test("while the source opens: it is closed and never begun", async () => {
    await using stops = quietStops({ gracePeriod: 1 })
    const run = await stops.watch(place)
    const opened = deferred<AsyncIterable<number>>()
    const first = run.stream(() => opened.promise).next()
    await run.stop("user")
    expect(await first).toEqual({ done: true, value: undefined })
    const asked: Array<string> = []
    const iterator: AsyncIterator<number> = {
      next: () => {
        asked.push("next")
        return Promise.resolve({ done: false, value: 1 })
      },
      return: () => {
        asked.push("return")
        return Promise.resolve({ done: true, value: undefined })
      }
    }
    opened.resolve({ [Symbol.asyncIterator]: () => iterator })
    await turn()
    expect(asked).toEqual(["return"])
  })

  test("does not wait longer than gracePeriod for a generator that ignores it", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place)
    const hold = deferred()
    const begun = deferred()
    const source = async function* () {
      begun.resolve()
      await hold.promise
      yield 1
    }
    const first = run.stream(source, { gracePeriod: 1 }).next()
    await begun.promise
    await stops.stop(place)
    expect(await first).toEqual({ done: true, value: undefined })
    hold.reject(new Error("late"))
    await turn()
    await run.close()
    expect(await stops.receipts(place)).toMatchObject([{ ended: { outcome: "abandoned" } }])
  })

  test("ends it as if it were done, though its source fails by it", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place)
    const got: Array<number> = []
    const source = async function* (signal: AbortSignal) {
      yield 1
      await aborted(signal)
      throw signal.reason
    }
    for await (const value of run.stream(source)) {
      got.push(value)
      void stops.stop(place)
    }
    expect(got).toEqual([1])
  })

  test("closes a ReadableStream that nobody reads from just now", async () => {
    await using stops = quietStops()
    const run = await stops.watch(place)
    const gone = deferred<unknown>()
    const source = new ReadableStream<number>({
      pull: (controller) => controller.enqueue(1),
      cancel: gone.resolve
    })
    const reader = run.stream(source).getReader()
    expect(await reader.read()).toEqual({ done: false, value: 1 })
    await run.stop("user")
    expect(await gone.promise).toBe(run.signal.reason)
    expect(await reader.read()).toEqual({ done: true, value: undefined })
  })
})

test("the end of its run is told to its reader, who was busy then: it is not done", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  const seen: { closed?: boolean } = {}
  const stream = run.stream(numbers(seen))
  await stream.next()
  await run.close()
  expect(seen.closed).toBe(true)
  await expect(stream.next()).rejects.toMatchObject({ name: "AbortError" })
  expect(await stream.next()).toEqual({ done: true, value: undefined })
  await expect(run.stream(numbers()).next()).rejects.toThrow("closed")
})

test("a value that is no source, and a setting that cannot be", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  // @ts-expect-error a number brings nothing
  await expect(run.stream(1).next()).rejects.toBeInstanceOf(TypeError)
  await expect(run.stream([1], { pollInterval: 0 }).next()).rejects.toBeInstanceOf(RangeError)
})
