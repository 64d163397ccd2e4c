/**
 * Folders that were not made to their end have a name of their own, so that none is taken for a whole
 * one.
 */
import { readdir, rm } from "node:fs/promises"
import path from "node:path"

/** What their names begin with. */
export const unfinishedName = "unfinished-"

/** Removes those that a killed process has left in a folder. */
export const removeUnfinished = async (folder: string): Promise<void> => {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(unfinishedName)) continue
    await rm(path.join(folder, name), { recursive: true, force: true, maxRetries: 5 })
  }
}
