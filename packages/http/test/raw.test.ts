// RANDOM_SEED=42 sends the same bytes again.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Fault, type StoreFaultSettings } from "effect-cancellation-testing"
import { told } from "./support/answers.ts"
import { connect } from "./support/connection.ts"
import { randomRequests } from "./support/randomRequests.ts"
import { arrange, everyRun, isStoppedByRight } from "./support/randomRuns.ts"
import { rawAnswer } from "./support/rawAnswer.ts"
import { bytesOf, last, type RawRequest, rawRequests } from "./support/rawRequests.ts"
import { openServer } from "./support/server.ts"

const seed = Number(process.env["RANDOM_SEED"] ?? Date.now() % 0x7fffffff)

// Waiting is not what this is about.
const settings = { maxWait: "1 millis", maxEvents: "1 millis", idleTick: "10 millis" } as const

const exchange = Effect.fnUntraced(function* (
  port: number,
  { bytes, leaving, pieces }: RawRequest
) {
  const client = yield* connect(port)
  const size = Math.max(1, Math.ceil(bytes.length / pieces))
  for (let at = 0; at < bytes.length; at += size) {
    yield* client.write(bytes.subarray(at, at + size))
  }
  if (leaving === "end") client.socket.end()
  if (leaving === "destroy") client.socket.destroy()
  return yield* client.closed
}, Effect.scoped)

describe(`bytes on a connection (seed ${seed})`, () => {
  it.live("a thousand random connections: no 5xx, and the server goes on with nothing left", () =>
    Effect.gen(function* () {
      const server = yield* openServer(settings)
      yield* arrange(server.faults.store)
      const seen = new Map<string, number>()
      const look = (index: number, { bytes }: RawRequest, came: string) => {
        for (const [, status = ""] of came.matchAll(/HTTP\/1\.1 (\d+) /g)) {
          seen.set(status, (seen.get(status) ?? 0) + 1)
          const sent = bytes.toString("latin1").slice(0, 2000)
          if (status >= "500")
            assert.fail(`connection ${index} of seed ${seed}:\n${sent}\n\n${came}`)
        }
      }
      yield* Effect.forEach(
        rawRequests(seed, 1000).entries(),
        ([index, request]) =>
          Effect.map(exchange(server.port, request), (came) => look(index, request, came)),
        { concurrency: 8, discard: true }
      )
      yield* server.nothingLeft
      const few = ["200", "202", "400", "401", "403", "404", "431"].filter(
        (status) => (seen.get(status) ?? 0) < 5
      )
      assert.deepStrictEqual(few, [], JSON.stringify(Array.from(seen)))
      const all = Array.from((yield* everyRun(server.faults.store)).values())
      assert.deepStrictEqual(
        all.filter((record) => !isStoppedByRight(record)),
        []
      )
    }).pipe(Effect.scoped)
  )

  it.live("requests that come at once on one connection are answered in their order", () =>
    Effect.gen(function* () {
      const server = yield* openServer()
      yield* arrange(server.faults.store)
      const client = yield* connect(server.port)
      const words = Array.from({ length: 40 }, (_, index) => `stop-${index}`)
      const bytes = words.map((word, index) =>
        bytesOf(
          {
            method: index % 2 === 0 ? "POST" : "GET",
            path: `/chats/private/messages/${word}/stop`,
            headers: [
              ["authorization", "Bearer ada"],
              ["content-type", "application/json"]
            ],
            body: index % 2 === 0 ? Buffer.from("{}") : undefined,
            isBroken: false,
            chatId: undefined
          },
          index + 1 < words.length ? "" : last
        )
      )
      yield* client.write(Buffer.concat(bytes))
      const came = yield* client.closed
      const statuses = Array.from(came.matchAll(/HTTP\/1\.1 (\d+) /g), ([, status]) => status)
      assert.deepStrictEqual(
        statuses,
        words.map((_, index) => (index % 2 === 0 ? "202" : "404"))
      )
      assert.deepStrictEqual(
        Array.from(came.matchAll(/"messageId":"([^"]+)"/g), ([, word]) => word),
        words.filter((_, index) => index % 2 === 0)
      )
      yield* server.nothingLeft
    }).pipe(Effect.scoped)
  )
})

const faults: ReadonlyArray<readonly [what: string, StoreFaultSettings, status: number]> = [
  ["nothing can be read", { findRuns: Fault.fail }, 503],
  ["nothing can be written", { requestStop: Fault.fail }, 503],
  ["the answer to a write is lost", { requestStop: Fault.loseAnswer }, 503],
  ["rows cannot be understood", { findRuns: Fault.malformed() }, 500],
  ["the adapter has a bug", { all: Fault.die }, 503]
]

describe(`random requests while the store is ill (seed ${seed})`, () => {
  for (const [what, fault, expected] of faults) {
    it.live(`${what}: ${expected}, never a success, and not a word of the store's`, () =>
      Effect.gen(function* () {
        const server = yield* openServer(settings)
        yield* arrange(server.faults.store)
        yield* server.faults.set(fault)
        const isOfWrites = fault.requestStop !== undefined
        let met = 0
        for (const [index, request] of randomRequests(seed, 200).entries()) {
          const before = yield* server.faults.counts
          const came = yield* exchange(server.port, {
            bytes: bytesOf(request, last),
            pieces: 1,
            leaving: "wait"
          })
          const after = yield* server.faults.counts
          const { headers, status, text } = rawAnswer(came)
          const isOurs = headers.get("content-type")?.startsWith("application/") === true
          const wrong =
            isOurs && request.method !== "HEAD"
              ? [...told(request.method, { headers, status }, text).wrong]
              : []
          const operation = isOfWrites ? "requestStop" : "findRuns"
          const isMet = after[operation].calls > before[operation].calls
          if (isMet) met++
          if (isMet ? status !== expected : status >= 500) wrong.push(`status ${status}`)
          if (wrong.length > 0)
            assert.fail(`request ${index} of seed ${seed}: ${wrong.join("; ")}\n${came}`)
        }
        assert.isAbove(met, 10)
        yield* server.nothingLeft
      }).pipe(Effect.scoped)
    )
  }
})
