// The real client of npm's `openai` against a real server on this machine.
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as fc from "fast-check"
import {
  breakOff,
  call,
  type Exchange,
  end,
  finish,
  headers,
  pace,
  raw,
  refuse,
  say,
  type Script,
  serveChatCompletions,
  wait
} from "./support/ChatCompletionsServer.ts"
import { apiKey, openaiModel } from "./support/openaiModel.ts"

const usage = {
  prompt_tokens: 11,
  completion_tokens: 5,
  total_tokens: 16,
  prompt_tokens_details: { cached_tokens: 3 },
  completion_tokens_details: { reasoning_tokens: 1 }
}

const weather = Tool.make("weather", {
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.String
})
const toolkit = Toolkit.make(weather)

/** A server with this script for all requests, and its model. */
const open = (script: Script) =>
  Effect.map(
    serveChatCompletions(() => script),
    (server) => ({ server, model: openaiModel(server.baseUrl) })
  )

const ask = (prompt: Prompt.RawInput = "hi") =>
  LanguageModel.streamText({
    prompt,
    toolkit,
    disableToolCallResolution: true,
    toolCallValidation: "deferred"
  })

describe("a model behind npm's openai client", () => {
  it.live("says its text as it comes, and what it cost", () =>
    Effect.gen(function* () {
      const heard = yield* Latch.make()
      const { model, server } = yield* open([
        ...say("Hel", "lo"),
        wait(heard.await),
        ...say(" you"),
        ...finish("stop", usage)
      ])
      const parts = yield* ask().pipe(
        // The server says no more before this has been heard.
        Stream.tap((part) =>
          part.type === "text-delta" && part.delta === "lo" ? heard.open : Effect.void
        ),
        Stream.runCollect,
        Effect.provide(model)
      )
      const text = parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")
      assert.strictEqual(text, "Hello you")
      const last = parts.at(-1)
      assert.strictEqual(last?.type === "finish" && last.reason, "stop")
      assert.deepStrictEqual<unknown>(last?.type === "finish" && { ...last.usage }, {
        inputTokens: { total: 11, uncached: 8, cacheRead: 3 },
        outputTokens: { total: 5, text: 4, reasoning: 1 }
      })
      assert.deepStrictEqual(server.violations(), [])
      const outcome = yield* (yield* server.exchange(0)).outcome
      assert.deepStrictEqual(outcome, { closedByClient: false, written: 5, writtenAfterClose: 0 })
    }).pipe(Effect.scoped)
  )

  it.live("calls tools side by side, and takes their answers in the next turn", () =>
    Effect.gen(function* () {
      const server = yield* serveChatCompletions(({ index }) =>
        index === 0
          ? [
              ...say("Let me look."),
              ...call({ id: "a", name: "weather", params: { city: "Bern" }, pieces: 7 }),
              ...call({ id: "b", name: "unheard_of", params: {}, index: 1 }),
              ...finish("tool_calls", usage)
            ]
          : [...say("Sunny."), ...finish("stop")]
      )
      const model = openaiModel(server.baseUrl)
      const parts = yield* Effect.provide(Stream.runCollect(ask()), model)
      assert.deepStrictEqual(
        parts.flatMap((part) =>
          part.type === "tool-call" ? [[part.id, part.name, part.params]] : []
        ),
        [
          ["a", "weather", { city: "Bern" }],
          ["b", "unheard_of", {}]
        ]
      )
      const next = Prompt.concat(
        Prompt.concat(Prompt.make("hi"), Prompt.fromResponseParts(parts)),
        Prompt.make([
          {
            role: "tool",
            content: ["a", "b"].map((id) => ({
              type: "tool-result" as const,
              id,
              name: "weather",
              isFailure: false,
              result: "sunny"
            }))
          }
        ])
      )
      yield* Effect.provide(Stream.runDrain(ask(next)), model)
      assert.lengthOf(server.exchanges(), 2)
      assert.deepStrictEqual(server.violations(), [])
      assert.strictEqual(server.exchanges()[0]?.authorization, `Bearer ${apiKey}`)
    }).pipe(Effect.scoped)
  )

  it.live("is refused a history that a strict server refuses, and says why", () =>
    Effect.gen(function* () {
      const { model, server } = yield* open([])
      const unanswered = Prompt.make([
        { role: "user", content: "hi" },
        { role: "assistant", content: [{ type: "tool-call", id: "a", name: "t", params: {} }] }
      ])
      const error = yield* Effect.flip(Effect.provide(Stream.runDrain(ask(unanswered)), model))
      assert.strictEqual(error.reason._tag, "InvalidRequestError")
      assert.match(error.message, /comes before the answer to the tool call 'a'/)
      assert.lengthOf(server.violations(), 1)
    }).pipe(Effect.scoped)
  )

  it.live("fails for the reason that the server gives, and never names the key", () =>
    Effect.gen(function* () {
      const said = { message: `not with ${apiKey}`, type: "error", code: null }
      const cases: ReadonlyArray<readonly [Script, AiError.AiErrorReason["_tag"]]> = [
        [[refuse(400, said)], "InvalidRequestError"],
        [[refuse(401, said)], "AuthenticationError"],
        [[refuse(403, said)], "AuthenticationError"],
        [[refuse(404, said)], "InvalidRequestError"],
        [[refuse(429, said, { "retry-after": "3" })], "RateLimitError"],
        [[refuse(429, { ...said, code: "insufficient_quota" })], "QuotaExhaustedError"],
        [[refuse(500, said)], "InternalProviderError"],
        [[refuse(503, said)], "InternalProviderError"],
        [[...say("Hel"), raw({ error: said })], "InternalProviderError"],
        [[...say("Hel"), raw({ choices: "none" })], "InvalidOutputError"],
        [[...say("Hel"), end], "InternalProviderError"],
        [[...say("Hel"), breakOff], "NetworkError"],
        [[breakOff], "NetworkError"],
        [[headers, breakOff], "NetworkError"],
        [say("Hel"), "InternalProviderError"]
      ]
      for (const [script, tag] of cases) {
        const { model } = yield* open(script)
        const error = yield* Effect.flip(Effect.provide(Stream.runDrain(ask()), model))
        assert.isTrue(AiError.isAiError(error))
        assert.strictEqual(error.reason._tag, tag, error.message)
        assert.notInclude(`${error.message} ${JSON.stringify(error)}`, apiKey)
        if (tag === "RateLimitError") {
          assert.strictEqual(error.retryAfter && Duration.toMillis(error.retryAfter), 3000)
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("fails if nobody listens there", () =>
    Effect.gen(function* () {
      const { model } = yield* Effect.scoped(open([]))
      const error = yield* Effect.flip(Effect.provide(Stream.runDrain(ask()), model))
      assert.strictEqual(error.reason._tag, "NetworkError")
      assert.match(error.message, /ECONNREFUSED/)
    })
  )
})

describe("the HTTP connection of the model call is closed at once", () => {
  /** What the server saw of an interrupt of a reader. */
  const interrupted = Effect.fnUntraced(function* (
    exchange: Exchange,
    reader: Fiber.Fiber<unknown, unknown>
  ) {
    // Both in one step of this process, which is the server's too.
    const before = exchange.written()
    yield* Fiber.interrupt(reader)
    const { closedByClient, written, writtenAfterClose } = yield* exchange.outcome
    return { closedByClient, later: written - before, writtenAfterClose }
  })

  const endless = say(...Array.from({ length: 100_000 }, () => "word "))
  const forever: Script = [pace(1), ...endless]

  it.live("before there is an answer", () =>
    Effect.gen(function* () {
      const { model, server } = yield* open([wait(Effect.never)])
      const reader = yield* Effect.forkChild(Effect.provide(Stream.runDrain(ask()), model))
      const exchange = yield* server.exchange(0)
      assert.deepStrictEqual(yield* interrupted(exchange, reader), {
        closedByClient: true,
        later: 0,
        writtenAfterClose: 0
      })
    }).pipe(Effect.scoped)
  )

  it.live("after the headers, before the first chunk", () =>
    Effect.gen(function* () {
      const atHeaders = yield* Deferred.make<void>()
      const { model, server } = yield* open([
        headers,
        wait(Effect.andThen(Deferred.succeed(atHeaders, undefined), Effect.never))
      ])
      const reader = yield* Effect.forkChild(Effect.provide(Stream.runDrain(ask()), model))
      yield* Deferred.await(atHeaders)
      const exchange = yield* server.exchange(0)
      assert.isTrue((yield* interrupted(exchange, reader)).closedByClient)
    }).pipe(Effect.scoped)
  )

  it.live("when the reader has enough", () =>
    Effect.gen(function* () {
      const { model, server } = yield* open(forever)
      let before = 0
      yield* ask().pipe(
        Stream.filter((part) => part.type === "text-delta"),
        Stream.take(3),
        Stream.tap(() =>
          Effect.sync(() => {
            before = server.exchanges()[0]?.written() ?? 0
          })
        ),
        Stream.runDrain,
        Effect.provide(model)
      )
      const outcome = yield* (yield* server.exchange(0)).outcome
      assert.isTrue(outcome.closedByClient)
      assert.isAtMost(outcome.written - before, 1)
    }).pipe(Effect.scoped)
  )

  const runs = Number(process.env["PROVIDER_RUNS"] ?? 200)
  const seed = Number(process.env["PROVIDER_SEED"] ?? Date.now() % 0x7fffffff)

  const moment = fc.oneof(
    /** The request is under way, or not even that. */
    fc.record({ when: fc.constant("early" as const), turns: fc.nat(12) }),
    /** The server has been asked, and says nothing. */
    fc.record({ when: fc.constant("before headers" as const), turns: fc.nat(4) }),
    /** The reader waits for the next chunk. */
    fc.record({
      when: fc.constant("between chunks" as const),
      chunks: fc.integer({ min: 1, max: 12 }),
      turns: fc.nat(6)
    }),
    /** The reader is busy with a part, and the server goes on. */
    fc.record({
      when: fc.constant("busy" as const),
      chunks: fc.integer({ min: 1, max: 6 }),
      more: fc.nat(10),
      turns: fc.nat(6)
    })
  )
  type Moment = typeof moment extends fc.Arbitrary<infer A> ? A : never

  /** Milliseconds between chunks; 0 is one as often as the socket has its turn. */
  const fastest = fc.constantFrom(0, 0, 1, 3)

  const turns = (count: number) =>
    Effect.repeat(
      Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
      {
        times: count
      }
    )

  const stopAt = Effect.fnUntraced(function* (moment: Moment, milliseconds: number) {
    const { model, server } = yield* open(
      moment.when === "before headers" ? [wait(Effect.never)] : [pace(milliseconds), ...endless]
    )
    const reached = yield* Latch.make()
    let heard = 0
    const reader = yield* ask().pipe(
      Stream.filter((part) => part.type === "text-delta"),
      Stream.runForEach(() =>
        Effect.suspend(() => {
          if (!("chunks" in moment) || ++heard < moment.chunks) return Effect.void
          const rest = moment.when === "busy" ? Effect.never : Effect.void
          return Effect.andThen(reached.open, rest)
        })
      ),
      Effect.provide(model),
      Effect.forkChild
    )
    if (moment.when === "early") {
      yield* turns(moment.turns)
      const exchange = server.exchanges()[0]
      if (exchange !== undefined) return yield* interrupted(exchange, reader)
      // It had not been asked yet, and if it is now, then by somebody who has left.
      yield* Fiber.interrupt(reader)
      return { closedByClient: true, later: 0, writtenAfterClose: 0 }
    }
    const exchange = yield* server.exchange(0)
    if (moment.when !== "before headers") yield* reached.await
    if (moment.when === "busy") yield* exchange.wrote(exchange.written() + moment.more)
    yield* turns(moment.turns)
    return yield* interrupted(exchange, reader)
  }, Effect.scoped)

  it.live(
    `at most one more chunk is sent after the interrupt, whenever it comes (seed ${seed}, ${runs} runs)`,
    () =>
      Effect.promise(async () => {
        const seen = new Set<string>()
        const property = fc.asyncProperty(moment, fastest, async (moment, pace) => {
          const outcome = await Effect.runPromise(stopAt(moment, pace))
          seen.add(moment.when)
          assert.isTrue(outcome.closedByClient, "the connection was closed")
          assert.isAtMost(outcome.later, 1, "chunks after the interrupt")
          assert.strictEqual(outcome.writtenAfterClose, 0)
        })
        await fc.assert(property, { seed, numRuns: runs })
        assert.strictEqual(seen.size, 4, "every kind of moment was tried")
      }),
    { timeout: 120_000 }
  )
})
