/**
 * One process at a time in a folder.
 *
 * The lock is one of SQLite: the system takes it back from a process that was killed, so none is
 * left behind.
 */
import path from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Refusal } from "../Refusal.ts"

/** Holds the folder until the scope closes. */
export const lock = (folder: string): Effect.Effect<void, Refusal, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const file = new DatabaseSync(path.join(folder, "lock"), { timeout: 0 })
        file.exec("BEGIN EXCLUSIVE")
        return file
      },
      catch: (cause) =>
        new Refusal({
          line: isLocked(cause)
            ? `npm run demo:postgres runs already, on ${folder}. For another one, let DEMO_DATA be another folder.`
            : `The folder ${folder} cannot be used: ${String(cause)}.`
        })
    }),
    (file) => Effect.sync(() => file.close())
  ).pipe(Effect.asVoid)

const isLocked = (cause: unknown): boolean =>
  cause instanceof Error && "errcode" in cause && cause.errcode === sqliteBusy

const sqliteBusy = 5
