// The README and the plots say what the results say.
import fs from "node:fs"
import path from "node:path"
import { assert, describe, it } from "vitest"
import { plotsOf } from "../src/plots.ts"
import { folder, readResults } from "../src/results.ts"
import { readmeWith } from "../src/table.ts"

const readme = path.join(folder, "..", "README.md")

describe("The results of the last run", () => {
  it("are in the table of the README", () => {
    const text = fs.readFileSync(readme, "utf8")
    assert.strictEqual(readmeWith(text, readResults()), text, "npm run bench -- --draw")
  })

  it("are drawn in the plots", () => {
    for (const [name, svg] of Object.entries(plotsOf(readResults()))) {
      const file = path.join(folder, `${name}.svg`)
      assert.strictEqual(fs.readFileSync(file, "utf8"), svg, "npm run bench -- --draw")
    }
  })
})
