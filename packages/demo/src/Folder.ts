/**
 * Makes the folder of the database.
 *
 * Step by step and not by Node's `recursive`, which never ends where folders exist but none can be
 * made, as below /proc.
 */
import { mkdir, stat } from "node:fs/promises"
import path from "node:path"
import { getSystemErrorMessage } from "node:util"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { Refusal } from "./Refusal.ts"

/** Makes a folder and those above it where there are none; for the user only, if nothing else is said. */
export const makeFolder = (folder: string, mode = 0o700): Effect.Effect<void, Refusal> =>
  Effect.tryPromise({
    try: () => make(folder, mode),
    catch: (cause) =>
      new Refusal({ line: `The folder ${folder} cannot be made: ${reasonOf(cause)}.` })
  })

const make = async (folder: string, mode: number): Promise<void> => {
  if (await isFolder(folder)) return
  const parent = path.dirname(folder)
  if (parent !== folder) await make(parent, mode)
  try {
    await mkdir(folder, { mode })
  } catch (error) {
    // Another server may have made it in this moment.
    if (!(await isFolder(folder))) throw error
  }
}

const isFolder = async (folder: string): Promise<boolean> => {
  try {
    return (await stat(folder)).isDirectory()
  } catch (error) {
    if (Predicate.hasProperty(error, "code") && error.code === "ENOENT") return false
    throw error
  }
}

/** Why the system refused. Node's own message says the path once more. */
export const reasonOf = (cause: unknown): string =>
  Predicate.hasProperty(cause, "errno") && Predicate.isNumber(cause.errno)
    ? getSystemErrorMessage(cause.errno)
    : String(cause)
