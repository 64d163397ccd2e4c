// PostgreSQL that comes later, tables made by somebody else, and no push.
import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { createStops } from "effect-cancellation-promise"
import { postgres } from "effect-cancellation-promise/postgres"
import pg from "pg"
import { afterAll, describe, expect, test } from "vitest"
import * as TcpProxy from "../../sql/test/support/TcpProxy.ts"
import { untilAborted } from "./laws.fixture.ts"
import { newDatabase, untilHintsArrive, untilStopTaken, untilStored } from "./support/databases.ts"

const closing: Array<() => Promise<unknown>> = []
const over = (end: () => Promise<unknown>) => {
  closing.push(end)
}
afterAll(async () => {
  for (const end of closing.toReversed()) await end()
})

const poolOf = (connectionString: string) => {
  const pool = new pg.Pool({ connectionString })
  pool.on("error", () => {})
  over(() => pool.end())
  return pool
}

const clientOf = async (connectionString: string) => {
  const client = new pg.Client({ connectionString })
  client.on("error", () => {})
  await client.connect()
  over(() => client.end())
  return client
}

const message = { chatId: "chat", messageId: "message" }
const quiet = { log: () => {}, pollInterval: 20 }
const far = { log: () => {}, pollInterval: 60_000 }
const ways: ReadonlyArray<readonly [string, (url: string) => string | pg.Pool]> = [
  ["by a URL", (url) => url],
  ["on a pool", poolOf]
]

describe.each(ways)("%s", (_, databaseOf) => {
  test("a server that comes later: work begins, and is stopped then", async () => {
    const scope = Scope.makeUnsafe()
    over(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const url = Redacted.make(await newDatabase(over))
    const proxy = await Effect.runPromise(Scope.provide(TcpProxy.make(url), scope))
    await Effect.runPromise(proxy.cut)
    await using stops = createStops({
      ...quiet,
      store: postgres(databaseOf(Redacted.value(proxy.url)))
    })
    await using run = await stops.watch(message)
    const result = run.run(untilAborted, { whenStopped: "stopped" })
    await expect(stops.stop(message)).rejects.toMatchObject({
      name: "StoreError",
      reason: "unavailable"
    })
    expect(run.stopped).toBe(false)
    await Effect.runPromise(proxy.mend)
    await untilStopTaken(stops, message)
    expect(await result).toBe("stopped")
    await run.close()
    expect(await stops.receipts(message)).toMatchObject([
      { phase: "ended", runId: run.runId, ended: { outcome: "stopped" } }
    ])
  })

  test("tables that somebody else has made serve without migrations", async () => {
    const url = await newDatabase(over)
    const admin = await clientOf(url)
    const tables = async () =>
      (await admin.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).rows
    const store = postgres(databaseOf(url), { migrate: false })
    {
      await using stops = createStops({ ...quiet, store })
      await expect(stops.stop(message)).rejects.toThrow("The tables are missing")
    }
    expect(await tables()).toEqual([])
    for (const name of ["0001_runs", "0002_messages"]) {
      const file = new URL(`../../sql/migrations/postgresql/${name}.sql`, import.meta.url)
      await admin.query(await readFile(file, "utf8"))
    }
    const made = await tables()
    await using stops = createStops({ ...quiet, store })
    await using run = await stops.watch(message)
    const result = run.run(untilAborted, { whenStopped: "stopped" })
    await stops.stop(message)
    expect(await result).toBe("stopped")
    await run.close()
    expect(await stops.receipts(message)).toMatchObject([{ ended: { outcome: "stopped" } }])
    expect(await tables()).toEqual(made)
  })

  test("notify: false announces nothing", async () => {
    const url = await newDatabase(over)
    await using silent = createStops({
      ...far,
      store: postgres(databaseOf(url), { notify: false })
    })
    await using loud = createStops({ ...far, store: postgres(databaseOf(url)) })
    const [first, second] = [{ chatId: "first" }, { chatId: "second" }]
    await using unheard = await loud.watch(first)
    await using heard = await loud.watch(second)
    await untilStored(loud, unheard)
    await untilStored(loud, heard)
    const listener = await clientOf(url)
    const told = new Promise<string | undefined>((resolve) => {
      listener.on("notification", ({ payload }) => resolve(payload))
    })
    await listener.query("LISTEN effect_cancellation")
    // Notifications come in the order of their transactions.
    await silent.stop(first)
    await loud.stop(second)
    expect(await told).toContain(heard.runId)
    expect(await told).not.toContain(unheard.runId)
  })

  test("notify: false hears nothing, and finds a stop when it looks", async () => {
    const url = await newDatabase(over)
    await using deaf = createStops({ ...far, store: postgres(databaseOf(url), { notify: false }) })
    await using hearing = createStops({ ...far, store: postgres(url) })
    await using stops = createStops({ ...far, store: postgres(url, { listen: false }) })
    await untilHintsArrive(hearing, stops)
    await using run = await deaf.watch(message)
    await using other = await hearing.watch({ chatId: "other" })
    await untilStored(stops, run)
    await untilStored(stops, other)
    const told = new Promise<void>((resolve) => {
      other.onStop(() => resolve())
    })
    await stops.stop(message)
    await stops.stop({ chatId: "other" })
    await told
    expect(other.event?.detectedBy).toBe("hint")
    expect(run.stopped).toBe(false)
    expect(await run.check()).toBe(true)
    const admin = await clientOf(url)
    const listening = await admin.query(
      "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"
    )
    expect(listening.rows).toHaveLength(1)
  })
})
