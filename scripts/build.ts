// `npm run build`: compiles the published packages to their dist folders.
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import { root } from "./run-tests.ts"

const published = ["cancellation", "testing", "sql", "redis", "http", "chat", "unique", "promise"]

for (const folder of published) {
  // what was compiled from a source that is gone must not be published
  fs.rmSync(path.join(root, "packages", folder, "dist"), { recursive: true, force: true })
}
const run = (...args: ReadonlyArray<string>): number =>
  spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" }).status ?? 1

// every program that uses any of them loads the core as it starts
const bundled = ["cancellation"]

process.exitCode =
  run(
    "node_modules/typescript/bin/tsc",
    "-b",
    "--force",
    ...published.map((folder) => `packages/${folder}/tsconfig.build.json`)
  ) ||
  bundled
    .map((folder) => run("scripts/bundle.ts", `packages/${folder}/src`, `packages/${folder}/dist`))
    .find((status) => status !== 0) ||
  0
