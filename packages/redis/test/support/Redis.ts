/** Real servers: the one of the machine, and servers of a test's own, which it may break. */
import { spawnSync } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { createClient } from "@redis/client"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { TestContext } from "vitest"
import { freePort } from "../../../sql/test/support/freePort.ts"
import * as Sandbox from "../../../sql/test/support/Sandbox.ts"
import { until } from "../../../sql/test/support/until.ts"

/** The Redis of this machine. */
export const shared = Redacted.make(process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379")
const program = "/usr/bin/redis-server"

const connected = async (url: string) => {
  const client = createClient({ url, socket: { reconnectStrategy: false, connectTimeout: 2000 } })
  client.on("error", () => {})
  await client.connect()
  return client
}

const answers: boolean = await connected(Redacted.value(shared)).then(
  (client) => client.close().then(() => true),
  () => false
)

const isInstalled = (() => {
  try {
    accessSync(program, constants.X_OK)
    return true
  } catch {
    return false
  }
})()

const skip = (context: TestContext, isThere: boolean, reason: string) => {
  if (isThere) return
  if (process.env["REQUIRE_REDIS"] === "1") {
    throw new Error(`${reason}, but REQUIRE_REDIS=1 wants these tests run`)
  }
  context.skip(reason)
}

/** For `beforeEach` of tests on the machine's Redis. */
export const skipWithoutShared = (context: TestContext) =>
  skip(context, answers, "no Redis answers at REDIS_URL or 127.0.0.1:6379")

/** For `beforeEach` of tests with a server of their own. */
export const skipWithout = (context: TestContext) =>
  skip(context, isInstalled, `there is no ${program} on this machine`)

/** For `beforeEach` of tests that need certificates. */
export const skipWithoutOpenssl = (context: TestContext) =>
  skip(
    context,
    spawnSync("openssl", ["version"]).status === 0,
    "there is no openssl on this machine"
  )

/** What an operator sees and does. */
export const operator = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  const client = yield* Effect.acquireRelease(
    Effect.promise(() => connected(Redacted.value(url))),
    (client) => Effect.sync(() => client.destroy())
  )
  const command = <A = unknown>(...args: ReadonlyArray<string>) =>
    Effect.promise(() => client.sendCommand<A>([...args]))
  /** The connections of this name: `listen`, `publish`. */
  const named = (name: "listen" | "publish") =>
    Effect.map(command<string>("CLIENT", "LIST"), (list) =>
      list
        .split("\n")
        .filter((line) => line.includes(` name=effect-cancellation-${name} `))
        .map((line) => /^id=(\d+)/.exec(line)?.[1] ?? "")
    )
  return {
    command,
    named,
    /** Every connection but this one. */
    others: Effect.map(command<string>("CLIENT", "LIST"), (list) =>
      list.split("\n").filter((line) => line !== "" && !line.includes("cmd=client|list"))
    ),
    subscribers: (channel: string) =>
      Effect.map(command<ReadonlyArray<unknown>>("PUBSUB", "NUMSUB", channel), (answer) =>
        Number(answer[1])
      ),
    channels: command<ReadonlyArray<string>>("PUBSUB", "CHANNELS"),
    kill: (id: string) => command("CLIENT", "KILL", "ID", id)
  }
})

/** A server of this test's own. */
export const server = Effect.fn("Redis.server")(function* (
  options: {
    readonly config?: string
    readonly files?: Readonly<Record<string, string>>
    /** Its port is for TLS; `config` says with which certificate. */
    readonly isTls?: boolean
    /** Not yet: `start` does. */
    readonly isAway?: boolean
  } = {}
) {
  const sandbox = yield* Sandbox.make
  const port = yield* freePort
  for (const [name, text] of Object.entries(options.files ?? {})) yield* sandbox.write(name, text)
  const config = yield* sandbox.write(
    "redis.conf",
    `bind 127.0.0.1\n${options.isTls === true ? "port 0\ntls-port" : "port"} ${port}\nsave ""\nappendonly no\n${options.config ?? ""}\n`
  )
  let running: Sandbox.Program | undefined
  const start = Effect.gen(function* () {
    const before = running?.output().length ?? 0
    const started = yield* sandbox.start(program, [config])
    running = started
    yield* until(
      Effect.sync(() => started.output().slice(before)),
      (output) => output.includes("Ready to accept connections") || !started.isRunning()
    )
    if (started.isRunning()) return
    return yield* Effect.die(new Error(started.output()))
  }).pipe(Effect.orDie)
  if (options.isAway !== true) yield* start
  const signal = (name: NodeJS.Signals) =>
    Effect.suspend(() => running?.signal(name) ?? Effect.void)
  return {
    port,
    url: Redacted.make(`redis://127.0.0.1:${port}`),
    urlOf: (user: string) => Redacted.make(`redis://${user}@127.0.0.1:${port}`),
    start,
    kill: Effect.andThen(
      signal("SIGKILL"),
      Effect.suspend(() => running?.exitCode ?? Effect.void)
    ),
    freeze: signal("SIGSTOP"),
    thaw: signal("SIGCONT")
  }
})
