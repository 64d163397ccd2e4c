/** Databases of their own, and what is opened for a test. */
import { randomBytes } from "node:crypto"
import fs from "node:fs/promises"
import os from "node:os"
import path from "node:path"
import timers from "node:timers/promises"
import { expect, inject } from "vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { MessageStore } from "effect-cancellation"
import type { ChatRef, Run, Stops, StopStore } from "effect-cancellation-promise"
import pg from "pg"
import { storeSourceOf } from "../../src/internal/source.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly postgresUrl: string
  }
}

/** The URL of a new database, which is dropped when the test is over. */
export const newDatabase = async (over: (end: () => Promise<unknown>) => void): Promise<string> => {
  const name = `stops_${randomBytes(8).toString("hex")}`
  const server = new pg.Pool({ connectionString: inject("postgresUrl"), max: 1 })
  await server.query(`CREATE DATABASE ${name}`)
  over(async () => {
    await server.query(`DROP DATABASE ${name} WITH (FORCE)`)
    await server.end()
  })
  const url = new URL(inject("postgresUrl"))
  url.pathname = `/${name}`
  return url.href
}

/** The name of a file that is not there yet, in a folder that is removed when the test is over. */
export const newFile = async (over: (end: () => Promise<unknown>) => void): Promise<string> => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "stops-"))
  over(() => fs.rm(folder, { recursive: true, force: true }))
  return path.join(folder, "stops.sqlite")
}

/** Waits until the start of a run is stored: a stop asked before would be found with the start. */
export const untilStored = async (stops: Stops, run: Run): Promise<void> => {
  await expect.poll(() => stops.receipts(run), patient).toMatchObject([{ runId: run.runId }])
}

/** Asks for a stop until the database takes it, which may have been away or broken. */
export const untilStopTaken = async (stops: Stops, message: ChatRef): Promise<void> => {
  const ask = async () => {
    try {
      return await stops.stop(message)
    } catch (error) {
      expect(error).toMatchObject({ name: "StoreError", reason: "unavailable" })
      return []
    }
  }
  await expect.poll(ask, patient).toMatchObject([{ chatId: message.chatId }])
}

const patient = { timeout: 15_000, interval: 10 }

/** Waits until a stop asked of the one is heard by the other, however long their connections take. */
export const untilHintsArrive = async (runs: Stops, stops: Stops): Promise<void> => {
  for (;;) {
    await using first = await runs.watch({ chatId: "first" })
    await untilStored(runs, first)
    const heard = new Promise<boolean>((resolve) => {
      first.onStop(() => resolve(true))
    })
    await stops.stop({ chatId: "first" })
    if (await Promise.race([heard, timers.setTimeout(300, false)])) return
  }
}

/** A store as the contract suite takes it. */
export const underTest =
  (storeOf: (options: { readonly tombstoneTtl: number }) => Promise<StopStore>) =>
  (options: { readonly tombstoneTtl: Duration.Duration }): Layer.Layer<MessageStore, unknown> =>
    Layer.unwrap(
      Effect.promise(async () => {
        const store = await storeOf({ tombstoneTtl: Duration.toMillis(options.tombstoneTtl) })
        return storeSourceOf(store).load()
      })
    )
