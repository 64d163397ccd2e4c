/**
 * On what was measured, and with which versions.
 */
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly platform: string
}

export const machine = (): Machine => ({
  processor: os.cpus()[0]?.model.trim() ?? "unknown",
  cores: os.availableParallelism(),
  memoryGiB: Math.round(os.totalmem() / 2 ** 30),
  platform: `${os.platform()} ${os.release()} ${os.arch()}`
})

export interface Versions {
  readonly node: string
  readonly effect: string
  readonly effectCancellation: string
  readonly postgres?: string
  readonly commit?: string
}

export const versions = (postgres: string | undefined): Versions => {
  const commit = commitNow()
  return {
    node: process.versions.node,
    effect: versionOf(path.join(import.meta.dirname, "..", "node_modules", "effect")),
    effectCancellation: versionOf(path.join(import.meta.dirname, "..", "..", "cancellation")),
    ...(postgres === undefined ? {} : { postgres }),
    ...(commit === undefined ? {} : { commit })
  }
}

const versionOf = (folder: string): string => {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every package has one
  const { version } = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")) as {
    readonly version: string
  }
  return version
}

// A copy without its history can be measured too.
const commitNow = (): string | undefined => {
  const git = (...args: ReadonlyArray<string>) =>
    spawnSync("git", args, { cwd: import.meta.dirname, encoding: "utf8" })
  const { status, stdout } = git("rev-parse", "--short=12", "HEAD")
  if (status !== 0) return undefined
  const isChanged = git("status", "--porcelain", "--", "../../*/src").stdout.trim() !== ""
  return isChanged ? `${stdout.trim()}, changed` : stdout.trim()
}

export const postgresVersion = (url: string): Promise<string> =>
  PgConnection.make({ url: Redacted.make(url) }).pipe(
    Effect.flatMap((connection) => connection.query("SHOW server_version")),
    // Without what a distribution adds to it.
    Effect.map(({ rows }) => JSON.stringify(rows).match(/\d[\d.]*/)?.[0] ?? "unknown"),
    Effect.scoped,
    Effect.runPromise
  )
