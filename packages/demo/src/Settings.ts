/**
 * What can be set from outside, read once at the edge: `PORT`, `DATABASE_URL`, `DEMO_DATA`,
 * `DEMO_ON_DISCONNECT`, `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_MODEL`, `DEMO_SPEED`. A variable
 * that is empty counts as not set.
 */
import os from "node:os"
import path from "node:path"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Database } from "./Database.ts"
import { Refusal } from "./Refusal.ts"

/** A server that speaks chat completions. */
export interface OpenAiSettings {
  readonly apiKey: Redacted.Redacted
  /** Where it is; that of OpenAI if nothing is given. */
  readonly baseUrl: string | undefined
  readonly model: string
}

export class Settings extends Context.Service<
  Settings,
  {
    /** Where the page is served; 0 takes any free port. */
    readonly port: number
    /** The folder of what is stored on this machine, and whether it was given. */
    readonly folder: string
    readonly isFolderGiven: boolean
    readonly database: Database
    /** What becomes of an answer when whoever asked looks at it no more. */
    readonly onDisconnect: "continue" | "stop"
    /** The model's server; none means the scripted model. */
    readonly openAi: OpenAiSettings | undefined
    /** A server or a model was named, key or not. */
    readonly isModelNamed: boolean
    /** How many times faster than a person can watch the agent works; for tests. */
    readonly speed: number
  }
>()("effect-cancellation-demo/Settings") {
  /** Reads the environment; a value that cannot work is refused with one clear line. */
  static readonly layer: Layer.Layer<Settings, Refusal> = Layer.effect(
    this,
    Effect.gen(function* () {
      const here = yield* onThisMachine
      const url = yield* databaseUrl
      const database: Database =
        url === undefined
          ? { _tag: "Sqlite", file: path.join(here.folder, "demo.sqlite") }
          : { _tag: "Postgres", url }
      return { ...here, database }
    })
  )
}

/** What does not concern the database. */
export const onThisMachine = Effect.gen(function* () {
  const port = yield* number(
    "PORT",
    3000,
    "a whole number from 0 to 65535",
    (value) => Number.isInteger(value) && value >= 0 && value <= 65_535
  )
  const speed = yield* number(
    "DEMO_SPEED",
    1,
    "a number from 0.1 to 1000",
    (value) => value >= 0.1 && value <= 1000
  )
  const onDisconnect = yield* oneOf("DEMO_ON_DISCONNECT", ["continue", "stop"])
  const openAi = yield* openAiSettings
  const given = Option.getOrUndefined(yield* variable("DEMO_DATA"))
  // npm runs us in the folder of the workspace and says here where its user stood.
  const stood = Option.getOrElse(yield* variable("INIT_CWD"), () => process.cwd())
  const folder = given === undefined ? yield* userFolder : path.resolve(stood, given)
  return {
    port,
    speed,
    onDisconnect,
    openAi,
    isModelNamed: Option.isSome(yield* named),
    folder,
    isFolderGiven: given !== undefined
  }
})

const named = Effect.suspend(() =>
  Effect.map(
    Effect.all([variable("OPENAI_BASE_URL"), variable("OPENAI_MODEL")]),
    Option.firstSomeOf
  )
)

const openAiSettings = Effect.suspend(() =>
  Effect.gen(function* () {
    const apiKey = Option.getOrUndefined(yield* variable("OPENAI_API_KEY"))
    if (apiKey === undefined) return undefined
    const baseUrl = Option.getOrUndefined(yield* variable("OPENAI_BASE_URL"))
    if (baseUrl !== undefined && !/^https?:$/.test(URL.parse(baseUrl)?.protocol ?? "")) {
      return yield* new Refusal({
        // It may hold a password.
        line: "OPENAI_BASE_URL is no address; it must begin with http:// or https://, such as http://localhost:11434/v1."
      })
    }
    const model = Option.getOrElse(yield* variable("OPENAI_MODEL"), () => "gpt-5-mini")
    return { apiKey: Redacted.make(apiKey), baseUrl, model } satisfies OpenAiSettings
  })
)

// What is wrong with it the store finds out, which knows what its driver takes.
const databaseUrl = Effect.suspend(() =>
  Effect.map(variable("DATABASE_URL"), (given) =>
    Option.getOrUndefined(Option.map(given, (url) => Redacted.make(url)))
  )
)

/** Whether `DATABASE_URL` is there, for who does not use it. */
export const isDatabaseUrlGiven: Effect.Effect<boolean, Refusal> = Effect.suspend(() =>
  Effect.map(variable("DATABASE_URL"), Option.isSome)
)

const variable = (name: string): Effect.Effect<Option.Option<string>, Refusal> =>
  Config.option(Config.String(name)).pipe(
    Effect.map(Option.filter((value) => value !== "")),
    Effect.mapError((error) => new Refusal({ line: `${name} cannot be read: ${error.message}` }))
  )

const number = Effect.fnUntraced(function* (
  name: string,
  otherwise: number,
  range: string,
  accept: (value: number) => boolean
) {
  const given = yield* variable(name)
  if (Option.isNone(given)) return otherwise
  const value = /^\d+(\.\d+)?$/.test(given.value) ? Number(given.value) : Number.NaN
  return accept(value)
    ? value
    : yield* new Refusal({ line: `${name} is "${given.value}"; it must be ${range}.` })
})

// The first is what counts if nothing is set.
const oneOf = Effect.fnUntraced(function* <Value extends string>(
  name: string,
  values: readonly [Value, ...ReadonlyArray<Value>]
) {
  const given = yield* variable(name)
  if (Option.isNone(given)) return values[0]
  return (
    values.find((value) => value === given.value) ??
    (yield* new Refusal({
      line: `${name} is "${given.value}"; it must be ${values.join(" or ")}.`
    }))
  )
})

/** The folder if none is given: where each system keeps what a program stores for its user. */
export const userFolder = Effect.gen(function* () {
  const [name, otherwise] =
    process.platform === "win32"
      ? (["LOCALAPPDATA", path.join("AppData", "Local")] as const)
      : process.platform === "darwin"
        ? ([undefined, path.join("Library", "Application Support")] as const)
        : (["XDG_DATA_HOME", path.join(".local", "share")] as const)
  const set = name === undefined ? Option.none() : yield* variable(name)
  // The XDG specification has a relative path ignored.
  const base = Option.getOrElse(
    Option.filter(set, (folder) => path.isAbsolute(folder)),
    () => path.join(os.homedir(), otherwise)
  )
  return path.join(base, "effect-cancellation-demo")
})
