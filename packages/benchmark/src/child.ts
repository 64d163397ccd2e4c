// Runs one part in a process of its own and sends its result to the process that started it.
import { parts } from "./parts.ts"
import type { PartOptions } from "./Part.ts"

const [name, options] = process.argv.slice(2)
const part = parts.find((one) => one.name === name)
if (part === undefined || options === undefined) throw new Error(`There is no part ${name}`)
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- main.ts has written it
const result = await part.run(JSON.parse(options) as PartOptions)
// What a part leaves running is not waited for: to end a hundred thousand runs takes ten seconds.
process.send?.(result, () => process.exit())
