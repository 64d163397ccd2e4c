// A password or a token is in no error that a program gets, in nothing that hangs on one, and in no line.
import { createServer as createHttpServer } from "node:http"
import { type AddressInfo, createServer, type Server } from "node:net"
import { afterAll, afterEach, describe, expect, test, vi } from "vitest"
import {
  createStops,
  memory,
  type StopsLogEntry,
  type StopsOptions
} from "effect-cancellation-promise"
import { http } from "effect-cancellation-promise/http"
import { postgres, type PostgresOptions } from "effect-cancellation-promise/postgres"
import { redis } from "effect-cancellation-promise/redis"
import pg from "pg"
import { consoleLog } from "../src/StopsLog.ts"
import { newDatabase } from "./support/databases.ts"
import { reachableText } from "./support/reachable.ts"

const secret = "hush5ecret"
const message = { chatId: "chat", messageId: "message" }

const closing: Array<() => Promise<unknown>> = []
afterAll(async () => {
  for (const end of closing.toReversed()) await end()
})
afterEach(() => void vi.restoreAllMocks())

const thrownBy = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    await promise
    return undefined
  } catch (error) {
    return error
  }
}

/** All that a program is told: by whatever it may ask, by its log and on its console. */
const toldBy = async (options: StopsOptions, said: RegExp): Promise<string> => {
  const printed: Array<unknown> = []
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, method).mockImplementation((...values) => void printed.push(values))
  }
  const entries: Array<StopsLogEntry> = []
  const stops = createStops({
    pollInterval: 20,
    finalWriteTimeout: 100,
    log: (entry) => {
      entries.push(entry)
      consoleLog(entry)
    },
    ...options
  })
  const run = await stops.watch(message)
  expect(await run.run(async () => "work goes on", { whenStopped: "" })).toBe("work goes on")
  await run.check()
  const errors = [
    await thrownBy(stops.stop(message)),
    await thrownBy(stops.receipts(message)),
    await thrownBy(stops.forget({ chatId: "chat" }))
  ]
  await expect.poll(() => entries.map((entry) => entry.message).join("\n"), patient).toMatch(said)
  errors.push(await thrownBy(run.close()), await thrownBy(stops.close()))
  return reachableText({ errors, entries, printed })
}
const patient = { timeout: 10_000 }

const listening = async (server: Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  server.on("connection", (socket) => closing.push(async () => socket.destroy()))
  closing.push(() => new Promise((resolve) => server.close(resolve)))
  return (server.address() as AddressInfo).port
}

/** A PostgreSQL that wants a password, and does not like it. */
const strict = await (async () => {
  const fields = 'SFATAL\0C28P01\0Mpassword authentication failed for user "app"\0\0'
  const size = Buffer.alloc(4)
  size.writeInt32BE(fields.length + 4)
  const refusal = Buffer.concat([Buffer.from("E"), size, Buffer.from(fields)])
  const server = createServer((socket) => {
    socket.on("error", () => {})
    socket.on("data", (data) => {
      if (data[0] === "p".charCodeAt(0)) socket.end(refusal)
      // AuthenticationCleartextPassword
      else socket.write(Buffer.from("520000000800000003", "hex"))
    })
  })
  return { host: "127.0.0.1", port: await listening(server), user: "app", database: "db" }
})()

const poolOf = (config: pg.PoolConfig) => {
  const pool = new pg.Pool(config)
  pool.on("error", () => {})
  closing.push(() => pool.end())
  return pool
}

const unreadable = /Invalid URL|the connection URL cannot be read/

const invalidUrl = (url: string): unknown => {
  try {
    return new URL(url)
  } catch (error) {
    expect(reachableText(error)).toContain(secret)
    return error
  }
}

test("what hangs on an error is found, wherever it is", () => {
  const hidden = (key: PropertyKey, value: unknown) =>
    Object.defineProperty(new Error("no"), key, { value, enumerable: false })
  for (const value of [
    hidden("input", secret),
    hidden(Symbol("config"), { url: secret }),
    new Error("no", { cause: new AggregateError([hidden("input", secret)]) }),
    new Error("no", { cause: new Map([["options", { password: [secret] }]]) }),
    { entries: [{ error: new Error(secret) }] },
    Object.assign(new Error("no"), { socket: { payload: Buffer.from(secret) } }),
    new Error("no", { cause: new URL(`postgres://app:${secret}@host/db`) })
  ]) {
    expect(reachableText(value)).toContain(secret)
  }
})

describe.each<readonly [string, PostgresOptions]>([
  ["", {}],
  [", without migrations", { migrate: false }],
  [", without push", { migrate: false, notify: false }]
])("PostgreSQL%s", (_, options) => {
  test.each([
    ["with a #", `postgres://app:${secret}#pw@host/db`, /a # in a user or password is written %23/],
    ["without a port", `postgres://app:${secret}@host:99999/db`, /a URL such as postgres:\/\//],
    ["with a %", `postgres://app:${secret}%zz@host/db`, /a % in a user or password is written %25/],
    ["that is none", `host ${secret}`, /a URL that begins with postgres:/],
    ["where nobody is", `postgres://app:${secret}@127.0.0.1:1/db`, /ECONNREFUSED/],
    [
      "that is refused",
      `postgres://app:${secret}@127.0.0.1:${strict.port}/db`,
      /authentication failed/
    ]
  ])("by a URL %s", async (_why, url, said) => {
    expect(await toldBy({ store: postgres(url, options) }, said)).not.toContain(secret)
  })

  test.each([
    ["without a port", { connectionString: `postgres://app:${secret}@host:99999/db` }, unreadable],
    [
      "where nobody is",
      { connectionString: `postgres://app:${secret}@127.0.0.1:1/db` },
      /ECONNREFUSED/
    ],
    ["whose password is refused", { ...strict, password: secret }, /authentication failed/],
    ["whose function's is", { ...strict, password: async () => secret }, /authentication failed/],
    [
      "whose function fails",
      {
        ...strict,
        password: async () => {
          throw new Error(`${secret} has expired`, { cause: secret })
        }
      },
      /function for the password/
    ]
  ])("by a pool %s", async (_why, config, said) => {
    const store = postgres(poolOf(config), options)
    expect(await toldBy({ store }, said)).not.toContain(secret)
  })

  test("by a pool that hands on Node's own error, with the URL in it", async () => {
    const url = `postgres://app:${secret}@host:99999/db`
    const store = postgres(
      { connect: async () => Promise.reject(invalidUrl(url)), options: {} },
      options
    )
    expect(await toldBy({ store }, unreadable)).not.toContain(secret)
  })
})

test("a pool with a function for its password says what it can say without it", async () => {
  const password = async () => secret
  const store = postgres(poolOf({ host: "127.0.0.1", port: 1, user: "app", password }))
  expect(await toldBy({ store }, /ECONNREFUSED/)).not.toContain(secret)
  const port = await listening(createServer())
  const slow = poolOf({ ...strict, port, password, connectionTimeoutMillis: 20 })
  expect(await toldBy({ store: postgres(slow) }, /timeout/)).not.toContain(secret)
})

describe("PostgreSQL, listening elsewhere,", () => {
  test.each([
    ["without a port", `postgres://app:${secret}@host:99999/db`, /listenUrl is <redacted>/],
    ["with a ?", `postgres://app:${secret}?pw@host/db`, /a \? in a user or password is written %3F/]
  ])("by a URL %s", async (_why, listenUrl, said) => {
    const store = postgres("postgres://app@127.0.0.1:1/db", { listenUrl })
    expect(await toldBy({ store }, said)).not.toContain(secret)
  })

  test.each([
    ["where nobody is", 1, /ECONNREFUSED/],
    ["that is refused", strict.port, /authentication failed/]
  ])("by a URL %s", async (_why, port, said) => {
    const listenUrl = `postgres://app:${secret}@127.0.0.1:${port}/db`
    const database = await newDatabase((end) => closing.push(end))
    for (const own of [database, poolOf({ connectionString: database })]) {
      const store = postgres(own, { listenUrl })
      expect(await toldBy({ store }, said)).not.toContain(secret)
    }
  })
})

test.each([
  [
    "with a #",
    `redis://app:${secret}#pw@host`,
    /in which #, \/, \? and % in a user or password are written/
  ],
  ["without a port", `redis://app:${secret}@host:99999`, /a URL such as redis:\/\//],
  ["that is none", `host ${secret}`, /a URL such as redis:\/\//],
  ["where nobody is", `redis://app:${secret}@127.0.0.1:1`, /ECONNREFUSED/]
])("Redis, by a URL %s", async (_why, url, said) => {
  const signal = redis(url)
  expect(await toldBy({ store: memory(), signal }, said)).not.toContain(secret)
})

describe("the Agent API", () => {
  const refusing = () =>
    listening(createHttpServer((_, response) => response.writeHead(401).end("no")))

  test("that refuses the token", async () => {
    const baseUrl = `http://127.0.0.1:${await refusing()}`
    for (const token of [secret, async () => secret]) {
      const store = http({ baseUrl, token })
      expect(await toldBy({ store }, /refuses the token \(401\)/)).not.toContain(secret)
    }
  })

  test("whose token cannot be had, or sent", async () => {
    const baseUrl = `http://127.0.0.1:${await refusing()}`
    const failing = async () => Promise.reject(new Error(`no ${secret}`))
    for (const token of [failing, `${secret}\n`, `${secret}☃`]) {
      const store = http({ baseUrl, token })
      expect(await toldBy({ store }, /cannot be asked/)).not.toContain(secret)
    }
  })

  test("that is away", async () => {
    const store = http({ baseUrl: "http://127.0.0.1:1", token: secret })
    expect(await toldBy({ store }, /cannot be asked/)).not.toContain(secret)
  })

  test("at an address with a password", async () => {
    const store = http({ baseUrl: `http://app:${secret}@127.0.0.1:1`, token: "token" })
    expect(await toldBy({ store }, /without user/)).not.toContain(secret)
    const invalid = async () => http({ baseUrl: `http://app:${secret}@host:99999`, token: "token" })
    expect(reachableText(await thrownBy(invalid()))).toMatch(/^(?!.*hush5ecret).*needs a baseUrl/s)
  })
})
