/**
 * The package as it is published, in an app that has an older Effect of its own.
 */
import fs from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { type App, compile, makeApp } from "./support/packageApp.ts"

let app: App
beforeAll(() => {
  app = makeApp()
  return () => app[Symbol.dispose]()
}, 120_000)

/** A stop from beginning to end, as a program would write it. */
const stopping = `
  const stops = createStops({ store: memory(), log: () => {} })
  try {
    const work = (run, signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve("ended"))
        void stops.stop({ chatId: "c" })
      })
    const answer = await stops.run({ chatId: "c", messageId: "m" }, work, {
      whenStopped: (event) => "stopped: " + event.reason
    })
    const receipts = await stops.receipts({ chatId: "c" })
    console.log(answer, receipts.map(({ phase }) => phase).join())
  } finally {
    await stops.close()
  }
`

describe("the package in an app with Effect 3", () => {
  test("the app's own Effect is one that cannot be loaded", () => {
    const file = app.write(
      "older.mjs",
      'await import("effect").catch((e) => console.log(e.message))'
    )
    expect(app.run(file)).toBe("the Effect of the app was loaded")
  })

  test("stops a run from a module", () => {
    const file = app.write(
      "module.mjs",
      `import { createStops, memory } from "effect-cancellation-promise"\n${stopping}`
    )
    expect(app.run(file)).toBe("stopped: user ended")
  })

  test("stops a run from CommonJS", () => {
    const file = app.write(
      "common.cjs",
      `const main = async () => {
        const { createStops, memory } = await import("effect-cancellation-promise")
        ${stopping}
      }
      main()`
    )
    expect(app.run(file)).toBe("stopped: user ended")
  })

  test("has a module behind each of its subpaths, which loads no Effect and no adapter", () => {
    expect(app.subpaths.length).toBeGreaterThan(1)
    for (const subpath of app.subpaths) {
      const file = app.write(
        "loads.mjs",
        `import { registerHooks } from "node:module"
        const loaded = []
        registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
        const made = await import(${JSON.stringify(subpath)})
        if (Object.keys(made).length === 0) throw new Error("it exports nothing")
        console.log(loaded.join("\\n"))`
      )
      const home = `file://${app.home}/dist/`
      const loaded = app.run(file).split("\n")
      expect(loaded[0]).toMatch(home)
      expect(loaded.filter((url) => !url.startsWith(home))).toEqual([])
      const entries = app.subpaths
        .map((other) => `${home}${path.basename(other)}.js`)
        .filter((url) => !url.endsWith(`/${path.basename(subpath)}.js`))
      expect(loaded.filter((url) => entries.includes(url))).toEqual([])
    }
  })
})

describe("the declarations", () => {
  test("mention no Effect, from whichever module one comes", () => {
    const seen = new Set<string>()
    const foreign: Array<string> = []
    const follow = (file: string): void => {
      if (seen.has(file)) return
      seen.add(file)
      const text = fs.readFileSync(file, "utf8").replaceAll(/\/\*[^]*?\*\//g, "")
      for (const [, name = ""] of text.matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)) {
        if (name.startsWith(".")) {
          follow(path.resolve(path.dirname(file), name.replace(/\.[jt]s$/, ".d.ts")))
        } else foreign.push(`${path.basename(file)}: ${name}`)
      }
    }
    for (const subpath of app.subpaths) {
      const name = subpath === "effect-cancellation-promise" ? "index" : path.basename(subpath)
      follow(path.join(app.home, "dist", `${name}.d.ts`))
    }
    expect(seen.size).toBeGreaterThan(app.subpaths.length)
    expect(foreign).toEqual([])
  })

  test.each([
    ["Bundler", "ESNext"],
    ["Node16", "Node16"]
  ])("are enough for a strict program (%s), with no Effect to be found", (resolution, module) => {
    const place = `../consumer-${resolution}`
    // Declarations alone, so that nothing else can be looked up.
    const bare = path.join(app.folder, place, "node_modules/effect-cancellation-promise")
    fs.cpSync(path.join(app.home, "dist"), path.join(bare, "dist"), { recursive: true })
    fs.copyFileSync(path.join(app.home, "package.json"), path.join(bare, "package.json"))
    app.write(`${place}/package.json`, '{ "type": "module" }')
    app.write(
      `${place}/tsconfig.json`,
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          skipLibCheck: false,
          exactOptionalPropertyTypes: true,
          target: "ES2022",
          lib: ["ES2022", "DOM"],
          types: [],
          module,
          moduleResolution: resolution
        },
        include: ["*.ts"]
      })
    )
    app.write(
      `${place}/example.ts`,
      `${app.subpaths.map((subpath) => `import ${JSON.stringify(subpath)}\n`).join("")}${example}`
    )
    expect(compile(path.join(app.folder, place, "tsconfig.json"))).toBe("")
    // What it does not fit is found: the types are not any.
    app.write(`${place}/wrong.ts`, wrong)
    expect(compile(path.join(app.folder, place, "tsconfig.json"))).toContain("wrong.ts")
  })
})

const example = `
import { createStops } from "effect-cancellation-promise"
import { postgres } from "effect-cancellation-promise/postgres"

declare const url: string | undefined
declare const agent: (signal: AbortSignal) => Promise<string>
declare const source: AsyncIterable<string>

const stops = createStops({ store: postgres(url) })

export const answer = async (chatId: string, messageId: string) => {
  await using run = await stops.watch({ chatId, messageId })
  const answer: string = await run.run((signal) => agent(signal), { whenStopped: "stopped" })
  if (await run.check()) return answer
  const off = run.onStop((event) => event.reason)
  for await (const chunk of run.stream(source)) chunk.toUpperCase()
  off()
  const receipts = await stops.stop({ chatId, messageId })
  for (const receipt of receipts) if (receipt.phase === "ended") receipt.ended.at.getTime()
  await stops.drain({ timeout: 1000 })
  return run.stopped ? undefined : run.signal.aborted
}
`

const wrong = `
import { createStops } from "effect-cancellation-promise"

export const stops: string = createStops()
`
