import { afterAll, describe, expect, test } from "vitest"
import { createStops, memory, type StopStore } from "effect-cancellation-promise"
import { postgres } from "effect-cancellation-promise/postgres"
import { MessageStoreContract } from "effect-cancellation-testing"
import pg from "pg"
import { untilAborted } from "./laws.fixture.ts"
import {
  newDatabase,
  underTest,
  untilHintsArrive,
  untilStopTaken,
  untilStored
} from "./support/databases.ts"

const closing: Array<() => Promise<unknown>> = []
const over = (end: () => Promise<unknown>) => {
  closing.push(end)
}
afterAll(async () => {
  for (const end of closing.toReversed()) await end()
})

const newPool = async (url?: string) => {
  const pool = new pg.Pool({ connectionString: url ?? (await newDatabase(over)), max: 8 })
  // As a program has it: the database is dropped under what is idle.
  pool.on("error", () => {})
  over(() => pool.end())
  return pool
}

MessageStoreContract.suite(
  "postgres, by a URL",
  underTest(async (options) => postgres(await newDatabase(over), options)),
  { supports: { hints: true } }
)

MessageStoreContract.suite(
  "postgres, on a pool",
  underTest(async (options) => postgres(await newPool(), options)),
  { supports: { hints: true } }
)

const far = { pollInterval: 60_000, log: () => {} }

describe("a stop reaches another process by push", () => {
  const hearing = async (here: StopStore, there: StopStore) => {
    await using runs = createStops({ ...far, store: here })
    await using stops = createStops({ ...far, store: there })
    const message = { chatId: "chat", messageId: "message" }
    await untilHintsArrive(runs, stops)
    await using run = await runs.watch(message)
    const result = run.run(untilAborted, { whenStopped: "stopped" })
    await untilStored(runs, run)
    await stops.stop(message, { requestedBy: "ada" })
    expect(await result).toBe("stopped")
    expect(run.event).toMatchObject({ detectedBy: "hint", requestedBy: "ada", reason: "user" })
    await run.close()
    expect(await stops.receipts(message)).toMatchObject([
      { phase: "ended", ended: { outcome: "stopped" } }
    ])
  }

  test("from a URL to a URL", async () => {
    const url = await newDatabase(over)
    await hearing(postgres(url), postgres(url))
  })

  test("from a pool to a URL, and from a URL to a pool", async () => {
    const url = await newDatabase(over)
    await hearing(postgres(url), postgres(await newPool(url)))
    const other = await newDatabase(over)
    await hearing(postgres(await newPool(other)), postgres(other))
  })

  test("from a pool to a pool, which stays the program's own", async () => {
    const pool = await newPool()
    await hearing(postgres(pool), postgres(pool))
    expect((await pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
    expect(pool.waitingCount).toBe(0)
    expect(pool.idleCount).toBe(pool.totalCount)
  })

  test("to a pool whose password is asked for", async () => {
    const url = new URL(await newDatabase(over))
    const pool = new pg.Pool({
      host: url.hostname,
      port: Number(url.port || "5432"),
      user: decodeURIComponent(url.username),
      password: async () => decodeURIComponent(url.password) || "none",
      database: url.pathname.slice(1)
    })
    pool.on("error", () => {})
    over(() => pool.end())
    await hearing(postgres(pool), postgres(url.href))
  })
})

describe("what is wrong is said", () => {
  test("a URL that is not there", () => {
    expect(() => postgres(undefined)).toThrow(TypeError)
    expect(() => postgres("")).toThrow("is DATABASE_URL set?")
    expect(() => postgres("postgres://a@b/c", { tombstoneTtl: Number.NaN })).toThrow(RangeError)
  })

  test("a pool for a store", () => {
    // @ts-expect-error: a pool is no store
    expect(() => createStops({ store: new pg.Pool() })).toThrow("postgres()")
    expect(createStops({ store: memory() })).toBeDefined()
  })
})

test("nobody waits for a pool that is used up, and what comes late goes back", async () => {
  const pool = new pg.Pool({ connectionString: await newDatabase(over), max: 1 })
  over(() => pool.end())
  pool.on("error", () => {})
  const taken = await pool.connect()
  const stops = createStops({
    log: () => {},
    pollTimeout: 100,
    finalWriteTimeout: 100,
    store: postgres(pool, { listen: false, migrate: false })
  })
  const run = await stops.watch({ chatId: "chat" })
  await expect(stops.stop({ chatId: "chat" })).rejects.toMatchObject({ reason: "unavailable" })
  await run.close()
  await stops.close()
  taken.release()
  expect((await pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
  expect([pool.waitingCount, pool.totalCount]).toEqual([0, 1])
})

test("a statement that does not answer holds nobody up, and its connection is closed", async () => {
  const pool = await newPool()
  await using stops = createStops({
    log: () => {},
    pollTimeout: 200,
    finalWriteTimeout: 200,
    store: postgres(pool, { listen: false })
  })
  expect(await stops.receipts({ chatId: "chat" })).toEqual([])
  const locked = await pool.connect()
  await locked.query("BEGIN")
  await locked.query("LOCK TABLE agent_runs IN ACCESS EXCLUSIVE MODE")
  await expect(stops.receipts({ chatId: "chat" })).rejects.toMatchObject({ reason: "unavailable" })
  await locked.query("ROLLBACK")
  locked.release()
  expect(await stops.receipts({ chatId: "chat" })).toEqual([])
  expect(pool.waitingCount).toBe(0)
})

test("a broken connection of the pool is not used again, and ends no process", async () => {
  const pool = await newPool()
  await using stops = createStops({ ...far, store: postgres(pool) })
  const run = await stops.watch({ chatId: "chat" })
  await untilStored(stops, run)
  const other = new pg.Client({ connectionString: pool.options.connectionString })
  await other.connect()
  await other.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
  )
  await other.end()
  await untilStopTaken(stops, { chatId: "chat" })
  expect(await run.check()).toBe(true)
  await run.close()
})
