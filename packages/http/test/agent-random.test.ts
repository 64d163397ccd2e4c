// RANDOM_SEED=42 sends the same requests again, RANDOM_REQUESTS=100000 sends more of them.
import fc from "fast-check"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MessageRef, Run, RunId } from "effect-cancellation"
import { startServer } from "./support/agentFixture.ts"

const seed = Number(process.env["RANDOM_SEED"] ?? Date.now() % 0x7fffffff)
const count = Number(process.env["RANDOM_REQUESTS"] ?? 2000)

const runOf = (companyId: string, name: string): Run =>
  Run.make({
    ref: MessageRef.of({ companyId, chatId: "chat", messageId: `message-${name}` }),
    runId: RunId.make(`run-${name}`)
  })

/** What the tokens are for, and what they are not for. */
const mine = runOf("third", "mine")
const strange = [runOf("other", "mine"), runOf("third", "beside"), runOf("other", "beside")]

const word = fc.string({ unit: "grapheme", maxLength: 8 })
const oneOf = <A>(...values: ReadonlyArray<A>) => fc.constantFrom(...values)

const run = fc.record(
  {
    ref: fc.record(
      {
        companyId: fc.oneof(
          { arbitrary: oneOf("acme", "other", "third", "default"), weight: 6 },
          { arbitrary: word, weight: 1 }
        ),
        userId: fc.oneof(oneOf("default", "ada"), word),
        chatId: fc.oneof({ arbitrary: oneOf("chat"), weight: 6 }, { arbitrary: word, weight: 1 }),
        messageId: fc.oneof(
          { arbitrary: oneOf("message-mine", "message-beside"), weight: 6 },
          { arbitrary: word, weight: 1 }
        )
      },
      { requiredKeys: ["chatId", "messageId"] }
    ),
    runId: fc.oneof(
      { arbitrary: oneOf("run-mine", "run-beside"), weight: 6 },
      { arbitrary: word, weight: 1 }
    )
  },
  { requiredKeys: ["ref", "runId"] }
)
const known = oneOf(mine, ...strange).map(({ ref, runId }) => ({ ref: { ...ref }, runId }))
const runs = fc.array(fc.oneof(run, known), { maxLength: 4 })
const lease = fc.record({
  owner: word,
  ttl: fc.oneof(fc.double(), fc.integer({ min: 1, max: 600_000 }))
})
const changes = fc.array(
  fc.record({
    run: fc.oneof(run, known),
    to: oneOf("observed", "completed", "stopped", "lost", "no")
  }),
  { maxLength: 4 }
)

const bodies = {
  look: fc.record({ runs }),
  start: fc.record({ runs, lease }, { requiredKeys: ["runs"] }),
  advance: fc.record({ changes }),
  lease: fc.record({ leases: fc.array(lease, { maxLength: 4 }) }),
  sweep: fc.constant({})
}
const asked = fc.oneof(
  ...Object.entries(bodies).map(([path, body]) => fc.tuple(fc.constant(path), body)),
  fc.tuple(oneOf(...Object.keys(bodies)), fc.oneof(...Object.values(bodies), fc.jsonValue()))
)

/** Those of a program, and now and then some that no program of ours sends. */
const headers = fc.oneof(
  { arbitrary: fc.constant({}), weight: 3 },
  {
    arbitrary: fc.record(
      {
        "content-type": oneOf(
          "application/json; charset=utf-8",
          "APPLICATION/JSON",
          "application/json;",
          "application/jsonp",
          "text/plain",
          "multipart/form-data; boundary=x",
          ""
        ),
        "content-encoding": oneOf("gzip", "identity", "odd"),
        accept: oneOf("text/event-stream", "*/*", ""),
        "accept-encoding": oneOf("gzip", "*;q=0"),
        origin: oneOf("null", "https://app.example.com"),
        "sec-fetch-site": oneOf("cross-site", "same-origin", "none"),
        "x-forwarded-for": oneOf("127.0.0.1", "x"),
        "x-http-method-override": oneOf("GET", "DELETE"),
        cookie: oneOf("session=ada", ";;=", "a=%ZZ"),
        "last-event-id": oneOf("1", "x"),
        "if-none-match": oneOf("*"),
        traceparent: oneOf("00-x", `00-${"1".repeat(32)}-${"2".repeat(16)}-01`, ""),
        "x-odd": fc.string({ unit: "grapheme-ascii", maxLength: 20 })
      },
      { requiredKeys: [] }
    ),
    weight: 1
  }
)

const authorization = fc.oneof(
  { arbitrary: oneOf("Bearer acme", "Bearer named", "bearer named"), weight: 12 },
  {
    arbitrary: oneOf("", "Bearer", "Bearer ", "Bearer named named", "Basic bmFtZWQ=", "Bearer é"),
    weight: 1
  }
)

/** How often each must be answered in two thousand, or the requests have shown nothing. */
const least: Readonly<Record<string, number>> = {
  "200": 400,
  "204": 30,
  "400": 250,
  "401": 50,
  "403": 250,
  "415": 8
}

describe(`random requests of agents (seed ${seed})`, () => {
  const title = "are never answered with a 500, and touch no run of others"
  const look = () =>
    Effect.gen(function* () {
      const server = yield* startServer({ sweepAfter: 0 })
      server.tokens.agents.set("named", { _tag: "Runs", agent: "named", runs: [mine] })
      yield* server.store.startRuns([mine, ...strange])
      const refs = strange.map(({ ref }) => ref)
      const before = yield* server.store.findRuns({ _tag: "Refs", refs })
      const samples = fc.sample(fc.tuple(asked, authorization, headers), { seed, numRuns: count })
      const statuses = new Map<number, number>()
      yield* Effect.forEach(
        samples.entries(),
        ([index, [[path, body], credentials, more]]) =>
          Effect.promise(async () => {
            const response = await fetch(`${server.url}/agent/${path}`, {
              method: "POST",
              headers: {
                authorization: credentials,
                "content-type": "application/json",
                ...more
              },
              body: JSON.stringify(body)
            })
            const { status } = response
            const text = await response.text()
            statuses.set(status, (statuses.get(status) ?? 0) + 1)
            if (Object.hasOwn(least, status)) return
            assert.fail(`request ${index} of seed ${seed}: ${status} ${text}`)
          }),
        { concurrency: 16, discard: true }
      )
      assert.deepStrictEqual(
        Object.entries(least).filter(
          ([status, times]) => (statuses.get(Number(status)) ?? 0) * 2000 < times * count
        ),
        [],
        JSON.stringify(Array.from(statuses))
      )
      assert.deepStrictEqual(yield* server.store.findRuns({ _tag: "Refs", refs }), before)
      const [own] = yield* server.store.findRuns({ _tag: "Refs", refs: [mine.ref] })
      assert.isDefined(own?.outcome)
    })

  it.effect(title, look, { timeout: 120_000 })
})
