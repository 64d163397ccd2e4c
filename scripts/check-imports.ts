// Checks the direction of imports and the length of files against the table in import-rules.ts.
// Fixtures that must fail are in fixtures/imports; test/check-imports.test.ts runs them.
import fs from "node:fs"
import path from "node:path"
import { type Node, parseSync, Visitor } from "oxc-parser"
import { maxLines, onlyForTests, type PackageRule, rules } from "./import-rules.ts"

interface Import {
  readonly offset: number
  /** undefined when it is computed, so that nobody can tell */
  readonly specifier: string | undefined
  readonly dynamic: boolean
  /** the names taken from the module, if the syntax says them */
  readonly names: ReadonlyArray<string>
}

const root = path.resolve(import.meta.dirname, "..")

// ---------------------------------------------------------------------------------------------
// reading
// ---------------------------------------------------------------------------------------------

const literal = (node: Node | null | undefined): string | undefined =>
  node?.type === "Literal" && typeof node.value === "string" ? node.value : undefined

const nameOf = (node: Node): string =>
  node.type === "Identifier" ? node.name : (literal(node) ?? "")

const importsOf = (file: string, source: string): ReadonlyArray<Import> => {
  const imports: Array<Import> = []
  const add = (
    node: Node,
    specifier: string | undefined,
    names: ReadonlyArray<string> = [],
    dynamic = false
  ) => imports.push({ offset: node.start, specifier, dynamic, names })
  const { errors, program } = parseSync(file, source)
  if (errors[0] !== undefined) throw new Error(`${file}: ${errors[0].message}`)
  new Visitor({
    ImportDeclaration: (node) =>
      add(
        node,
        node.source.value,
        node.specifiers.flatMap((it) =>
          it.type === "ImportSpecifier" ? [nameOf(it.imported)] : []
        )
      ),
    ExportNamedDeclaration: (node) => {
      if (node.source === null) return
      add(
        node,
        node.source.value,
        node.specifiers.map((it) => nameOf(it.local))
      )
    },
    ExportAllDeclaration: (node) => add(node, node.source.value),
    ImportExpression: (node) => add(node, literal(node.source), [], true),
    TSImportType: (node) => add(node, literal(node.source)),
    TSImportEqualsDeclaration: (node) => {
      if (node.moduleReference.type === "TSExternalModuleReference") {
        add(node, literal(node.moduleReference.expression))
      }
    },
    CallExpression: (node) => {
      if (node.callee.type === "Identifier" && node.callee.name === "require") {
        add(node, literal(node.arguments[0]))
      }
    }
  }).visit(program)
  return imports
}

const filesBelow = (folder: string): ReadonlyArray<string> =>
  fs.existsSync(folder)
    ? fs
        .readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && /\.[cm]?tsx?$/.test(entry.name))
        .map((entry) => path.join(entry.parentPath, entry.name))
        .toSorted()
    : []

// ---------------------------------------------------------------------------------------------
// judging
// ---------------------------------------------------------------------------------------------

const isBelow = (specifier: string, allowed: string) =>
  allowed === "*" || specifier === allowed || specifier.startsWith(`${allowed}/`)

const effectSource = path.join(root, "node_modules/effect/src")

const existingFile = (...candidates: ReadonlyArray<string>) =>
  candidates.find((file) => fs.existsSync(file))

/** Whether the comment that heads a module of effect says that it is stable. */
const isStable = (specifier: string): boolean => {
  const module = path.join(effectSource, specifier.replace(/^effect\/?/, ""))
  const file = existingFile(`${module}.ts`, path.join(module, "index.ts"))
  if (file === undefined) return false
  const head = /\/\*\*[\s\S]*?\*\//.exec(fs.readFileSync(file, "utf8"))?.[0] ?? ""
  return head.includes("@stability stable")
}

/** The modules behind an import: those that its names stand for, when it is from a barrel of effect. */
const modulesOf = ({ names, specifier = "" }: Import): ReadonlyArray<string> => {
  if (!isBelow(specifier, "effect")) return [specifier]
  const folder = path.join(effectSource, specifier.replace(/^effect\/?/, ""))
  if (names.length === 0 || !fs.existsSync(path.join(folder, "index.ts"))) return [specifier]
  return names.map((name) =>
    fs.existsSync(path.join(folder, `${name}.ts`)) ? `${specifier}/${name}` : specifier
  )
}

const judgeModule = (folder: string, rule: PackageRule, module: string, dynamic: boolean) => {
  if (onlyForTests.some((name) => isBelow(module, name))) return `${module} is only for tests`
  if (/^effect-cancellation[^/]*\/internal\//.test(module)) return `${module} is private`
  const own = rule.mayImport.some(
    (allowed) => isBelow(module, allowed) && (allowed !== "effect" || isStable(module))
  )
  const byImportCall = rule.mayImportDynamically?.some((name) => isBelow(module, name)) ?? false
  if (own || (byImportCall && dynamic)) return undefined
  if (byImportCall) return `${folder} imports ${module} only by import()`
  if (isBelow(module, "effect") && rule.mayImport.includes("effect")) {
    return `${module} is not stable in effect`
  }
  return `${folder} may not import ${module}`
}

/** Servers that the tests of several packages need are in the folder `test/support` of one of them. */
const isSharedSupport = (packageFolder: string, file: string, target: string): boolean => {
  const [, ...inner] = path.relative(path.dirname(packageFolder), target).split(path.sep)
  return (
    file.startsWith(path.join(packageFolder, "test") + path.sep) &&
    path.join(...inner).startsWith(path.join("test", "support") + path.sep)
  )
}

const judgeRelative = (packageFolder: string, file: string, specifier: string) => {
  const target = path.resolve(path.dirname(file), specifier)
  if (isSharedSupport(packageFolder, file, target)) return undefined
  if (!target.startsWith(packageFolder + path.sep)) return `${specifier} leaves the package`
  const fromSrc = file.startsWith(path.join(packageFolder, "src") + path.sep)
  if (fromSrc && !target.startsWith(path.join(packageFolder, "src") + path.sep)) {
    return `${specifier} leaves src`
  }
  if (!/\.(ts|json)$/.test(specifier)) return `${specifier} must end in .ts`
  return undefined
}

const judge = (
  packageFolder: string,
  rule: PackageRule,
  file: string,
  found: Import
): ReadonlyArray<string | undefined> => {
  const { dynamic, specifier } = found
  const inSrc = file.startsWith(path.join(packageFolder, "src") + path.sep)
  if (specifier === undefined) return inSrc ? ["an import must name its module"] : []
  if (/^\.{0,2}\//.test(specifier) || specifier.startsWith("file:")) {
    return [judgeRelative(packageFolder, file, specifier)]
  }
  if (!inSrc) return []
  const folder = path.basename(packageFolder)
  return modulesOf(found).map((module) => judgeModule(folder, rule, module, dynamic))
}

/** All that is wrong in the packages below a folder, each as `file:line: reason`. */
export const checkImports = (workspace: string): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const packages = path.join(workspace, "packages")
  for (const folder of fs.readdirSync(packages).toSorted()) {
    const packageFolder = path.join(packages, folder)
    const rule = rules[folder]
    if (rule === undefined) {
      problems.push(`packages/${folder}: unknown, add it to the table in scripts/import-rules.ts`)
      continue
    }
    const files = ["src", "test", "typetest"].flatMap((name) =>
      filesBelow(path.join(packageFolder, name))
    )
    for (const file of files) {
      const shown = path.relative(workspace, file)
      const source = fs.readFileSync(file, "utf8")
      const lines = source.trimEnd().split("\n").length
      if (shown.split(path.sep)[2] === "src" && lines > maxLines) {
        problems.push(`${shown}: ${lines} lines, more than ${maxLines}`)
      }
      for (const found of importsOf(file, source)) {
        const line = source.slice(0, found.offset).split("\n").length
        for (const reason of judge(packageFolder, rule, file, found)) {
          if (reason !== undefined) problems.push(`${shown}:${line}: ${reason}`)
        }
      }
    }
  }
  return problems
}

if (import.meta.main) {
  const problems = checkImports(root)
  for (const problem of problems) console.log(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}
