// A vitest reporter that writes the counts, and each skipped test with its reason, to the file
// named by TEST_COUNTS_FILE.
import fs from "node:fs"
import type { Reporter, TestModule } from "vitest/node"

export interface TestCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: ReadonlyArray<{ readonly name: string; readonly reason: string }>
}

const count = (modules: ReadonlyArray<TestModule>, unhandled: number): TestCounts => {
  let passed = 0
  let failed = unhandled
  const skipped: Array<{ name: string; reason: string }> = []
  for (const module of modules) {
    // a file that does not load, or a hook outside every test, fails without a failing test
    failed += module.errors().length
    for (const suite of module.children.allSuites()) failed += suite.errors().length
    for (const test of module.children.allTests()) {
      const result = test.result()
      if (result.state === "passed") passed++
      else if (result.state === "failed") failed++
      else {
        const reason = (result.state === "skipped" ? result.note : undefined) ?? "no reason given"
        skipped.push({ name: `${module.project.name} > ${test.fullName}`, reason })
      }
    }
  }
  return { passed, failed, skipped }
}

export default class CountingReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<unknown>): void {
    const file = process.env["TEST_COUNTS_FILE"]
    if (file !== undefined) fs.writeFileSync(file, JSON.stringify(count(modules, unhandled.length)))
  }
}
