import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { expect, test } from "vitest"
import { storeInFile } from "./process.fixture.ts"
import { place, quietStops } from "./laws.fixture.ts"

const program = path.join(import.meta.dirname, "process.child.ts")

const start = (...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, ["--unhandled-rejections=strict", program, ...args])
  let output = ""
  const heard = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      output += data
      for (const look of heard) look()
    })
  }
  return {
    child,
    says: (what: string) =>
      new Promise<void>((resolve, reject) => {
        heard.add(() => output.includes(what) && resolve())
        child.once("close", () => reject(new Error(output)))
      }),
    ended: new Promise<{ code: number | null; output: string }>((resolve) =>
      child.once("close", (code) => resolve({ code, output }))
    )
  }
}

test.each([
  ["unawaited", "closed\n"],
  ["late", "given up\n"],
  ["open", "stopped: shutdown\nclosed\n"]
])("a process ends by itself, and lets no rejection escape: %s", async (mode, output) => {
  expect(await start(mode).ended).toEqual({ code: 0, output })
})

test("SIGTERM and a drain end it, with the last words of its runs written", async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "stops-"))
  try {
    const filename = path.join(folder, "stops.sqlite")
    const { child, ended, says } = start("sigterm", filename)
    await says("ready")
    child.kill("SIGTERM")
    expect(await ended).toEqual({ code: 0, output: "ready\nshutdown\ndrained\n" })
    await using stops = quietStops({ store: storeInFile(filename) })
    expect(await stops.receipts(place)).toMatchObject([{ ended: { outcome: "interrupted" } }])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
