import { describe, expect, test } from "vitest"
import {
  createStops,
  defineStore,
  type FlagRow,
  type RunRow,
  type StopsLogEntry,
  type StoreDefinition
} from "effect-cancellation-promise"

const quiet = { log: () => {}, pollInterval: 20, pollTimeout: 200, finalWriteTimeout: 200 }
const place = { chatId: "c", messageId: "m" }

/** A table of one message at a time, of which a test says what its rows look like. */
const table = (
  shape: (row: RunRow) => unknown = (row) => row,
  more: Partial<StoreDefinition> = {}
) => {
  const rows = new Map<string, RunRow>()
  const shaped = (keys: ReadonlyArray<string>): Array<RunRow> =>
    keys.flatMap((key) => {
      const row = rows.get(key)
      // what a program without types answers
      return row === undefined ? [] : [Object.assign(Object.create(null), shape(row))]
    })
  const definition: StoreDefinition = {
    findStops: async (runs) => shaped(runs.map(({ runId }) => runId)),
    startRuns: async (runs) => {
      for (const run of runs) {
        if (!rows.has(run.runId))
          rows.set(run.runId, { ...run, startedAt: new Date(), current: true })
      }
      return shaped(runs.map(({ runId }) => runId))
    },
    advanceRuns: async (changes) => {
      for (const { run, to } of changes) {
        const row = rows.get(run.runId)
        if (row === undefined || to === "observed") continue
        rows.set(run.runId, { ...row, endedAt: Date.now(), outcome: to })
      }
      return shaped(changes.map(({ run }) => run.runId))
    },
    requestStop: async ({ chatId }, intent) => {
      const found = Array.from(rows.values()).filter((row) => row.chatId === chatId)
      for (const row of found) {
        rows.set(row.runId, { userAbortedAt: new Date().toISOString(), ...intent, ...row })
      }
      return shaped(found.map(({ runId }) => runId))
    },
    ...more
  }
  return { rows, store: defineStore(definition) }
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))

describe("defineStore", () => {
  test("takes rows as a database without booleans and with nulls has them", async () => {
    const nothing = { owner: null, observedAt: null, endedAt: null, outcome: null }
    const { store } = table((row) => ({
      ...nothing,
      userAbortedAt: null,
      reason: null,
      requestedBy: null,
      note: null,
      ...row,
      current: row.current ? 1 : 0
    }))
    await using stops = createStops({ ...quiet, store })
    await using run = await stops.watch(place)
    const work = run.run(untilAborted, { whenStopped: "stopped" })
    expect(await run.check()).toBe(false)
    expect(await stops.stop({ ...place, runId: run.runId }, { note: "enough" })).toMatchObject([
      { phase: "requested", runId: run.runId, requested: { reason: "user", note: "enough" } }
    ])
    expect(await work).toBe("stopped")
  })

  test("hands functions whole ids", async () => {
    const { rows, store } = table()
    await using stops = createStops({ ...quiet, store })
    await using run = await stops.watch(place)
    await expect
      .poll(() => rows.get(run.runId))
      .toMatchObject({ companyId: "default", userId: "default", ...place })
  })

  test("says what it cannot do", async () => {
    await using stops = createStops({ ...quiet, store: defineStore({ findStops: async () => [] }) })
    await expect(stops.stop(place)).rejects.toMatchObject({ reason: "unsupported" })
    await expect(stops.forget({ chatId: "c" })).rejects.toMatchObject({ reason: "unsupported" })
  })

  test("tells who stops what is not there", async () => {
    await using stops = createStops({ ...quiet, store: table().store })
    await expect(stops.stop(place)).rejects.toMatchObject({ reason: "notFound" })
  })

  test("passes on why a function failed", async () => {
    const why = new Error("no such table")
    const failing = [
      () => Promise.reject(why),
      (): never => {
        throw why
      }
    ]
    for (const requestStop of failing) {
      await using stops = createStops({ ...quiet, store: table(undefined, { requestStop }).store })
      await expect(stops.stop(place)).rejects.toMatchObject({ reason: "unavailable", cause: why })
    }
  })

  for (const answer of [
    undefined,
    null,
    7,
    "rows",
    {},
    { pending: {} },
    { pending: null, expiresAt: 1 }
  ]) {
    test(`says that ${JSON.stringify(answer)} is no answer`, async () => {
      const requestStop = async () => answer as unknown as Array<RunRow>
      await using stops = createStops({ ...quiet, store: table(undefined, { requestStop }).store })
      await expect(stops.stop(place)).rejects.toThrow("requestStop of defineStore answered")
    })
  }

  for (const [title, wrong] of [
    ["a time", { userAbortedAt: "yesterday" }],
    ["a reason", { userAbortedAt: 1, reason: "because" }],
    ["an outcome without its time", { outcome: "lost" }],
    ["its ids", { runId: null }]
  ] as const) {
    test(`never takes a row for a stop, or for none, that has ${title} wrong`, async () => {
      let looks = 0
      const { rows, store } = table(undefined, {
        findStops: async (runs) => {
          looks++
          return runs.flatMap(({ runId }) => ({
            ...rows.get(runId),
            ...wrong
          })) as unknown as Array<RunRow>
        }
      })
      const said: Array<string> = []
      const log = (entry: StopsLogEntry) =>
        said.push([entry.message, JSON.stringify(entry.details), String(entry.error)].join(" "))
      await using stops = createStops({ ...quiet, store, log })
      await using run = await stops.watch(place)
      const before = looks
      await expect.poll(() => looks).toBeGreaterThan(before + 4)
      expect(run.stopped).toBe(false)
      expect(said.join()).toContain("malformed")
    })
  }

  test("refuses functions that do not belong together", () => {
    const findStops = async () => []
    const wrong: ReadonlyArray<readonly [object, string]> = [
      [{}, "needs findStops"],
      [{ findStops, findFlags: findStops }, "not both"],
      [{ findStops, startRuns: findStops }, "needs advanceRuns"],
      [{ findStops: 1 }, "no function"],
      [{ findStops, findStop: findStops }, "knows no function findStop"]
    ]
    for (const [definition, words] of wrong) {
      expect(() => Reflect.apply(defineStore, undefined, [definition])).toThrow(words)
    }
  })
})

describe("defineStore with flags", () => {
  const flags = () => {
    const rows = new Map<string, FlagRow>([["m", { ...place, userAbortedAt: null }]])
    const store = defineStore({
      findFlags: async (messages) => messages.flatMap(({ messageId }) => rows.get(messageId) ?? []),
      setFlags: async ({ messageId = "m" }) => {
        const row = rows.get(messageId)
        if (row === undefined) return []
        const set = { ...row, userAbortedAt: row.userAbortedAt ?? new Date() }
        rows.set(messageId, set)
        return [set]
      }
    })
    return { rows, store }
  }

  test("a flag that somebody sets in the table ends work", async () => {
    const { rows, store } = flags()
    await using stops = createStops({ ...quiet, store })
    await using run = await stops.watch(place)
    const work = run.run(untilAborted, { whenStopped: "stopped" })
    rows.set("m", { ...place, userAbortedAt: new Date().toISOString() })
    expect(await work).toBe("stopped")
    expect(run.event).toMatchObject({ reason: "user", ...place })
  })

  test("stop sets the flag", async () => {
    const { store } = flags()
    await using stops = createStops({ ...quiet, store })
    await using run = await stops.watch(place)
    const work = run.run(untilAborted, { whenStopped: "stopped" })
    expect(await stops.stop(place)).toMatchObject([{ phase: "requested", ...place }])
    expect(await work).toBe("stopped")
    await expect(stops.stop({ chatId: "c", messageId: "other" })).rejects.toMatchObject({
      reason: "notFound"
    })
  })
  test("says once that no row fits, however often it looks", async () => {
    let looks = 0
    const said: Array<string> = []
    await using stops = createStops({
      ...quiet,
      log: (entry) => void said.push(entry.message),
      store: defineStore({
        findFlags: async () => {
          looks++
          return [{ chatId: "c", messageId: "other", userAbortedAt: new Date() }]
        }
      })
    })
    await using run = await stops.watch(place)
    await expect.poll(() => looks).toBeGreaterThan(4)
    expect(said.filter((words) => words.includes("no row answered"))).toHaveLength(1)
    expect(run.stopped).toBe(false)
  })

  test("a row that names no message is no reason to call one deleted, in its own look alone", async () => {
    let looks = 0
    const here = { ...place, userAbortedAt: null }
    let rows: Array<FlagRow> = [here]
    await using stops = createStops({
      ...quiet,
      store: defineStore({
        findFlags: async () => {
          looks++
          return rows
        }
      })
    })
    await using run = await stops.watch(place)
    const manyLooks = async () => {
      const before = looks
      await expect.poll(() => looks).toBeGreaterThan(before + 3)
    }
    await manyLooks()
    rows = [{ ...here, chatId: "" }]
    await manyLooks()
    expect(run.stopped).toBe(false)
    rows = []
    await expect.poll(() => run.event?.reason).toBe("deleted")
  })
})
