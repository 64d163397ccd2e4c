// What a page loads: how much it is, and that it stands alone.
import { assert, describe, it } from "@effect/vitest"
import fs from "node:fs"
import path from "node:path"
import { gzipSync } from "node:zlib"
import { parseSync } from "oxc-parser"
import { build } from "vite"

const src = path.resolve(import.meta.dirname, "../src")

/** What a module imports: at run time, or also as types. */
const importsOf = (file: string, options?: { readonly types: boolean }): ReadonlyArray<string> => {
  const { dynamicImports, staticExports, staticImports } = parseSync(
    file,
    fs.readFileSync(file, "utf8")
  ).module
  assert.lengthOf(dynamicImports, 0)
  const isMeant = (entries: ReadonlyArray<{ readonly isType: boolean }>) =>
    options?.types === true || entries.length === 0 || entries.some(({ isType }) => !isType)
  return [
    ...staticImports
      .filter(({ entries }) => isMeant(entries))
      .map(({ moduleRequest }) => moduleRequest.value),
    ...staticExports
      .flatMap(({ entries }) => entries)
      .flatMap((entry) =>
        isMeant([entry]) && entry.moduleRequest ? [entry.moduleRequest.value] : []
      )
  ]
}

/** The modules that a module loads, itself included; those of other packages by their names. */
const loadedBy = (file: string, seen = new Set<string>()): ReadonlySet<string> => {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const name of importsOf(file)) {
    if (name.startsWith(".")) loadedBy(path.resolve(path.dirname(file), name), seen)
    else seen.add(name)
  }
  return seen
}

const named = (file: string) =>
  Array.from(loadedBy(path.join(src, file)), (name) =>
    path.isAbsolute(name) ? path.relative(src, name) : name
  )

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
    assert.deepStrictEqual(named("browser.ts"), ["browser.ts"])
    const types = importsOf(path.join(src, "browser.ts"), { types: true })
    assert.deepStrictEqual(new Set(types), new Set(["./internal/page.ts"]))
    const theirs = importsOf(path.join(src, "internal/page.ts"), { types: true })
    assert.deepStrictEqual(theirs, ["../browser.ts"])
  })
})

describe("the client of a program", () => {
  it("loads nothing of the server", () => {
    const loaded = named("StopClient.ts")
    assert.include(loaded, "StopApi.ts")
    const ofServer = [
      /Server/,
      /StopPolicy/,
      /Viewers/,
      /internal.(?!within)/,
      /^node:/,
      /platform/
    ]
    for (const part of ofServer) assert.isUndefined(loaded.find((name) => part.test(name)))
  })

  it("would be seen to load it", () => {
    const loaded = named("StopServer.ts")
    assert.include(loaded, path.join("internal", "guard.ts"))
  })
})
