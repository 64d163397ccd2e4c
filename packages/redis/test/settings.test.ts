import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { InvalidSetting } from "effect-cancellation"
import { RedisStopSignal } from "../src/index.ts"
import { serverOf } from "../src/internal/redisServer.ts"

const defectOf = Effect.fnUntraced(function* (options: RedisStopSignal.RedisStopSignalOptions) {
  const exit = yield* Effect.exit(
    Effect.scoped(Layer.build(Layer.fresh(RedisStopSignal.layer(options))))
  )
  if (Exit.isSuccess(exit)) return assert.fail("it was accepted")
  assert.notInclude(inspect(exit, { depth: null, showHidden: true }), "s3cret")
  assert.notInclude(Cause.pretty(exit.cause), "s3cret")
  const [reason] = exit.cause.reasons
  return reason?._tag === "Die" && reason.defect instanceof InvalidSetting
    ? reason.defect
    : assert.fail(Cause.pretty(exit.cause))
})

const url = Redacted.make("redis://127.0.0.1")

describe("settings that cannot work kill the layer", () => {
  it.effect.each([
    "",
    "127.0.0.1:6379",
    "http://user:s3cret@127.0.0.1",
    "redis://",
    "redis://:s3cret@",
    "redis://127.0.0.1:port",
    "redis://user:s3cret#more@127.0.0.1",
    "redis://user:s3cret/more@127.0.0.1",
    "redis://user:s3cret?more@127.0.0.1",
    "redis://user:1/s3cret@127.0.0.1",
    "redis://user:1?s3cret@127.0.0.1",
    "redis://user:s3cret%@127.0.0.1",
    "redis://127.0.0.1/database",
    "redis://127.0.0.1?ssl=true"
  ])("the URL %s", (text) =>
    Effect.gen(function* () {
      const { message, option } = yield* defectOf({ url: Redacted.make(text) })
      assert.strictEqual(option, "url")
      assert.include(message, "redis://user:password@host:6379")
    })
  )

  it.effect("certificates without TLS", () =>
    Effect.gen(function* () {
      const { message } = yield* defectOf({ url, tls: { key: Redacted.make("s3cret") } })
      assert.include(message, "rediss://")
    })
  )

  it.effect.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, "0 millis", "Infinity"] as const)(
    "the interval %s",
    (probeInterval) =>
      Effect.gen(function* () {
        const { option } = yield* defectOf({
          url,
          probeInterval
        })
        assert.strictEqual(option, "probeInterval")
      })
  )

  it.effect.each(["", "a".repeat(256)])("the channel %s", (channel) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* defectOf({ url, channel })).option, "channel")
    })
  )
})

describe("a URL", () => {
  it.effect("says where Redis is, and who asks", () =>
    Effect.gen(function* () {
      const read = Effect.fnUntraced(function* (text: string) {
        const { password, tls, ...rest } = yield* serverOf(Redacted.make(text), undefined)
        const secret = password === undefined ? undefined : Redacted.value(password)
        return [rest.host, rest.port, rest.username, secret, tls !== undefined]
      })
      assert.deepStrictEqual(yield* read("redis://redis"), [
        "redis",
        6379,
        undefined,
        undefined,
        false
      ])
      assert.deepStrictEqual(yield* read("rediss://a:b@redis:1/2"), ["redis", 1, "a", "b", true])
      assert.deepStrictEqual(yield* read("redis://:p%2F%23%3f%25%40@[::1]:7"), [
        "::1",
        7,
        undefined,
        "p/#?%@",
        false
      ])
    })
  )
})
