import { expect, test } from "vitest"
import { type Run, StoreError } from "effect-cancellation-promise"
import { storeOf, complete } from "../src/internal/source.ts"
import { aborted, deferred, place, quietStops, turn, untilAborted } from "./laws.fixture.ts"

test("aim: a stop touches the run that was meant, and no other", async () => {
  await using stops = quietStops()
  const one = await stops.watch({ ...place, messageId: "one" })
  const two = await stops.watch({ ...place, messageId: "two" })
  const other = await stops.watch({ chatId: "other", messageId: "one" })
  await stops.stop({ ...place, messageId: "one", runId: one.runId })
  await aborted(one.signal)
  expect([one, two, other].map((run) => run.stopped)).toEqual([true, false, false])
  // Written anew, it is another run: the late stop of the first one does not find it.
  const again = await stops.watch({ ...place, messageId: "one" })
  await stops.stop({ ...place, messageId: "one", runId: one.runId })
  expect(await Promise.all([again.check(), two.check(), other.check()])).toEqual([
    false,
    false,
    false
  ])
})

test("aim: after retarget the earlier messages count, and the event names the one stopped", async () => {
  await using stops = quietStops()
  const run = await stops.watch({ ...place, messageId: "one" })
  await run.check()
  await run.retarget("two")
  expect(run.messageId).toBe("two")
  await stops.stop({ ...place, messageId: "one" })
  expect(await run.check()).toBe(true)
  expect(run.event?.messageId).toBe("one")
})

test("tenants: company, user and chat must match", async () => {
  await using stops = quietStops()
  const mine = { ...place, companyId: "acme", userId: "ann" }
  const run = await stops.watch(mine)
  await run.check()
  for (const theirs of [place, { ...mine, userId: "bob" }, { ...mine, companyId: "evil" }]) {
    await stops.stop(theirs)
    expect(await stops.receipts(theirs)).not.toMatchObject([{ runId: run.runId }])
  }
  expect(await run.check()).toBe(false)
  await stops.stop(mine)
  expect(await run.check()).toBe(true)
})

test("bad settings: a RangeError names the option, the value and the range", async () => {
  const wrong = [{ pollInterval: 0 }, { gracePeriod: -1 }, { handlerTimeout: Number.NaN }]
  for (const settings of wrong) {
    const [name = ""] = Object.keys(settings)
    const shown = new RegExp(`^${name} is (0|-1|NaN); it must be milliseconds`)
    expect(() => quietStops(settings)).toThrow(shown)
    await using stops = quietStops()
    const watched = stops.watch(place, settings)
    await expect(watched).rejects.toThrow(shown)
    await expect(watched).rejects.toBeInstanceOf(RangeError)
  }
  expect(() => quietStops({ pollTimeout: Infinity })).toThrow(RangeError)
  expect(() => quietStops({ chunkSize: 1.5 })).toThrow(RangeError)
  await using stops = quietStops({ gracePeriod: Infinity })
  await expect(stops.watch({ chatId: 'a"b' })).rejects.toBeInstanceOf(TypeError)
  const run = await stops.watch(place, undefined)
  await expect(run.run(() => 1, { gracePeriod: -1 })).rejects.toBeInstanceOf(RangeError)
  // @ts-expect-error no such outcome
  await expect(run.close("fine")).rejects.toBeInstanceOf(TypeError)
  // @ts-expect-error it has no default
  await expect(stops.drain({})).rejects.toBeInstanceOf(RangeError)
})

test("receipts: a run that is closed says how, and the end of work that is under way", async () => {
  await using stops = quietStops()
  const ends = async (use: (run: Run) => unknown) => {
    const chat = { chatId: globalThis.crypto.randomUUID() }
    const run = await stops.watch(chat)
    await run.check()
    await use(run)
    await run.close()
    const [receipt] = await stops.receipts(chat)
    return receipt !== undefined && "ended" in receipt ? receipt.ended?.outcome : receipt?.phase
  }
  expect(await ends(() => {})).toBe("completed")
  expect(await ends((run) => run.close("failed"))).toBe("failed")
  expect(await ends((run) => run.run(() => Promise.reject(1)).catch(() => {}))).toBe("failed")
  expect(await ends((run) => run.stop("user"))).toBe("stopped")
  expect(await ends((run) => run.stop("deadline"))).toBe("interrupted")
  expect(await ends((run) => void run.run(untilAborted))).toBe("interrupted")
})

test("close: work that closes its run in its first step is ended by its signal", async () => {
  await using stops = quietStops()
  const run = await stops.watch(place)
  let closing: Promise<void> | undefined
  const result = run.run((signal) => {
    closing = run.close()
    return untilAborted(signal)
  })
  await expect(result).rejects.toThrow("The run is closed.")
  await closing
  await expect(run.run(() => 1)).rejects.toThrow("The run is closed.")
  expect(run.stopped).toBe(false)
  await run.stop("user")
  expect(run.stopped).toBe(false)
  expect(await run.check()).toBe(false)
})

test("close: work that resists is told of, waited for as long as it was given, and then left", async () => {
  await using stops = quietStops({ gracePeriod: 0 })
  const hold = deferred()
  const patient = await stops.watch(place)
  const result = patient.run(() => hold.promise, { gracePeriod: Infinity })
  const closing = patient.close().then(() => "closed")
  expect(await Promise.race([closing, turn().then(turn)])).toBeUndefined()
  hold.resolve()
  await result
  await closing
  expect(stops.entries).toEqual([])
  const hasty = await stops.watch(place)
  void hasty.run(() => new Promise(() => {}))
  await hasty.close()
  expect(stops.entries).toMatchObject([
    { level: "warning", message: expect.stringContaining("resists"), details: place }
  ])
})

test("drain: no new runs, those under way may end, the rest is stopped, closed or not", async () => {
  const stops = quietStops()
  const ending = deferred()
  const begun = deferred()
  const ends = stops.run(place, () => {
    begun.resolve()
    return ending.promise.then(() => "done")
  })
  const rest = await stops.watch({ chatId: "rest" })
  await begun.promise
  const drained = stops.drain({ timeout: 1000 })
  const again = stops.drain({ timeout: 1000 })
  const late = stops.run({ chatId: "late" }, () => "begun", {
    whenStopped: (event) => event.reason
  })
  expect(await late).toBe("shutdown")
  ending.resolve()
  expect(await ends).toBe("done")
  // Nobody closes `rest`.
  await Promise.all([drained, again])
  expect(rest.event?.reason).toBe("shutdown")
  await expect(stops.watch(place)).rejects.toThrow("closed")
})

test("close: twice is once, and during a drain it waits no longer", async () => {
  const stops = quietStops()
  const run = await stops.watch(place)
  const drained = stops.drain({ timeout: 3_600_000 })
  await Promise.all([stops.close(), stops.close(), drained])
  expect(run.event?.reason).toBe("shutdown")
  await run.close()
  await stops.close()
  // Unused, and unopened.
  await quietStops().close()
  await quietStops().drain({ timeout: 1 })
})

test("close: a run that begins meanwhile is stopped, and closed by nobody else", async () => {
  const stops = quietStops()
  const result = stops.run(place, () => "begun", { whenStopped: "stopped" })
  await stops.close()
  expect(["stopped", "begun"]).toContain(await result)
})

test("a store that never opens keeps no work from it, and no stop is said to be stored", async () => {
  const load = () => new Promise<never>(() => {})
  const stops = quietStops({
    store: storeOf({ name: "never", supports: complete, load }),
    pollTimeout: 5,
    finalWriteTimeout: 5
  })
  const run = await stops.watch(place)
  expect(await run.run(() => "work", { whenStopped: "stopped" })).toBe("work")
  expect(await run.check()).toBe(false)
  await expect(stops.stop(place)).rejects.toBeInstanceOf(StoreError)
  await run.stop("user")
  expect(run.stopped).toBe(true)
  await stops.close()
})

test("a log that throws, and a store that cannot be opened, spoil no run", async () => {
  const stops = quietStops({
    store: storeOf({
      name: "none",
      supports: complete,
      load: () => Promise.reject(new Error("no"))
    }),
    pollTimeout: 5,
    finalWriteTimeout: 5,
    log: () => {
      throw new Error("the log's own")
    }
  })
  const run = await stops.watch(place)
  expect(await run.check()).toBe(false)
  await expect(stops.stop(place)).rejects.toMatchObject({
    name: "StoreError",
    reason: "unavailable",
    cause: { message: "no" }
  })
  const heard = deferred()
  run.onStop(() => {
    heard.resolve()
    throw new Error("mine")
  })
  await run.stop("user")
  await heard.promise
  await turn()
  await stops.close()
  expect(run.stopped).toBe(true)
})
