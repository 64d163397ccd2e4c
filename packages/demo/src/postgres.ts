/**
 * `npm run demo:postgres`: serves the chat on a PostgreSQL of its own.
 */
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { runDemo } from "./Demo.ts"
import * as OwnPostgres from "./postgres/OwnPostgres.ts"
import { enterable } from "./postgres/User.ts"
import { onThisMachine, Settings } from "./Settings.ts"

const SettingsLayer = Layer.effect(
  Settings,
  Effect.gen(function* () {
    const given = yield* onThisMachine
    const folder = path.join(yield* enterable(given), "postgres")
    const url = yield* OwnPostgres.start(folder)
    return { ...given, database: { _tag: "Postgres", url, folder } }
  })
)

runDemo(
  "Usage: npm run demo:postgres (serves the chat on a PostgreSQL of its own; PORT sets the page's port, DEMO_DATA the folder of the database)",
  SettingsLayer
)
