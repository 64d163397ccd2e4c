/**
 * What the command line asks for.
 */
import type { Part } from "./Part.ts"

export type Command =
  | { readonly _tag: "Help" }
  | { readonly _tag: "NotUnderstood"; readonly argument: string }
  | { readonly _tag: "Draw" }
  | {
      readonly _tag: "Measure"
      readonly quick: boolean
      /** Parts were asked for by name. */
      readonly named: boolean
      readonly wanted: ReadonlyArray<Part>
    }

/** Reads the arguments. */
export const commandOf = (args: ReadonlyArray<string>, parts: ReadonlyArray<Part>): Command => {
  if (args.includes("--help") || args.includes("-h")) return { _tag: "Help" }
  const names = args.filter((argument) => argument !== "--quick" && argument !== "--draw")
  const argument = names.find((name) => parts.every((part) => part.name !== name))
  if (argument !== undefined) return { _tag: "NotUnderstood", argument }
  if (args.includes("--draw")) return { _tag: "Draw" }
  const named = names.length > 0
  return {
    _tag: "Measure",
    quick: args.includes("--quick"),
    named,
    wanted: parts.filter(({ name }) => !named || names.includes(name))
  }
}

/** How it is used. */
export const usageOf = (parts: ReadonlyArray<Part>): string => {
  const width = Math.max(...parts.map(({ name }) => name.length))
  return [
    "Usage: npm run bench -- [--quick] [part ...]",
    "",
    "  --quick   a first look, within a minute, that is not kept",
    "  --draw    only draws the plots and the table anew, from the results that are kept",
    "",
    "Without a part all of them are measured; those with a star need PostgreSQL:",
    "",
    ...parts.map(
      ({ about, name, needsDatabase }) =>
        `${needsDatabase ? "*" : " "} ${name.padEnd(width)}   ${about}`
    ),
    "",
    "DATABASE_URL names a PostgreSQL to use; without it one is started, and removed again."
  ].join("\n")
}
