/** What a run takes of the heap: bytes hardly depend on the machine, and not on how busy it is. */
import { execFile } from "node:child_process"
import path from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "vitest"
import type { HeapOfRun } from "./support/heapOfRuns.ts"

const kibibyte = 1024

const measure = async () => {
  const program = path.join(import.meta.dirname, "support", "heapOfRuns.ts")
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--expose-gc", "--min-semi-space-size=256", "--max-semi-space-size=256", program],
    // It must not outlive the test.
    { timeout: 100_000 }
  )
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- heapOfRuns.ts prints nothing else
  return JSON.parse(stdout) as Readonly<Record<"bare" | "watched", HeapOfRun>>
}

describe("a watched run, beyond the same in a bare layer and a race", () => {
  it("keeps and allocates little, and leaves nothing behind", { timeout: 120_000 }, async () => {
    const { bare, watched } = await measure()
    assert.isAbove(bare.waiting, 4 * kibibyte)
    // 5.7, its row in the store included.
    assert.isBelow(watched.waiting - bare.waiting, 7 * kibibyte, "kept while it waits")
    // About 20.
    assert.isBelow(watched.allocated - bare.allocated, 28 * kibibyte, "allocated to start it")
    // Less than the smallest thing that could be kept of it, in a list.
    assert.isBelow(watched.ended, 48, "kept after it has ended")
  })
})
