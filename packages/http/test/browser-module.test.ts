// What a page loads: how much it is, and that it stands alone.
import { assert, describe, it } from "@effect/vitest"
import path from "node:path"
import { gzipSync } from "node:zlib"
import { build } from "vite"
import { importsOf, loadedInNode, namesOf, serverModules, src } from "./support/modules.ts"

describe("the module of a page", () => {
  it("is under 3 kB, minified and compressed", async () => {
    const built = await build({
      configFile: false,
      logLevel: "silent",
      build: {
        write: false,
        minify: true,
        target: "es2022",
        lib: { entry: path.join(src, "browser.ts"), formats: ["es"] }
      }
    })
    const outputs = Array.isArray(built) ? built : [built]
    const code = outputs.flatMap((one) =>
      "output" in one ? one.output.map((part) => ("code" in part ? part.code : "")) : []
    )
    const bytes = gzipSync(code.join(""), { level: 9 }).length
    process.stdout.write(`browser.ts: ${bytes} bytes minified and compressed\n`)
    assert.isAbove(bytes, 1000)
    assert.isBelow(bytes, 3072)
  })

  it("imports nothing, and as types nobody else's", () => {
    assert.deepStrictEqual(namesOf("browser.ts"), ["browser.ts"])
    const types = importsOf(path.join(src, "browser.ts"), { types: true })
    assert.deepStrictEqual(new Set(types), new Set(["./internal/page.ts"]))
    const theirs = importsOf(path.join(src, "internal/page.ts"), { types: true })
    assert.deepStrictEqual(theirs, ["../browser.ts"])
  })
})

describe("the client of a program", () => {
  it("loads nothing of the server", () => {
    const loaded = namesOf("StopClient.ts").filter((name) => !name.startsWith("effect/"))
    assert.include(loaded, "StopApi.ts")
    const ofServer = [
      /Server/,
      /StopPolicy/,
      /Viewers/,
      /internal.(?!within|authenticate)/,
      /^node:/,
      /platform/
    ]
    for (const part of ofServer) assert.isUndefined(loaded.find((name) => part.test(name)))
  })

  it("loads nothing of Effect's that builds a server either, nor does the contract", () => {
    for (const module of ["StopClient.ts", "StopApi.ts", "Problem.ts", "Bearer.ts"]) {
      const ofEffect = loadedInNode(module).filter((url) => serverModules.test(url))
      assert.deepStrictEqual(ofEffect, [], module)
    }
  })

  it("would be seen to load it", () => {
    const loaded = namesOf("StopServer.ts")
    assert.include(loaded, path.join("internal", "guard.ts"))
    assert.isTrue(loadedInNode("StopServer.ts").some((url) => serverModules.test(url)))
  })
})
