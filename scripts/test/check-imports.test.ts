// Each fixture must be refused for the reason that its first line names, and for no other.
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { describe, expect, it } from "vitest"
import { checkImports } from "../check-imports.ts"
import { maxLines } from "../import-rules.ts"

const fixtures = path.resolve(import.meta.dirname, "../fixtures")

const expectedReason = (fixture: string): string => {
  for (const entry of fs.readdirSync(fixture, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const source = fs.readFileSync(path.join(entry.parentPath, entry.name), "utf8")
    const reason = /^\/\/ refused: (.+)$/m.exec(source)?.[1]
    if (reason !== undefined) return reason
  }
  throw new Error(`${fixture} names no reason`)
}

describe("the direction of imports", () => {
  for (const name of fs.readdirSync(path.join(fixtures, "imports"))) {
    it(`refuses ${name.replaceAll("-", " ")}`, () => {
      const fixture = path.join(fixtures, "imports", name)
      const reasons = checkImports(fixture).map((problem) => problem.replace(/^\S+: /, ""))
      expect(reasons).toEqual([expectedReason(fixture)])
    })
  }

  it("allows what the table lists", () => {
    expect(checkImports(path.join(fixtures, "imports-allowed"))).toEqual([])
  })
})

describe("the length of files", () => {
  const problemsOfFileWith = (lines: number, folder: string) => {
    const workspace = fs.mkdtempSync(path.join(os.tmpdir(), "check-imports-"))
    try {
      const target = path.join(workspace, "packages/demo", folder)
      fs.mkdirSync(target, { recursive: true })
      fs.writeFileSync(path.join(target, "long.ts"), "export {}\n".repeat(lines))
      return checkImports(workspace)
    } finally {
      fs.rmSync(workspace, { recursive: true })
    }
  }

  it("refuses a source that is too long", () => {
    expect(problemsOfFileWith(maxLines + 1, "src")).toEqual([
      `packages/demo/src/long.ts: ${maxLines + 1} lines, more than ${maxLines}`
    ])
  })

  it("allows a source of just the most lines, and a long test", () => {
    expect(problemsOfFileWith(maxLines, "src")).toEqual([])
    expect(problemsOfFileWith(maxLines + 1, "test")).toEqual([])
  })
})
