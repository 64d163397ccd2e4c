// What a module loads, read from its source, and as Node finds it.
import { execFileSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import { parseSync } from "oxc-parser"

export const src = path.resolve(import.meta.dirname, "../../src")

/** What a module imports: at run time, or also as types. */
export const importsOf = (
  file: string,
  options?: { readonly types: boolean }
): ReadonlyArray<string> => {
  const { dynamicImports, staticExports, staticImports } = parseSync(
    file,
    fs.readFileSync(file, "utf8")
  ).module
  if (dynamicImports.length > 0) throw new Error(`${file} imports dynamically`)
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

/** The same by their names below `src`. */
export const namesOf = (file: string) =>
  Array.from(loadedBy(path.join(src, file)), (name) =>
    path.isAbsolute(name) ? path.relative(src, name) : name
  )

/** The addresses of all the modules that Node loads with one, those of other packages too. */
export const loadedInNode = (file: string): ReadonlyArray<string> => {
  const hook = `
    import { registerHooks } from "node:module"
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    await import(${JSON.stringify(path.join(src, file))})
    console.log(loaded.join("\\n"))
  `
  return execFileSync(process.execPath, ["--input-type=module", "-e", hook], {
    cwd: path.join(src, ".."),
    encoding: "utf8"
  })
    .trim()
    .split("\n")
}

/**
 * What a client has no use for, and can do without in Effect 4.1: the definition of an endpoint loads
 * the router, and with it what requests and responses of a server are.
 */
export const serverModules =
  /\/effect\/.*\/(HttpApiBuilder|HttpApiScalar|HttpApiSwagger|HttpApiTest|HttpStaticServer|FetchHttpClient|index)\.js$/
