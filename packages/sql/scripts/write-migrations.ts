// The SQL files of the package, for people with a migration tool of their own, from the statements
// that `Migrations` runs. `--check` writes nothing, and fails if a file is not as it would be written.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { files } from "./migrations.ts"

const folder = path.join(import.meta.dirname, "..", "migrations")
const isCheck = process.argv.includes("--check")
const stale: Array<string> = []

for (const [name, text] of files) {
  const file = path.join(folder, name)
  if (existsSync(file) && readFileSync(file, "utf8") === text) continue
  stale.push(name)
  if (isCheck) continue
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}

if (stale.length > 0)
  process.stdout.write(`${isCheck ? "Stale" : "Written"}: ${stale.join(", ")}\n`)
if (isCheck && stale.length > 0) process.exitCode = 1
