// `npm run bench [-- --quick] [parts]`: measures the library beside what it is compared with.
import { fork } from "node:child_process"
import { parts } from "./parts.ts"
import type { Part, PartOptions, PartResult } from "./Part.ts"
import { printPart, printSummary } from "./report.ts"

const quick = process.argv.includes("--quick")
const names = process.argv.slice(2).filter((argument) => !argument.startsWith("--"))
const wanted = parts.filter(({ name }) => names.length === 0 || names.includes(name))

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
    child.on("exit", (code) => reject(new Error(`${part.name} ended with ${code} and no result`)))
  })

const results = new Map<string, PartResult>()
for (const part of wanted) {
  const result = await runPart(part, { quick, databaseUrl: process.env["DATABASE_URL"] })
  results.set(part.name, result)
  printPart(part, result)
}
printSummary(results)
