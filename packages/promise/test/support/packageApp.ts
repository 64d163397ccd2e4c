// The package as an app has it that is on an older Effect: compiled, with the exports it is published
// with, and what it needs below itself, where npm puts what differs from the app's own.
import { execFileSync } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"

const packages = path.resolve(import.meta.dirname, "../../..")
const modules = path.join(packages, "../node_modules")

const compiler = execFileSync(
  process.execPath,
  [path.join(modules, "@effect/tsgo/dist/effect-tsgo.cjs"), "get-exe-path"],
  { encoding: "utf8" }
).trim()

/** Runs TypeScript's own compiler; answers what it says, which is nothing if all is well. */
export const compile = (config: string): string => {
  try {
    return execFileSync(compiler, ["-p", config], { encoding: "utf8" })
  } catch (error) {
    return String(Reflect.get(Object(error), "stdout"))
  }
}

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly publishConfig: { readonly exports: Readonly<Record<string, unknown>> }
}

const manifestOf = (name: string): Manifest =>
  JSON.parse(fs.readFileSync(path.join(packages, name, "package.json"), "utf8"))

const write = (file: string, text: string): void => {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text)
}

export interface App extends Disposable {
  readonly folder: string
  /** Where the compiled package is. */
  readonly home: string
  /** The subpaths by which modules are imported. */
  readonly subpaths: ReadonlyArray<string>
  readonly write: (file: string, text: string) => string
  /** Runs a file of the app, in a process of its own; answers what it prints. */
  readonly run: (file: string) => string
}

export const makeApp = (): App => {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "package-app-")))
  const folder = path.join(root, "app")
  const names = ["cancellation", "http", "redis", "sql", "promise"]
  const out = path.join(folder, "out")
  write(
    path.join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: path.join(packages, "../tsconfig.base.json"),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        outDir: out,
        rootDir: packages,
        types: ["node"],
        typeRoots: [path.join(modules, "@types")]
      },
      include: names.map((name) => path.join(packages, name, "src"))
    })
  )
  const said = compile(path.join(folder, "tsconfig.json"))
  if (said !== "") {
    fs.rmSync(root, { recursive: true, force: true })
    throw new Error(said)
  }

  const home = path.join(folder, "node_modules/effect-cancellation-promise")
  for (const name of names) {
    const manifest = manifestOf(name)
    const place = name === "promise" ? home : path.join(home, "node_modules", manifest.name)
    fs.mkdirSync(place, { recursive: true })
    fs.renameSync(path.join(out, name, "src"), path.join(place, "dist"))
    const published = { ...manifest, exports: manifest.publishConfig.exports }
    write(path.join(place, "package.json"), JSON.stringify(published))
  }
  for (const name of Object.keys(manifestOf("promise").dependencies ?? {})) {
    const link = path.join(home, "node_modules", name)
    if (fs.existsSync(link)) continue
    fs.mkdirSync(path.dirname(link), { recursive: true })
    fs.symlinkSync(fs.realpathSync(path.join(packages, "promise/node_modules", name)), link)
  }
  const older = path.join(folder, "node_modules/effect")
  write(
    path.join(older, "package.json"),
    JSON.stringify({
      name: "effect",
      version: "3.19.0",
      type: "module",
      exports: { ".": "./index.js", "./*": "./index.js" }
    })
  )
  write(path.join(older, "index.js"), 'throw new Error("the Effect of the app was loaded")\n')

  return {
    folder,
    home,
    subpaths: Object.keys(manifestOf("promise").publishConfig.exports)
      .filter((subpath) => !subpath.endsWith(".json"))
      .map((subpath) => path.posix.join("effect-cancellation-promise", subpath)),
    write: (file, text) => {
      write(path.join(folder, file), text)
      return file
    },
    run: (file) =>
      execFileSync(process.execPath, [path.join(folder, file)], {
        cwd: folder,
        encoding: "utf8",
        timeout: 30_000
      }).trim(),
    [Symbol.dispose]: () => fs.rmSync(root, { recursive: true, force: true })
  }
}
