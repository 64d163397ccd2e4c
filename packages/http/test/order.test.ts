// What is looked at before what: where a request comes from, who sends it, and what is asked.
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { type ActorInput, CurrentActor } from "effect-cancellation-http/CurrentActor"
import { Unavailable } from "effect-cancellation-http/Problem"
import { type Asked, jsonOf, openStops, pathsOf, runOf } from "./support/stops.ts"

const run = runOf()
const { chat, events, stop } = pathsOf(run)
const routes = [
  ["POST", chat],
  ["POST", stop],
  ["GET", stop],
  ["GET", events]
] as const

/** A login that answers this, and how often it was asked. */
const loginOf = (answer: Effect.Effect<ActorInput, Unavailable>) => {
  let asked = 0
  const actors = CurrentActor.layer(() =>
    Effect.suspend(() => {
      asked += 1
      return answer
    })
  )
  return { actors, asked: () => asked }
}

describe("a login", () => {
  const refusals = [
    [
      "cannot be asked now",
      Effect.fail(new Unavailable({ retryAfter: 7 })),
      503,
      "unavailable",
      "7"
    ],
    ["has a defect", Effect.die(new Error("secret")), 500, "internal_error", null]
  ] as const
  for (const [what, answer, status, code, retryAfter] of refusals) {
    it.live(
      `that ${what} is ${status} with a problem that is kept nowhere, and nothing is done`,
      () =>
        Effect.gen(function* () {
          const stops = yield* openStops({ actors: loginOf(answer).actors })
          yield* stops.start(run)
          for (const [method, path] of routes) {
            const response = yield* stops.send(method, path)
            assert.strictEqual(response.status, status)
            assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
            assert.strictEqual(response.headers.get("cache-control"), "no-store")
            assert.strictEqual(response.headers.get("x-content-type-options"), "nosniff")
            assert.strictEqual(response.headers.get("retry-after"), retryAfter)
            const body = yield* jsonOf(response)
            assert.strictEqual(body["code"], code)
            assert.strictEqual(body["status"], status)
            assert.notInclude(JSON.stringify(body), "secret")
          }
          const { findRuns, requestStop } = yield* stops.faults.counts
          assert.deepStrictEqual([findRuns.calls, requestStop.calls], [0, 0])
        }).pipe(Effect.scoped)
    )
  }

  const foreign: ReadonlyArray<
    readonly [what: string, asked: Asked, methods: ReadonlyArray<string>]
  > = [
    ["a page of another site", { headers: { "sec-fetch-site": "cross-site" } }, ["GET", "POST"]],
    ["another origin", { headers: { origin: "https://evil.example" } }, ["GET", "POST"]],
    ["a form", { headers: { "content-type": "text/plain" } }, ["POST"]]
  ]
  for (const [what, asked, methods] of foreign) {
    it.live(`is not asked about ${what}`, () =>
      Effect.gen(function* () {
        const login = loginOf(Effect.succeed({ companyId: "acme", userId: "ada" }))
        const stops = yield* openStops({ actors: login.actors })
        yield* stops.start(run)
        for (const [method, path] of routes) {
          if (!methods.includes(method)) continue
          const { status } = yield* stops.send(method, path, asked)
          assert.strictEqual(status, what === "a form" ? 415 : 403)
        }
        assert.strictEqual(login.asked(), 0)
        yield* stops.send("GET", stop)
        assert.strictEqual(login.asked(), 1)
      }).pipe(Effect.scoped)
    )
  }
})

/** By the clock of the test. */
const openNow = (options?: Parameters<typeof openStops>[0]) =>
  Effect.flatMap(Clock.Clock, (clock) =>
    openStops(options, () => Layer.succeed(Clock.Clock, clock))
  )

describe("by default", () => {
  it.effect("an actor may ask sixty new stops a minute", () =>
    Effect.gen(function* () {
      const stops = yield* openNow()
      const press = (name: string) => {
        const one = runOf({ chatId: name })
        return Effect.andThen(
          stops.start(one),
          stops.send("POST", pathsOf(one).stop, { as: "ada" })
        )
      }
      for (let nth = 1; nth <= 60; nth++) {
        assert.strictEqual((yield* press(`chat-${nth}`)).status, 202, String(nth))
      }
      const refused = yield* press("one more")
      assert.strictEqual(refused.status, 429)
      assert.strictEqual(refused.headers.get("retry-after"), "60")
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* press("one more")).headers.get("retry-after"), "1")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* press("one more")).status, 202)
    }).pipe(Effect.scoped)
  )

  it.effect("a stop is waited for 25 seconds", () =>
    Effect.gen(function* () {
      const stops = yield* openNow({ tick: "1 second" })
      yield* stops.start(run)
      const waiting = yield* Effect.forkChild(
        stops.send("POST", stop, { as: "ada", body: { wait: "ended" } })
      )
      yield* stops.faults.ended("requestStop", 1)
      // By the time that others were answered, so is whoever is due.
      const others = Effect.forEach([1, 2, 3], () => stops.send("GET", stop, { as: "ada" }))
      yield* others
      yield* TestClock.adjust("24999 millis")
      yield* others
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const response = yield* Fiber.join(waiting)
      assert.strictEqual(response.status, 202)
      assert.strictEqual((yield* jsonOf(response))["phase"], "requested")
    }).pipe(Effect.scoped)
  )
})

describe("the limit of new stops", () => {
  it.live("is of one person of one company", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ rateLimit: { limit: 1, window: "1 hour" } })
      const press = (as: string, chatId: string) =>
        Effect.map(
          stops.send("POST", pathsOf(runOf({ chatId })).stop, { as }),
          ({ status }) => status
        )
      assert.strictEqual(yield* press("ada", "one"), 202)
      assert.strictEqual(yield* press("ada", "two"), 429)
      // a namesake, and a colleague
      assert.strictEqual(yield* press("ada of globex", "one"), 202)
      assert.strictEqual(yield* press("bob", "one"), 202)
      assert.strictEqual(yield* press("ada of globex", "two"), 429)
    }).pipe(Effect.scoped)
  )
})
