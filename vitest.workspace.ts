// The test projects: one a package, and one for the scripts.
import { defineConfig } from "vitest/config"

const project = (name: string, root: string) => ({
  test: {
    name,
    root,
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
      project("effect-cancellation-demo", "packages/demo"),
      project("scripts", "scripts")
    ]
  }
})
