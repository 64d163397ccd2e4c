// The test projects: one a package, and one for the scripts.
import path from "node:path"
import { defineConfig } from "vitest/config"

// vitest runs it once, and only if a test file of a project that names it is run
const postgres = path.join(import.meta.dirname, "packages/sql/test/global-setup.ts")

const project = (name: string, root: string, globalSetup: ReadonlyArray<string> = []) => ({
  test: {
    name,
    root,
    globalSetup: [...globalSetup],
    include: ["test/**/*.test.ts"],
    environment: "node" as const,
    // `npm run laws` takes as long as the runs that were asked for
    testTimeout: process.env["LAWS_RUNS"] === undefined ? 20_000 : 0,
    hookTimeout: 30_000
  }
})

export default defineConfig({
  test: {
    watch: false,
    // every test file is its own process; two cores
    maxWorkers: 2,
    projects: [
      project("effect-cancellation", "packages/cancellation"),
      project("effect-cancellation-testing", "packages/testing"),
      project("effect-cancellation-sql", "packages/sql", [postgres]),
      project("effect-cancellation-redis", "packages/redis"),
      project("effect-cancellation-http", "packages/http"),
      project("effect-cancellation-chat", "packages/chat"),
      project("effect-cancellation-unique", "packages/unique"),
      project("effect-cancellation-promise", "packages/promise", [postgres]),
      project("effect-cancellation-demo", "packages/demo", [postgres]),
      project("effect-cancellation-benchmark", "packages/benchmark", [postgres]),
      project("scripts", "scripts")
    ]
  }
})
