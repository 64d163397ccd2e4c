// Runs vitest, and says what it counted: for `npm test` and `npm run laws`.
import { spawn } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import type { TestCounts } from "./counting-reporter.ts"

export const root: string = path.resolve(import.meta.dirname, "..")

export const runTests = async (options: {
  readonly filters?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}): Promise<TestCounts> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-tests-"))
  const report = path.join(folder, "counts.json")
  try {
    const exitCode = await new Promise<number>((resolve) => {
      const child = spawn(
        process.execPath,
        [
          path.join(root, "node_modules/vitest/vitest.mjs"),
          "run",
          "--config=vitest.workspace.ts",
          "--reporter=default",
          "--reporter=./scripts/counting-reporter.ts",
          ...(options.filters ?? [])
        ],
        {
          cwd: root,
          stdio: ["ignore", "inherit", "inherit"],
          env: { ...process.env, ...options.env, TEST_COUNTS_FILE: report }
        }
      )
      child.on("exit", (code) => resolve(code ?? 1))
    })
    if (!fs.existsSync(report)) return { passed: 0, failed: 1, skipped: [] }
    const counts = JSON.parse(fs.readFileSync(report, "utf8")) as TestCounts
    // a failure that is no test's, as a threshold or a crash of vitest
    return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

/** The end of the output: what was skipped and why, then the counts on a line of their own. */
export const printCounts = (counts: TestCounts): void => {
  if (counts.skipped.length > 0) {
    console.log("\nSkipped:")
    for (const { name, reason } of counts.skipped) console.log(`  ${name}: ${reason}`)
  }
  console.log(
    `\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped.length} skipped`
  )
}
