// `npm run bench [-- --quick] [parts]`: measures the library beside what it is compared with.
// `npm run bench -- --draw`: only draws the plots and the table anew, from the results that are kept.
import { fork } from "node:child_process"
import { openServer } from "./database.ts"
import { postgresVersion } from "./machine.ts"
import { parts } from "./parts.ts"
import type { Part, PartOptions, PartResult } from "./Part.ts"
import { drawPlots } from "./plots.ts"
import { printPart, printSummary } from "./report.ts"
import { kept, type KeptPart, readResults, writeResults } from "./results.ts"
import { writeTable } from "./table.ts"

const quick = process.argv.includes("--quick")
const names = process.argv.slice(2).filter((argument) => !argument.startsWith("--"))
const named = names.length > 0
const wanted = process.argv.includes("--draw")
  ? []
  : parts.filter(({ name }) => !named || names.includes(name))

const runPart = (part: Part, options: PartOptions): Promise<PartResult> =>
  new Promise((resolve, reject) => {
    const child = fork(
      new URL("./child.ts", import.meta.url),
      [part.name, JSON.stringify(options)],
      {
        execArgv: ["--expose-gc", "--disable-warning=ExperimentalWarning"],
        stdio: ["ignore", "inherit", "inherit", "ipc"]
      }
    )
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- child.ts sends nothing else
    child.on("message", (result) => resolve(result as PartResult))
    // What comes after it is to tidy up.
    const end = () => void child.kill()
    process.once("SIGINT", end).once("SIGTERM", end)
    child.on("exit", () => process.off("SIGINT", end).off("SIGTERM", end))
    child.on("exit", (code) => reject(new Error(`${part.name} ended with ${code} and no result`)))
  })

const results = new Map<string, PartResult>()
const toKeep = new Map<string, KeptPart>()
const server = wanted.some(({ needsDatabase }) => needsDatabase)
  ? await openServer(process.env["DATABASE_URL"] || undefined)
  : undefined
try {
  const postgres = await server?.withDatabase(postgresVersion)
  for (const part of wanted) {
    const began = performance.now()
    const usesServer = server !== undefined && part.needsDatabase
    const result = usesServer
      ? await server.withDatabase((databaseUrl) => runPart(part, { quick, named, databaseUrl }))
      : await runPart(part, { quick, named, databaseUrl: undefined })
    results.set(part.name, result)
    toKeep.set(part.name, kept(part.about, result, usesServer ? postgres : undefined))
    printPart(part, result, (performance.now() - began) / 1000)
  }
} finally {
  await server?.close()
}
if (wanted.length > 0) printSummary(results)
// A first look is none to keep.
if (!quick) {
  const order = parts.map(({ name }) => name)
  const all = wanted.length > 0 ? writeResults(toKeep, order) : readResults()
  writeTable(all)
  drawPlots(all)
}
