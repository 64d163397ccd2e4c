import { afterAll, expect, test } from "vitest"
import fs from "node:fs/promises"
import path from "node:path"
import * as Redacted from "effect/Redacted"
import { createStops } from "effect-cancellation-promise"
import { redis } from "effect-cancellation-promise/redis"
import { sqlite } from "effect-cancellation-promise/sqlite"
import { MessageStoreContract } from "effect-cancellation-testing"
import { untilAborted } from "./laws.fixture.ts"
import {
  newFile,
  underTest,
  untilHintsArrive,
  untilStopTaken,
  untilStored
} from "./support/databases.ts"
import * as Redis from "../../redis/test/support/Redis.ts"

const closing: Array<() => Promise<unknown>> = []
const over = (end: () => Promise<unknown>) => {
  closing.push(end)
}
afterAll(async () => {
  for (const end of closing.toReversed()) await end()
})

MessageStoreContract.suite(
  "sqlite",
  underTest(async (options) => sqlite(await newFile(over), options)),
  { supports: { hints: false } }
)

const message = { chatId: "chat", messageId: "message" }

test("a stop in one process of a file ends work in another, by polling", async () => {
  const file = await newFile(over)
  await using runs = createStops({ store: sqlite(file), pollInterval: 20, log: () => {} })
  await using stops = createStops({ store: sqlite(file), log: () => {} })
  await using run = await runs.watch(message)
  const result = run.run(untilAborted, { whenStopped: "stopped" })
  await stops.stop(message)
  expect(await result).toBe("stopped")
})

test("a stop in one process of a file ends work in another at once, with Redis as the signal", async (context) => {
  Redis.skipWithoutShared(context)
  const file = await newFile(over)
  const signal = () =>
    redis(Redacted.value(Redis.shared), { channel: `stops-${path.basename(path.dirname(file))}` })
  const far = { pollInterval: 60_000, log: () => {} }
  await using runs = createStops({ ...far, store: sqlite(file), signal: signal() })
  await using stops = createStops({ ...far, store: sqlite(file), signal: signal() })
  await untilHintsArrive(runs, stops)
  await using run = await runs.watch(message)
  const result = run.run(untilAborted, { whenStopped: "stopped" })
  await untilStored(runs, run)
  await stops.stop(message)
  expect(await result).toBe("stopped")
  expect(run.event?.detectedBy).toBe("hint")
})

test("a file whose folder comes later: work begins, and is stopped then", async () => {
  const folder = path.join(path.dirname(await newFile(over)), "later")
  const file = path.join(folder, "stops.sqlite")
  await using stops = createStops({ store: sqlite(file), pollInterval: 20, log: () => {} })
  await using run = await stops.watch(message)
  const result = run.run(untilAborted, { whenStopped: "stopped" })
  await expect(stops.stop(message)).rejects.toMatchObject({
    name: "StoreError",
    reason: "unavailable"
  })
  await fs.mkdir(folder)
  await untilStopTaken(stops, message)
  expect(await result).toBe("stopped")
})

test("what is wrong is said", () => {
  expect(() => sqlite("")).toThrow("the name of a file")
  expect(() => sqlite("a", { tombstoneTtl: 0 })).toThrow("tombstoneTtl is 0")
  expect(() => redis(undefined)).toThrow("is REDIS_URL set?")
  expect(() => redis("redis://host", { probeInterval: -1 })).toThrow("probeInterval is -1")
})
