/**
 * Who runs a PostgreSQL of our own: it refuses to run as root, so root hands it to `nobody`, whom
 * every system has.
 */
import { execFileSync } from "node:child_process"
import { statSync } from "node:fs"
import path from "node:path"
import * as Effect from "effect/Effect"
import { Refusal } from "../Refusal.ts"

export interface User {
  readonly uid: number
  readonly gid: number
}

/** Another user than the present one, if it must be another. */
export const postgresUser: Effect.Effect<User | undefined, Refusal> = Effect.suspend(() =>
  process.getuid?.() === 0
    ? Effect.try({
        try: () => ({ uid: idOfNobody("-u"), gid: idOfNobody("-g") }),
        catch: () =>
          new Refusal({
            line: "PostgreSQL does not run as root, and there is no user nobody here."
          })
      })
    : Effect.succeed(undefined)
)

const idOfNobody = (which: "-u" | "-g") =>
  Number(execFileSync("id", [which, "nobody"], { encoding: "utf8" }))

/** The folder of the demo's data, or another one if PostgreSQL's user could not enter it. */
export const enterable = Effect.fnUntraced(function* (data: {
  readonly folder: string
  readonly isFolderGiven: boolean
}) {
  const user = yield* postgresUser
  if (user === undefined || canEnter(user, data.folder)) return data.folder
  // The home of root is closed to others.
  if (!data.isFolderGiven) return "/var/lib/effect-cancellation-demo"
  return yield* new Refusal({
    line: `PostgreSQL does not run as root, and the user nobody may not enter ${data.folder}. Let DEMO_DATA be a folder that everybody may enter.`
  })
})

/** Whether a user may enter this folder and all above it, as far as they exist. */
export const canEnter = (user: User, folder: string): boolean => {
  const parent = path.dirname(folder)
  if (parent !== folder && !canEnter(user, parent)) return false
  const stat = statSync(folder, { throwIfNoEntry: false })
  if (stat === undefined) return true
  const bit = stat.uid === user.uid ? 0o100 : stat.gid === user.gid ? 0o010 : 0o001
  return (stat.mode & bit) !== 0
}
