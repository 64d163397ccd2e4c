/**
 * The files of a PostgreSQL of our own: made once, with a password that only its owner can read.
 */
import { randomBytes } from "node:crypto"
import { chown, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import path from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { makeFolder, reasonOf } from "../Folder.ts"
import { Refusal } from "../Refusal.ts"
import * as Kept from "./Kept.ts"
import { reasonIn } from "./log.ts"
import type { Programs } from "./Programs.ts"
import { unfinishedName } from "./unfinished.ts"
import type { User } from "./User.ts"

export interface Cluster {
  readonly folder: string
  readonly data: string
  readonly password: Redacted.Redacted
  readonly user: User | undefined
}

/** Makes the folder of a cluster, for its user only. */
export const makeClusterFolder = Effect.fnUntraced(function* (
  folder: string,
  user: User | undefined
) {
  // PostgreSQL's user must come through what is above it.
  yield* makeFolder(path.dirname(folder), user === undefined ? 0o700 : 0o711)
  yield* makeFolder(folder)
  if (user !== undefined) yield* inFolder(folder, () => chown(folder, user.uid, user.gid))
})

/** The cluster in a folder, made if there is none. */
export const openCluster = Effect.fnUntraced(function* (
  folder: string,
  user: User | undefined,
  { initdb }: Programs
) {
  const data = path.join(folder, "data")
  const file = path.join(folder, "password")
  const [hasData, hasPassword] = yield* inFolder(folder, () =>
    Promise.all([exists(data), exists(file)])
  )
  if (!hasPassword) {
    if (hasData) {
      return yield* new Refusal({
        line: `The password of the database is missing: ${file}. Put it back, or remove ${folder} to begin anew.`
      })
    }
    yield* inFolder(folder, async () => {
      await writeFile(file, randomBytes(16).toString("hex"), { mode: 0o600 })
      if (user !== undefined) await chown(file, user.uid, user.gid)
    })
  }
  if (!hasData) yield* make({ folder, data, file, user, initdb })
  const password = yield* inFolder(folder, () => readFile(file, "utf8"))
  return { folder, data, user, password: Redacted.make(password) } satisfies Cluster
})

// A folder that is named `data` was made to its end.
const make = Effect.fnUntraced(function* (options: {
  readonly folder: string
  readonly data: string
  readonly file: string
  readonly user: User | undefined
  readonly initdb: string
}) {
  const { data, file, folder, initdb, user } = options
  yield* Console.log(`Making a database in ${folder} (only this time) ...`)
  const unfinished = yield* Effect.acquireRelease(
    inFolder(folder, async () => {
      const made = await mkdtemp(path.join(folder, unfinishedName))
      if (user !== undefined) await chown(made, user.uid, user.gid)
      return made
    }),
    (made) => Effect.promise(() => rm(made, { recursive: true, force: true, maxRetries: 5 }))
  )
  const log = path.join(folder, "initdb.log")
  const program = yield* Kept.start({
    command: initdb,
    args: [
      `--pgdata=${unfinished}`,
      "--username=postgres",
      `--pwfile=${file}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      // PostgreSQL's own, so that it does not matter which locales the machine has
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--locale=C"
    ],
    folder,
    log,
    user
  })
  if ((yield* program.ended) !== 0) {
    return yield* new Refusal({
      line: `The database cannot be made: ${yield* reasonIn(log)}`
    })
  }
  yield* inFolder(folder, () => rename(unfinished, data))
}, Effect.scoped)

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false
      throw error
    }
  )

/** Does something in a folder, which may be full, read-only, or somebody else's. */
export const inFolder = <A>(folder: string, work: () => Promise<A>): Effect.Effect<A, Refusal> =>
  Effect.tryPromise({
    try: work,
    catch: (cause) =>
      new Refusal({ line: `The folder ${folder} cannot be used: ${reasonOf(cause)}.` })
  })
