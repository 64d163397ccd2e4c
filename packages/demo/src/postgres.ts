/**
 * `npm run demo:postgres`: serves the chat on a PostgreSQL of its own.
 */
import path from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { runDemo } from "./Demo.ts"
import * as OwnPostgres from "./postgres/OwnPostgres.ts"
import { enterable } from "./postgres/User.ts"
import { isDatabaseUrlGiven, onThisMachine, Settings, userFolder } from "./Settings.ts"
import { usage } from "./Usage.ts"

const SettingsLayer = Layer.effect(
  Settings,
  Effect.gen(function* () {
    const given = yield* onThisMachine
    const folder = path.join(yield* enterable(given), "postgres")
    if (yield* isDatabaseUrlGiven) {
      yield* Console.log("DATABASE_URL is ignored: this serves on a PostgreSQL of its own.")
    }
    const url = yield* OwnPostgres.start(folder)
    return { ...given, database: { _tag: "Postgres", url, folder } }
  })
)

runDemo(
  usage(
    "Usage: npm run demo:postgres (serves the chat on a PostgreSQL of its own)",
    [
      "PORT",
      "DEMO_DATA",
      "DEMO_ON_DISCONNECT",
      "OPENAI_API_KEY",
      "OPENAI_BASE_URL",
      "OPENAI_MODEL"
    ],
    Effect.flatMap(userFolder, (folder) => enterable({ folder, isFolderGiven: false }))
  ),
  SettingsLayer
)
