// Runs one part in a process of its own and sends its result to the process that started it.
import { parts } from "./parts.ts"
import type { PartOptions, PartResult } from "./Part.ts"
import { reasonOf } from "./reason.ts"

/** What it sends. */
export type Said =
  | { readonly _tag: "Measured"; readonly result: PartResult }
  | { readonly _tag: "Failed"; readonly reason: string }

const [name, options] = process.argv.slice(2)
const part = parts.find((one) => one.name === name)
if (part === undefined || options === undefined) throw new Error(`There is no part ${name}`)

// What a part leaves running is not waited for: to end a hundred thousand runs takes ten seconds.
const say = (said: Said) => process.send?.(said, () => process.exit())

try {
  const result = await part.run({
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- runPart.ts has written it
    ...(JSON.parse(options) as Omit<PartOptions, "databaseUrl">),
    databaseUrl: process.env["DATABASE_URL"]
  })
  say({ _tag: "Measured", result })
} catch (error) {
  say({ _tag: "Failed", reason: reasonOf(error) })
}
