// `npm run laws -- --runs 100000 [--seed 42]`: only the property tests, with that many runs each.
import { parseArgs } from "node:util"
import { printCounts, runTests } from "./run-tests.ts"

const toEnv = (name: string, text: string | undefined): Record<string, string> => {
  if (text === undefined) return {}
  if (!/^-?\d+$/.test(text)) {
    console.error(`--${name} takes a whole number, not "${text}"`)
    process.exit(2)
  }
  return { [`LAWS_${name.toUpperCase()}`]: text }
}

const { values } = parseArgs({ options: { runs: { type: "string" }, seed: { type: "string" } } })
const counts = await runTests({
  filters: ["packages/cancellation/test/properties", "packages/chat/test/once"],
  env: { ...toEnv("runs", values.runs ?? "10000"), ...toEnv("seed", values.seed) }
})
printCounts(counts)
process.exitCode = counts.failed === 0 ? 0 : 1
