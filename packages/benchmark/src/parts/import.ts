/**
 * What it costs to have `effect-cancellation` in a program that has `effect` already: time to load,
 * and bytes in a bundle. Of the compiled JavaScript, as it is published.
 */
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import zlib from "node:zlib"
import { build, minify } from "vite"
import type { Figure, Part } from "../Part.ts"
import { median } from "../statistics.ts"

const root = path.join(import.meta.dirname, "..", "..", "..", "..")
const core = path.join(root, "packages", "cancellation")
const handWritten = path.join(import.meta.dirname, "..", "handWritten.ts")

export const importing: Part = {
  name: "import",
  about: "time and size to load effect-cancellation beyond effect",
  needsDatabase: false,
  run: async (options) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-import-"))
    try {
      const modules = path.join(folder, "node_modules")
      const dist = compileTo(path.join(modules, "effect-cancellation"))
      const first = importedFromEffect(dist)
      bundleTo(dist)
      fs.symlinkSync(fs.realpathSync(path.join(core, "node_modules", "effect")), linkIn(modules))
      const whole = await bundled(path.join(core, "src", "index.ts"))
      const byHand = await bundled(handWritten)
      fs.writeFileSync(path.join(folder, "whole.mjs"), whole.code)
      fs.writeFileSync(path.join(folder, "hand.mjs"), byHand.code)

      const contenders = [
        { name: "effect-cancellation", times: timesOf(folder, first, "effect-cancellation") },
        { name: "the same in one file", times: timesOf(folder, first, "./whole.mjs") },
        { name: "by hand", times: timesOf(folder, first, "./hand.mjs") }
      ] as const
      const all = contenders.map((): Array<Times> => [])
      const rounds = options.named ? 21 : options.quick ? 5 : 7
      for (let round = 0; round < rounds; round++) {
        for (const [index, { times }] of contenders.entries()) all[index]?.push(times())
      }
      const figures = contenders.flatMap(({ name }, index): ReadonlyArray<Figure> => {
        const times = all[index] ?? []
        return [
          { name: `${name}: processor`, unit: "ms", rounds: times.map(({ cpu }) => cpu) },
          { name: `${name}: elapsed`, unit: "ms", rounds: times.map(({ elapsed }) => elapsed) }
        ]
      })
      return {
        figures: [
          ...figures,
          { name: "effect-cancellation: minified", unit: "kB", rounds: [whole.minified] },
          { name: "effect-cancellation: and gzipped", unit: "kB", rounds: [whole.gzipped] },
          { name: "by hand: minified and gzipped", unit: "kB", rounds: [byHand.gzipped] }
        ],
        bars: [
          {
            name: "time to load beyond effect",
            unit: "ms",
            value: median(figures[0]?.rounds ?? []),
            atMost: 15
          },
          { name: "size beyond effect, gzipped", unit: "kB", value: whole.gzipped, atMost: 12 }
        ],
        notes: [
          `a process of its own each time, which has loaded the ${first.length} modules of effect that the package imports; the bar is on the processor's time, which other programs do not lengthen`
        ]
      }
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
  }
}

const linkIn = (modules: string): string => path.join(modules, "effect")

/** As `npm run build` does it; answers the folder of the JavaScript. */
const compileTo = (target: string): string => {
  const dist = path.join(target, "dist")
  const { status, stdout } = spawnSync(
    process.execPath,
    [
      path.join(root, "node_modules", "typescript", "bin", "tsc"),
      "-p",
      path.join(core, "tsconfig.build.json"),
      "--outDir",
      dist,
      "--tsBuildInfoFile",
      path.join(target, "tsbuildinfo")
    ],
    { encoding: "utf8" }
  )
  if (status !== 0) throw new Error(`effect-cancellation does not compile\n${stdout}`)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is this repository's own
  const { publishConfig, ...manifest } = JSON.parse(
    fs.readFileSync(path.join(core, "package.json"), "utf8")
  ) as { readonly publishConfig: object }
  fs.writeFileSync(
    path.join(target, "package.json"),
    JSON.stringify({ ...manifest, ...publishConfig })
  )
  return dist
}

/** As `npm run build` does it. */
const bundleTo = (dist: string): void => {
  const script = path.join(root, "scripts", "bundle.ts")
  const { status, stderr } = spawnSync(process.execPath, [script, path.join(core, "src"), dist], {
    encoding: "utf8"
  })
  if (status !== 0) throw new Error(`effect-cancellation cannot be bundled\n${stderr}`)
}

const importedFromEffect = (dist: string): ReadonlyArray<string> => {
  const files = fs.readdirSync(dist, { recursive: true, encoding: "utf8" })
  const texts = files
    .filter((file) => file.endsWith(".js"))
    .map((file) => fs.readFileSync(path.join(dist, file), "utf8"))
  return Array.from(
    new Set(texts.flatMap((text) => text.match(/(?<=^import .* from ")effect\/[^"]+/gm) ?? []))
  ).toSorted()
}

interface Times {
  readonly cpu: number
  readonly elapsed: number
}

const timesOf = (folder: string, first: ReadonlyArray<string>, name: string) => {
  const script = path.join(folder, `load-${path.basename(name)}.mjs`)
  fs.writeFileSync(
    script,
    `${first.map((one) => `import ${JSON.stringify(one)}`).join("\n")}
const before = process.cpuUsage()
const began = performance.now()
await import(${JSON.stringify(name)})
const elapsed = performance.now() - began
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ cpu: (user + system) / 1000, elapsed }))
`
  )
  return (): Times => {
    const { status, stderr, stdout } = spawnSync(process.execPath, [script], { encoding: "utf8" })
    if (status !== 0) throw new Error(stderr)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the script above printed it
    return JSON.parse(stdout) as Times
  }
}

const bundled = async (entry: string) => {
  const output = await build({
    configFile: false,
    logLevel: "silent",
    root: path.dirname(entry),
    build: {
      write: false,
      minify: false,
      target: "es2023",
      lib: { entry, formats: ["es"] },
      rolldownOptions: { external: /^effect\// }
    }
  })
  const [one] = Array.isArray(output) ? output : []
  const [chunk] = one?.output ?? []
  if (chunk === undefined) throw new Error(`${entry} could not be bundled`)
  // A library is bundled with its white space, which whoever bundles the program takes out.
  const { code } = await minify("bundle.js", chunk.code, {
    module: true,
    compress: true,
    mangle: { toplevel: true },
    codegen: { removeWhitespace: true }
  })
  return {
    code: chunk.code,
    minified: code.length / 1000,
    gzipped: zlib.gzipSync(code, { level: 9 }).length / 1000
  }
}
