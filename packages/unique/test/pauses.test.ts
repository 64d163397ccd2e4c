// For how long nobody is asked, by the clock alone.
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { ChatId, CompanyId, UserId } from "effect-cancellation"
import { makePauses } from "../src/internal/pauses.ts"

const placeOf = (companyId: string, chatId = "chat") => ({
  companyId: CompanyId.make(companyId),
  userId: UserId.make("user"),
  chatId: ChatId.make(chatId)
})
const mine = placeOf("company_1")
const same = placeOf("company_1", "other")
const others = placeOf("company_2")

const response = (status: number, headers: Readonly<Record<string, string>> = {}) => ({
  status,
  headers: headers as Parameters<ReturnType<typeof makePauses>["saw"]>[1]["headers"]
})

const open = Effect.sync(() => {
  const pauses = makePauses()
  const isOpen = (place = mine) => Effect.isSuccess(pauses.pass(place))
  return {
    saw: (status: number, headers?: Readonly<Record<string, string>>, place = mine) =>
      pauses.saw(place, response(status, headers)),
    pass: pauses.pass,
    isOpen,
    /** It is shut until just before, and not any longer. */
    lasts: Effect.fnUntraced(function* (millis: number, place = mine) {
      if (millis > 0) {
        assert.isFalse(yield* isOpen(place), "at once")
        yield* TestClock.adjust(millis - 1)
        assert.isFalse(yield* isOpen(place), `before ${millis} ms`)
        yield* TestClock.adjust(1)
      }
      assert.isTrue(yield* isOpen(place), `after ${millis} ms`)
    })
  }
})

describe("Retry-After", () => {
  const start = Date.UTC(2026, 10, 29, 12, 0, 0)
  const http = (millis: number) => new Date(millis).toUTCString()
  const day = 86_400_000
  const values: ReadonlyArray<
    readonly [name: string, headers: Readonly<Record<string, string>>, millis: number]
  > = [
    ["seconds", { "retry-after": "7" }, 7000],
    ["seconds with blanks", { "retry-after": " 7 " }, 7000],
    ["a minute", { "retry-after": "60" }, 60_000],
    ["more than a minute", { "retry-after": "61" }, 60_000],
    ["a day", { "retry-after": String(day / 1000) }, 60_000],
    ["more than a number can hold", { "retry-after": "9".repeat(400) }, 60_000],
    ["none at all", { "retry-after": "0" }, 0],
    ["a date", { "retry-after": http(start + 5000) }, 5000],
    ["a date that is past", { "retry-after": http(start - 5000) }, 0],
    ["a date of another day", { "retry-after": http(start + day) }, 60_000],
    [
      "a date, by a clock that is a day ahead",
      { "retry-after": http(start + day + 5000), date: http(start + day) },
      5000
    ],
    [
      "a date, by a clock that is a day behind",
      { "retry-after": http(start - day + 5000), date: http(start - day) },
      5000
    ],
    ["a date beside a date that is none", { "retry-after": http(start + 5000), date: "x" }, 5000],
    ["seconds, whatever the clock says", { "retry-after": "7", date: http(start - day) }, 7000],
    ["nothing", {}, 1000],
    ["an empty one", { "retry-after": "" }, 1000],
    ["a negative one", { "retry-after": "-5" }, 1000],
    ["an exponent", { "retry-after": "1e9" }, 1000],
    ["a fraction", { "retry-after": "2.5" }, 1000],
    ["a word", { "retry-after": "soon" }, 1000],
    ["a word that ends as a date does", { "retry-after": "soon GMT" }, 1000],
    ["another kind of date", { "retry-after": "2026-11-29T12:00:05Z" }, 1000]
  ]
  for (const [name, headers, millis] of values) {
    it.effect(`is ${millis} ms: ${name}`, () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(start)
        for (const status of [429, 401]) {
          const { lasts, saw } = yield* open
          yield* TestClock.setTime(start)
          yield* saw(status, headers)
          yield* lasts(millis)
        }
      })
    )
  }
})

describe("a pause", () => {
  it.effect("is of a company for 429, 401 and a 503 that says how long, of a chat for 403", () =>
    Effect.gen(function* () {
      for (const [status, headers, shut] of [
        [429, {}, [mine, same]],
        [401, {}, [mine, same]],
        [503, { "retry-after": "1" }, [mine, same]],
        [403, {}, [mine]],
        [503, {}, []],
        [500, { "retry-after": "1" }, []],
        [502, {}, []],
        [400, {}, []],
        [404, {}, []],
        [302, {}, []],
        [200, { "retry-after": "1" }, []]
      ] as const) {
        const { isOpen, lasts, saw } = yield* open
        yield* saw(status, headers)
        for (const place of [mine, same, others, placeOf("company_2", "other")]) {
          const isShut = shut.some((one) => one === place)
          assert.strictEqual(yield* isOpen(place), !isShut, `${status}`)
        }
        yield* lasts(shut.length === 0 ? 0 : 1000)
      }
    })
  )

  it.effect("is longer after each refusal, up to half a minute, until one is no refusal", () =>
    Effect.gen(function* () {
      for (const status of [429, 401, 403]) {
        const { lasts, saw } = yield* open
        for (const seconds of [1, 2, 4, 8, 16, 30, 30, 30]) {
          yield* saw(status)
          yield* lasts(seconds * 1000)
        }
        yield* saw(200)
        yield* saw(status)
        yield* lasts(1000)
      }
    })
  )

  it.effect("is no longer for refusals of what was sent before it", () =>
    Effect.gen(function* () {
      const { lasts, saw } = yield* open
      for (let sent = 0; sent < 20; sent++) yield* saw(429)
      yield* lasts(1000)
      yield* saw(429)
      yield* lasts(2000)
    })
  )

  it.effect("is the longest of those that were asked for", () =>
    Effect.gen(function* () {
      const { lasts, saw } = yield* open
      yield* saw(429, { "retry-after": "10" })
      yield* saw(429, { "retry-after": "2" })
      yield* saw(429)
      yield* lasts(10_000)
    })
  )

  it.effect("is not ended by a success that was asked for before it", () =>
    Effect.gen(function* () {
      const { lasts, saw } = yield* open
      yield* saw(429, { "retry-after": "10" })
      yield* saw(403)
      yield* saw(200)
      yield* lasts(10_000)
      // Nor is it forgotten by what is no success.
      yield* saw(429)
      yield* lasts(2000)
      for (const status of [302, 404, 500]) yield* saw(status)
      yield* saw(429)
      yield* lasts(4000)
    })
  )

  it.effect("of a chat is forgotten with a success of that chat, of no other", () =>
    Effect.gen(function* () {
      const { lasts, saw } = yield* open
      yield* saw(403)
      yield* lasts(1000)
      yield* saw(200, {}, same)
      yield* saw(403)
      yield* lasts(2000)
      yield* saw(200)
      yield* saw(403)
      yield* lasts(1000)
    })
  )

  it.effect("is forgotten a minute after its end, whoever is refused then", () =>
    Effect.gen(function* () {
      const { lasts, saw } = yield* open
      yield* saw(403)
      yield* lasts(1000)
      yield* TestClock.adjust("1 minute")
      yield* saw(403, {}, others)
      yield* saw(403)
      yield* lasts(2000)
      yield* TestClock.adjust("61 seconds")
      yield* saw(403, {}, others)
      yield* saw(403)
      yield* lasts(1000)
    })
  )

  it.effect("says what was answered, and when it is asked again", () =>
    Effect.gen(function* () {
      for (const [status, reason] of [
        [429, "RateLimited"],
        [503, "RateLimited"],
        [401, "AuthenticationError"],
        [403, "AuthorizationError"]
      ] as const) {
        const { pass, saw } = yield* open
        yield* saw(status, { "retry-after": "3" })
        yield* TestClock.adjust(200)
        const error = yield* Effect.flip(pass(mine))
        assert.strictEqual(error.reason._tag, reason)
        assert.strictEqual(error.status, status)
        const left = status === 403 ? "800ms" : "2s 800ms"
        assert.strictEqual(
          error.message,
          `Not asked: the platform answered ${status}, and is asked again in ${left}`
        )
      }
    })
  )

  it.effect("goes by a clock that nobody sets", () =>
    Effect.gen(function* () {
      const { isOpen, lasts, saw } = yield* open
      const clock = yield* Clock.Clock
      const tomorrow: Clock.Clock = Object.assign(Object.create(clock) as Clock.Clock, {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + 86_400_000,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + 86_400_000)
      })
      yield* saw(429, { "retry-after": "10" })
      assert.isFalse(yield* Effect.provideService(isOpen(), Clock.Clock, tomorrow))
      yield* lasts(10_000)
      yield* Effect.provideService(saw(429, { "retry-after": "10" }), Clock.Clock, tomorrow)
      yield* lasts(10_000)
    })
  )
})
