/**
 * A PostgreSQL of our own, on a machine that has none: in a folder that is kept, on a port of this
 * machine, for as long as the demo runs.
 */
import { rm, writeFile } from "node:fs/promises"
import path from "node:path"
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { Refusal } from "../Refusal.ts"
import { type Cluster, inFolder, makeClusterFolder, openCluster } from "./Cluster.ts"
import * as Kept from "./Kept.ts"
import { endLeftover } from "./Leftover.ts"
import { lock } from "./Lock.ts"
import { reasonIn } from "./log.ts"
import { choosePort, keepPort } from "./Port.ts"
import { findPrograms, type Programs } from "./Programs.ts"
import { removeUnfinished } from "./unfinished.ts"
import { urlOf } from "./url.ts"
import { postgresUser } from "./User.ts"

const database = "demo"

/** The file in a cluster's folder that has the URL of the database while its server runs. */
export const urlFile = (folder: string): string => path.join(folder, "url")

/** Starts the server of a folder; answers the URL of the demo's database. */
export const start = Effect.fn("OwnPostgres.start")(function* (folder: string) {
  const user = yield* postgresUser
  yield* makeClusterFolder(folder, user)
  yield* lock(folder)
  yield* inFolder(folder, () => removeUnfinished(folder))
  const programs = yield* findPrograms(folder, user)
  const cluster = yield* openCluster(folder, user, programs)
  yield* endLeftover(cluster)
  const port = yield* launch(cluster, programs)
  yield* keepPort(folder, port)
  const url = urlOf(cluster, port, database)
  yield* publish(folder, url)
  return url
})

const launch = Effect.fnUntraced(
  function* (cluster: Cluster, { postgres }: Programs) {
    const { data, folder, user } = cluster
    const log = path.join(folder, "postgres.log")
    const port = yield* choosePort(folder)
    const server = yield* Kept.start({
      command: postgres,
      args: ["-D", data, ...settings(port)],
      folder,
      log,
      user
    })
    const refused = Effect.gen(function* () {
      yield* server.ended
      return yield* new Refusal({ line: `PostgreSQL does not start: ${yield* reasonIn(log)}` })
    })
    yield* Effect.raceFirst(prepare(cluster, port), refused)
    yield* Effect.forkScoped(
      Effect.andThen(
        server.ended,
        Effect.logError(
          `PostgreSQL has ended; ${log} may say why. End the demo, and start it again`
        )
      )
    )
    return port
  },
  // Another program may take the port before PostgreSQL does.
  Effect.retry({ times: 3, while: ({ line }) => /could not (bind|create any TCP)/.test(line) })
)

const settings = (port: number) =>
  [`port=${port}`, "listen_addresses=127.0.0.1", "unix_socket_directories="].flatMap((setting) => [
    "-c",
    setting
  ])

// Waits until it answers, and makes the database if it is not there.
const prepare = (cluster: Cluster, port: number) =>
  Effect.gen(function* () {
    const connection = yield* PgConnection.make({ url: urlOf(cluster, port) })
    const { rows } = yield* connection.query("SELECT 1 FROM pg_database WHERE datname = $1", [
      database
    ])
    if (rows.length === 0) yield* connection.query(`CREATE DATABASE ${database}`)
  }).pipe(
    Effect.scoped,
    Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: "60 seconds" }))),
    Effect.mapError(
      (error) => new Refusal({ line: `PostgreSQL does not answer: ${error.message}` })
    )
  )

const publish = (folder: string, url: Redacted.Redacted) =>
  Effect.acquireRelease(
    inFolder(folder, async () => {
      // a file that is there keeps its mode
      await rm(urlFile(folder), { force: true })
      await writeFile(urlFile(folder), `${Redacted.value(url)}\n`, { mode: 0o600 })
    }),
    () => Effect.promise(() => rm(urlFile(folder), { force: true }))
  )
