// `npm test`: all the checks, then all the tests. The last line counts: "N passed, N failed, N
// skipped"; a check that fails counts as failed.
import { execFileSync, spawn } from "node:child_process"
import { printCounts, root, runTests } from "./run-tests.ts"

interface Check {
  readonly env?: Readonly<Record<string, string>>
  readonly name: string
  readonly commands: ReadonlyArray<ReadonlyArray<string>>
}

const node = process.execPath
// TypeScript's own compiler with Effect's diagnostics built in; its JavaScript API to ask for the
// path is broken in 0.45.0
const tsc = execFileSync(node, ["node_modules/@effect/tsgo/dist/effect-tsgo.cjs", "get-exe-path"], {
  cwd: root,
  encoding: "utf8"
}).trim()

// the longest first: two run at a time
const checks: ReadonlyArray<Check> = [
  {
    name: "types",
    commands: [
      [tsc, "-p", "packages/cancellation"],
      // once more as it is published: without the types of Node
      [tsc, "-p", "packages/cancellation/tsconfig.build.json", "--noEmit"],
      [tsc, "-p", "packages/testing"],
      [tsc, "-p", "packages/sql"],
      [tsc, "-p", "packages/redis"],
      [tsc, "-p", "packages/http"],
      [tsc, "-p", "packages/chat"],
      [tsc, "-p", "packages/unique"],
      [tsc, "-p", "packages/promise"],
      [tsc, "-p", "packages/demo"],
      [tsc, "-p", "packages/benchmark"],
      [tsc, "-p", "scripts"]
    ]
  },
  {
    name: "type tests",
    commands: [[node, "node_modules/tstyche/dist/bin.js", "--config", ".tstyche.json"]],
    // TypeScript 7 has no API for tools; without this tstyche would download a TypeScript by itself
    env: {
      TSTYCHE_TYPESCRIPT_MODULE: import.meta.resolve("typescript-6"),
      TSTYCHE_NO_INTERACTIVE: "true"
    }
  },
  { name: "examples in docs", commands: [[node, "scripts/check-examples.ts"]] },
  { name: "dead code", commands: [[node, "node_modules/knip/bin/knip.js"]] },
  { name: "lint", commands: [[node, "node_modules/oxlint/bin/oxlint"]] },
  { name: "format", commands: [[node, "node_modules/oxfmt/bin/oxfmt", "--check", "."]] },
  { name: "imports", commands: [[node, "scripts/check-imports.ts"]] }
]

const runCommand = (command: ReadonlyArray<string>, env: Check["env"]) =>
  new Promise<{ readonly ok: boolean; readonly output: string }>((resolve) => {
    const [file = "", ...args] = command
    const child = spawn(file, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env }
    })
    let output = ""
    child.stdout.on("data", (data) => (output += data))
    child.stderr.on("data", (data) => (output += data))
    child.on("error", (error) => resolve({ ok: false, output: `${error.message}\n` }))
    child.on("close", (code) => resolve({ ok: code === 0, output }))
  })

/** Runs all commands of a check, prints one line, and the output of those that failed. */
const runCheck = async (check: Check): Promise<boolean> => {
  const start = performance.now()
  const outputs: Array<string> = []
  for (const command of check.commands) {
    const { ok, output } = await runCommand(command, check.env)
    if (!ok) outputs.push(output.trimEnd())
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${outputs.length === 0 ? "ok    " : "failed"}  ${check.name} (${seconds} s)`)
  if (outputs.length > 0) console.log(`\n${[...new Set(outputs)].join("\n")}\n`)
  return outputs.length === 0
}

const runChecks = async (): Promise<number> => {
  const queue = [...checks]
  let failed = 0
  const worker = async () => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) {
      if (!(await runCheck(check))) failed++
    }
  }
  await Promise.all([worker(), worker()])
  return failed
}

const failedChecks = await runChecks()
const tests = await runTests({})
const counts = { ...tests, failed: tests.failed + failedChecks }
printCounts(counts)
process.exitCode = counts.failed === 0 ? 0 : 1
