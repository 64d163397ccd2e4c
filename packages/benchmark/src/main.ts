// `npm run bench [-- --quick] [parts]`: measures the library beside what it is compared with.
// `npm run bench -- --draw`: only draws the plots and the table anew, from the results that are kept.
import os from "node:os"
import { type Command, commandOf, usageOf } from "./command.ts"
import { openServer } from "./database.ts"
import { parts } from "./parts.ts"
import type { PartResult } from "./Part.ts"
import { drawPlots } from "./plots.ts"
import { reasonOf } from "./reason.ts"
import { printPart, printSummary } from "./report.ts"
import { kept, type KeptPart, readResults, type Results, writeResults } from "./results.ts"
import { runPart } from "./runPart.ts"
import { writeTable } from "./table.ts"

type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGPIPE"

const stopping = new AbortController()
let stoppedBy: StopSignal | undefined
const stop = (by: StopSignal) => {
  stoppedBy ??= by
  stopping.abort()
}
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => stop(name))
// Nobody reads on, as of `npm run bench | head`.
process.stdout.on("error", () => stop("SIGPIPE"))

const measure = async ({ named, quick, wanted }: Extract<Command, { _tag: "Measure" }>) => {
  const { signal } = stopping
  const results = new Map<string, PartResult>()
  const toKeep = new Map<string, KeptPart>()
  const failed: Array<string> = []
  const complain = (line: string) => {
    // What fails of a stop is no news.
    signal.throwIfAborted()
    process.exitCode = 1
    console.error(line)
  }
  const server = wanted.some(({ needsDatabase }) => needsDatabase)
    ? await openServer(process.env["DATABASE_URL"] || undefined, signal).catch((error: unknown) =>
        complain(reasonOf(error))
      )
    : undefined
  const leftOut = wanted.filter(({ needsDatabase }) => needsDatabase && server === undefined)
  try {
    for (const part of wanted.filter((one) => !leftOut.includes(one))) {
      const began = performance.now()
      const usesServer = server !== undefined && part.needsDatabase
      const run = (databaseUrl: string | undefined) =>
        runPart(part, { quick, named, databaseUrl }, signal)
      try {
        const result = await (usesServer ? server.withDatabase(run) : run(undefined))
        const seconds = (performance.now() - began) / 1000
        results.set(part.name, result)
        const postgres = usesServer ? server.version : undefined
        toKeep.set(part.name, kept(part.about, result, postgres, seconds))
        printPart(part, result, seconds)
      } catch (error) {
        complain(`\n${part.name} has failed: ${reasonOf(error)}`)
        failed.push(part.name)
      }
    }
  } finally {
    await server?.close()
  }
  signal.throwIfAborted()
  printSummary(results, { failed, leftOut: leftOut.map(({ name }) => name) })
  // A first look is none to keep.
  if (!quick && toKeep.size > 0) {
    const order = parts.map(({ name }) => name)
    draw(writeResults(toKeep, order))
  }
}

const draw = (results: Results) => {
  writeTable(results)
  drawPlots(results)
}

const command = commandOf(process.argv.slice(2), parts)
switch (command._tag) {
  case "Help":
    console.log(usageOf(parts))
    break
  case "NotUnderstood":
    console.error(
      `${JSON.stringify(command.argument)} is neither a part nor an option.\n\n${usageOf(parts)}`
    )
    process.exitCode = 1
    break
  case "Draw":
    draw(readResults())
    break
  case "Measure":
    try {
      await measure(command)
    } catch (error) {
      if (stoppedBy === undefined) throw error
      console.error(`\nStopped by ${stoppedBy}; nothing of this run is kept.`)
      process.exitCode = 128 + os.constants.signals[stoppedBy]
    }
}
