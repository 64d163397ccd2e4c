/**
 * A server of this folder that still runs although nobody keeps it: its demo was killed, and its
 * keeper too, or has not ended it yet.
 */
import { readFile, rm } from "node:fs/promises"
import path from "node:path"
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { SqlError } from "effect/sql"
import { Refusal } from "../Refusal.ts"
import { type Cluster, inFolder } from "./Cluster.ts"
import { urlOf } from "./url.ts"

/** Ends it, if there is one. The lock of the folder must be held. */
export const endLeftover = Effect.fnUntraced(function* (cluster: Cluster) {
  const file = path.join(cluster.data, "postmaster.pid")
  let strange = 0
  let told = false
  const look = Effect.gen(function* () {
    const text = yield* Effect.promise(() => readFile(file, "utf8").catch(() => ""))
    const [pid, , , port] = text.split("\n").map(Number)
    // PostgreSQL itself replaces the file of a process that is no more.
    if (pid === undefined || port === undefined || !isAlive(pid)) return true
    const connection = PgConnection.make({ url: urlOf(cluster, port), connectTimeout: "2 seconds" })
    const answer = yield* Effect.result(Effect.scoped(connection))
    if (Result.isSuccess(answer)) {
      // Only this folder's server takes its password.
      if (!told) process.kill(pid, "SIGINT")
      told = true
    } else if (isBusy(answer.failure)) {
      strange = 0
    } else if (++strange > 10) {
      // The machine was restarted, and the number now is another program's.
      yield* inFolder(cluster.folder, () => rm(file, { force: true }))
      return true
    }
    return false
  })
  const isOver = yield* Effect.repeat(look, {
    schedule: Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: "10 seconds" })),
    until: (over) => over
  })
  if (isOver) return
  return yield* new Refusal({
    line: `An earlier PostgreSQL in ${cluster.folder} does not end; its process is the first line of ${file}.`
  })
})

// Of another user it is not ours.
const isAlive = (pid: number): boolean => {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}

// Starting, ending, or so busy that it does not answer.
const isBusy = ({ message, reason }: SqlError.SqlError): boolean =>
  message.includes("timed out") ||
  (Predicate.hasProperty(reason.cause, "code") && reason.cause.code === "57P03")
