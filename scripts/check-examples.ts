// Type-checks the examples in the docs: every ```ts block of the READMEs, of packages/*/docs and of the JSDoc comments
// in packages/*/src, each as a module of its own. An error is told with the line of the document.
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import { parseSync } from "oxc-parser"

const root = path.resolve(import.meta.dirname, "..")
// Inside the demo, which depends on nearly everything that an example may import; what it does not
// have, as clients of providers, is inside the package that has it.
const withOwnDependencies = ["packages/promise", "packages/unique"]
const folderOf = (document: string) =>
  path.join(
    root,
    withOwnDependencies.find((folder) => document.startsWith(`${folder}/`)) ?? "packages/demo",
    ".examples"
  )

interface Example {
  readonly document: string
  /** at the same line and column as in the document, so that errors need no translation */
  readonly code: string
  readonly line: number
}

/** The blocks of a text whose lines are those of the document. */
const blocksOf = (document: string, text: string): ReadonlyArray<Example> => {
  const examples: Array<Example> = []
  let block: { readonly line: number; readonly fence: string; code: string } | undefined
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^\s*(`{3,})(.*)$/.exec(line)
    if (block === undefined) {
      const language = fence?.[2]?.trim().split(/\s+/)[0]
      if (fence?.[1] !== undefined) {
        block = { line: index + 1, fence: language === "ts" ? fence[1] : "", code: "" }
      }
    } else if (fence !== null && fence[2]?.trim() === "") {
      if (block.fence !== "") {
        examples.push({
          document,
          code: "\n".repeat(block.line) + block.code,
          line: block.line
        })
      }
      block = undefined
    } else {
      block.code += `${line}\n`
    }
  }
  return examples
}

const blank = (text: string) => text.replaceAll(/[^\n]/g, " ")

/** A source with everything blanked but the text of its JSDoc comments. */
const docsOf = (file: string, source: string): string => {
  let text = ""
  let end = 0
  for (const comment of parseSync(file, source).comments) {
    if (comment.type !== "Block" || !comment.value.startsWith("*")) continue
    text += blank(source.slice(end, comment.start))
    const doc = source.slice(comment.start, comment.end)
    text += doc
      .replace(/^\/\*\*|\*\/$/g, blank)
      .split("\n")
      .map((line) => line.replace(/^\s*\* ?/, blank))
      .join("\n")
    end = comment.end
  }
  return text
}

const examplesOf = (): ReadonlyArray<Example> => {
  const read = (document: string) => fs.readFileSync(path.join(root, document), "utf8")
  const readmes = fs.globSync(["README.md", "packages/*/README.md", "packages/*/docs/*.md"], {
    cwd: root
  })
  const sources = fs.globSync("packages/*/src/**/*.ts", { cwd: root })
  return [
    ...readmes.toSorted().flatMap((document) => blocksOf(document, read(document))),
    ...sources
      .toSorted()
      .flatMap((document) => blocksOf(document, docsOf(document, read(document))))
  ]
}

const examples = examplesOf()
const documents = new Map<string, string>()

const folders = new Set(examples.map(({ document }) => folderOf(document)))
for (const folder of folders) {
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(
    path.join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: "../../../tsconfig.base.json",
      // an example shows how a value is made, and often leaves it there; it names a variable of the
      // environment as everybody does
      compilerOptions: {
        types: ["node"],
        noUnusedLocals: false,
        noUnusedParameters: false,
        noPropertyAccessFromIndexSignature: false
      },
      include: ["*.ts"]
    })
  )
}
for (const { code, document, line } of examples) {
  const name = `${document.replaceAll(/[/\\]/g, "__").replace(/\.(md|ts)$/, "")}__${line}.ts`
  documents.set(name, document)
  fs.writeFileSync(path.join(folderOf(document), name), code)
}

const tsc = path.join(root, "node_modules/typescript/bin/tsc")
for (const folder of folders) {
  const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", ".", "--pretty", "false"], {
    cwd: folder,
    encoding: "utf8"
  })
  process.stdout.write(
    stdout.replaceAll(/^([^\s(]+\.ts)\(/gm, (_, name: string) => `${documents.get(name) ?? name}(`)
  )
  if (status !== 0) process.exitCode = status ?? 1
}
