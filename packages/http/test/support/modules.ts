// What a module loads, read from its source.
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
