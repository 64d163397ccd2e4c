import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CurrentActor } from "effect-cancellation-http/CurrentActor"
import { StopPolicy } from "effect-cancellation-http/StopPolicy"
import { openStops, pathsOf, runOf } from "./support/stops.ts"

// Who asks, and what they are answered: stop the chat, stop the message, read the receipt, follow it.
// Ada's run is in a chat that is shared with Bob.
const matrix: ReadonlyArray<
  readonly [who: string, token: string | undefined, ...answers: ReadonlyArray<string>]
> = [
  ["its own user", "ada", "202 requested", "202 requested", "200 none", "200 none"],
  ["one the chat is shared with", "bob", "403 forbidden", "403 forbidden", "200 none", "200 none"],
  [
    "another of the company",
    "carl",
    "202 pending",
    "202 pending",
    "404 not_found",
    "404 not_found"
  ],
  [
    "one with another role than an administrator's",
    "mia",
    "202 pending",
    "202 pending",
    "404 not_found",
    "404 not_found"
  ],
  ["an administrator", "root", "202 requested", "202 requested", "200 none", "200 none"],
  ["another company", "eve", "202 pending", "202 pending", "404 not_found", "404 not_found"],
  [
    "an administrator and namesake in another company",
    "ada of globex",
    "202 pending",
    "202 pending",
    "404 not_found",
    "404 not_found"
  ],
  ["nobody", undefined, ...Array.from({ length: 4 }, () => "401 unauthenticated")],
  [
    "one whose login has expired",
    "expired",
    ...Array.from({ length: 4 }, () => "401 unauthenticated")
  ],
  ["one with a garbled login", "%00;;", ...Array.from({ length: 4 }, () => "401 unauthenticated")]
]

const routes = [
  ["stops the chat", "POST", "chat"],
  ["stops the message", "POST", "stop"],
  ["reads the receipt", "GET", "stop"],
  ["follows the receipt", "GET", "events"]
] as const

// Of a stream the first event, since the run goes on.
const firstOf = Effect.fnUntraced(function* (response: Response) {
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true
  if (!isStream) return JSON.parse(yield* Effect.promise(() => response.text()))
  const { value } = yield* Effect.promise(() => eventIn(response).next())
  return JSON.parse(value ?? "{}")
})

async function* eventIn(response: Response) {
  let text = ""
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += piece
    const data = /^data: (.*)\n\n/m.exec(text)?.[1]
    if (data !== undefined) yield data
  }
}

const wordOf = (body: {
  readonly code?: string
  readonly phase?: string
  readonly receipts?: ReadonlyArray<{ readonly phase: string }>
}) => body.code ?? body.phase ?? body.receipts?.map(({ phase }) => phase).join()

// A stop of a chat in which nothing runs is two: one for what comes, and one for nobody that answers.
const waiting = 2

describe("who may do what", () => {
  for (const [who, token, ...answers] of matrix) {
    for (const [index, [what, method, path]] of routes.entries()) {
      const expected = answers[index] ?? ""
      it.live(`${who} ${what}: ${expected}`, () =>
        Effect.gen(function* () {
          const stops = yield* openStops()
          const run = runOf()
          yield* stops.start(run)
          const response = yield* stops.send(method, pathsOf(run)[path], { as: token })
          const body = yield* firstOf(response)
          assert.strictEqual(`${response.status} ${wordOf(body)}`, expected)
          const isRefused = response.status >= 400
          if (isRefused) {
            assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
            assert.strictEqual(body.type, `urn:problem-type:effect-cancellation:${body.code}`)
            assert.strictEqual(body.status, response.status)
          }
          const request = (yield* stops.record(run))?.request
          assert.strictEqual(request?.requestedBy, expected === "202 requested" ? token : undefined)
          const { requestStop } = yield* stops.faults.counts
          const writes = path === "chat" && expected === "202 pending" ? waiting : 1
          assert.strictEqual(requestStop.calls, response.status === 202 ? writes : 0)
        }).pipe(Effect.scoped)
      )
    }
  }

  it.live("takes for administrators whom the application says, and nobody else", () =>
    Effect.gen(function* () {
      const roles: Readonly<Record<string, ReadonlyArray<string>>> = {
        olga: ["owner"],
        root: ["admin"],
        mia: ["owners", "own"]
      }
      const stops = yield* openStops({
        policy: StopPolicy.layerOwn({ adminRole: "owner" }),
        actors: CurrentActor.layer(({ headers }) => {
          const userId = headers["authorization"]?.slice("Bearer ".length) ?? ""
          return Effect.succeed({ companyId: "acme", userId, roles: roles[userId] })
        })
      })
      const run = runOf()
      yield* stops.start(run)
      for (const who of ["mia", "root", "olga"]) {
        const response = yield* stops.send("POST", pathsOf(run).stop, { as: who })
        const { phase } = yield* firstOf(response)
        assert.strictEqual(phase, who === "olga" ? "requested" : "pending", who)
      }
      assert.strictEqual(String((yield* stops.record(run))?.request?.requestedBy), "olga")
    }).pipe(Effect.scoped)
  )

  it.live("names who stopped it, in the receipt that its user reads", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      yield* stops.start(run)
      yield* stops.send("POST", pathsOf(run).stop, { as: "root", body: { note: "too long" } })
      const seen = yield* firstOf(yield* stops.send("GET", pathsOf(run).stop, { as: "ada" }))
      assert.strictEqual(seen.requested.by, "root")
      assert.strictEqual(seen.requested.reason, "user")
      assert.strictEqual(seen.requested.note, "too long")
    }).pipe(Effect.scoped)
  )

  it.live("stops of a chat what may be stopped, and leaves alone what is another's", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const own = runOf({ messageId: "own" }, { companyId: "acme", userId: "bob" })
      const others = runOf({ messageId: "of-ada" })
      yield* stops.start(own, others)
      const response = yield* stops.send("POST", pathsOf(own).chat, { as: "bob" })
      const { receipts } = yield* firstOf(response)
      assert.deepStrictEqual(
        receipts.map(({ messageId, phase }: Record<string, string>) => [messageId, phase]),
        [["own", "requested"]]
      )
      assert.isUndefined((yield* stops.record(others))?.request)
    }).pipe(Effect.scoped)
  )
})

// Everything that may differ between two answers to the same question at two times.
const timeless = (text: string) => text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "time")

describe("another company's message, and one that is hidden, do not exist", () => {
  for (const who of ["eve", "ada of globex", "carl", "mia"]) {
    for (const [what, method, path] of routes) {
      it.live(`${who} ${what}: the same answer and the same queries`, () =>
        Effect.gen(function* () {
          const answers: Array<unknown> = []
          for (const isThere of [true, false]) {
            const stops = yield* openStops()
            const run = runOf()
            if (isThere) yield* stops.start(run)
            const response = yield* stops.send(method, pathsOf(run)[path], { as: who })
            const counts = yield* stops.faults.counts
            answers.push({
              status: response.status,
              headers: Array.from(response.headers).filter(([name]) => name !== "date"),
              body: timeless(yield* Effect.promise(() => response.text())),
              calls: Object.entries(counts).map(([operation, { calls }]) => [operation, calls])
            })
            const { findRuns, requestStop } = counts
            assert.strictEqual(findRuns.calls, 1)
            const writes = path === "chat" ? waiting : 1
            assert.strictEqual(requestStop.calls, method === "POST" ? writes : 0)
            assert.isUndefined((yield* stops.record(run))?.request)
          }
          assert.deepStrictEqual(answers[0], answers[1])
        }).pipe(Effect.scoped)
      )
    }
  }

  it.live("and a stop of it that waits for a run never reaches it", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      for (const who of ["eve", "ada of globex", "carl"]) {
        yield* stops.send("POST", pathsOf(run).stop, { as: who })
        yield* stops.send("POST", pathsOf(run).chat, { as: who })
      }
      yield* stops.start(run)
      assert.isUndefined((yield* stops.record(run))?.request)
    }).pipe(Effect.scoped)
  )
})
