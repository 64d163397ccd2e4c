import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as ChatCompletionsModel from "../src/ChatCompletionsModel.ts"
import { ChatService } from "../src/ChatService.ts"
import { settle, stop } from "./chat.fixture.ts"
import { ref, runId } from "./support/chat.ts"
import { layer as unsteady } from "./support/unsteadyContent.ts"
import { messageViolations, requestViolations } from "./support/chatCompletionsFormat.ts"

const delta = (delta: object, finish_reason: string | null = null) => ({
  id: "chatcmpl-1",
  model: "m-2026",
  created: 1_700_000_000,
  choices: [{ index: 0, delta, finish_reason }]
})
const words = (...texts: ReadonlyArray<string>) => texts.map((content) => delta({ content }))
const fragment = (index: number, args: string, named?: { id: string; name: string }) =>
  delta({
    tool_calls: [
      named === undefined
        ? { index, function: { arguments: args } }
        : { index, id: named.id, type: "function", function: { name: named.name, arguments: args } }
    ]
  })

/** A model whose client answers these chunks. */
const answering = (
  chunks: ReadonlyArray<unknown>,
  asked: Array<ChatCompletionsModel.ChatCompletionsBody> = []
) =>
  ChatCompletionsModel.layer({
    model: "m",
    extra: { temperature: 0 },
    create: async (body) => {
      asked.push(body)
      return (async function* () {
        yield* chunks
      })()
    }
  })

const throwing = (thrown: unknown) =>
  ChatCompletionsModel.layer({ model: "m", create: () => Promise.reject(thrown) })

/** The parts of an answer, as the agent loop asks for them. */
const partsOf = (chunks: ReadonlyArray<unknown>) =>
  LanguageModel.streamText({
    prompt: "hi",
    disableToolCallResolution: true,
    toolCallValidation: "deferred"
  }).pipe(
    Stream.map(({ metadata: _, ...part }) => {
      const { "~effect/ai/Response/Part": __, ...rest } = part
      return rest
    }),
    Stream.runCollect,
    Effect.provide(answering(chunks))
  )

const reasonFor = <A>(effect: Effect.Effect<A, AiError.AiError>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

const failureOf = (chunks: ReadonlyArray<unknown>) => reasonFor(partsOf(chunks))

const thrownAs = (thrown: unknown) =>
  reasonFor(
    Effect.provide(Stream.runDrain(LanguageModel.streamText({ prompt: "hi" })), throwing(thrown))
  )

describe("what the chunks say", () => {
  it.effect("is text, from its start to its end", () =>
    Effect.gen(function* () {
      const parts = yield* partsOf([
        delta({ role: "assistant", content: "" }),
        ...words("Hel", "lo"),
        delta({}, "stop"),
        {
          choices: [],
          usage: {
            prompt_tokens: 10,
            completion_tokens: 7,
            prompt_tokens_details: { cached_tokens: 4 },
            completion_tokens_details: { reasoning_tokens: 2 }
          }
        }
      ])
      const [metadata, ...rest] = parts
      assert.propertyVal(metadata, "type", "response-metadata")
      assert.propertyVal(metadata, "id", "chatcmpl-1")
      assert.propertyVal(metadata, "modelId", "m-2026")
      assert.include(JSON.stringify(metadata), "2023-11-14T22:13:20.000Z")
      const [start, first, second, textEnd, finish] = rest
      assert.lengthOf(rest, 5)
      assert.deepStrictEqual(
        [start, first, second, textEnd],
        [
          { type: "text-start", id: "text" },
          { type: "text-delta", id: "text", delta: "Hel" },
          { type: "text-delta", id: "text", delta: "lo" },
          { type: "text-end", id: "text" }
        ]
      )
      assert.propertyVal(finish, "type", "finish")
      assert.propertyVal(finish, "reason", "stop")
      assert.deepStrictEqual(JSON.parse(JSON.stringify(finish)).usage, {
        inputTokens: { total: 10, uncached: 6, cacheRead: 4 },
        outputTokens: { total: 7, text: 5, reasoning: 2 }
      })
    })
  )

  it.effect("is tool calls, told only when the model has finished", () =>
    Effect.gen(function* () {
      const parts = yield* partsOf([
        ...words("Let me look."),
        fragment(0, "", { id: "a", name: "weather" }),
        fragment(0, '{"city":'),
        fragment(1, '{"x"', { id: "b", name: "unheard_of" }),
        fragment(0, '"Bern"}'),
        fragment(1, ":1}"),
        delta({}, "tool_calls")
      ])
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        [
          "response-metadata",
          "text-start",
          "text-delta",
          "tool-params-start",
          "tool-params-delta",
          "tool-params-start",
          "tool-params-delta",
          "tool-params-delta",
          "tool-params-delta",
          "text-end",
          "tool-params-end",
          "tool-call",
          "tool-params-end",
          "tool-call",
          "finish"
        ]
      )
      assert.deepStrictEqual(
        parts
          .filter((part) => part.type === "tool-call")
          .map(({ id, name, params }) => ({ id, name, params })),
        [
          { id: "a", name: "weather", params: { city: "Bern" } },
          { id: "b", name: "unheard_of", params: { x: 1 } }
        ]
      )
      assert.propertyVal(parts.at(-1), "reason", "tool-calls")
    })
  )

  const callsOf = (chunks: ReadonlyArray<unknown>) =>
    Effect.map(partsOf(chunks), (parts) =>
      parts.flatMap((part) => (part.type === "tool-call" ? [[part.id, part.params]] : []))
    )

  it.effect("is a call also if servers number all calls alike, or not at all", () =>
    Effect.gen(function* () {
      const one = { id: "a", name: "t" }
      const two = { id: "b", name: "t" }
      assert.deepStrictEqual(
        yield* callsOf([fragment(0, "{}", one), fragment(0, '{"x":1}', two), delta({}, "stop")]),
        [
          ["a", {}],
          ["b", { x: 1 }]
        ]
      )
      const bare = (id: string, args: string) =>
        delta({ tool_calls: [{ id, function: { name: "t", arguments: args } }] })
      assert.deepStrictEqual(
        yield* callsOf([
          bare("a", '{"x":'),
          bare("a", "1}"),
          bare("b", ""),
          delta({}, "tool_calls")
        ]),
        [
          ["a", { x: 1 }],
          ["b", {}]
        ]
      )
    })
  )

  it.effect("is no call where the answer was cut before the end of its arguments", () =>
    Effect.gen(function* () {
      const whole = fragment(0, '{"x":1}', { id: "a", name: "t" })
      for (const reason of ["length", "content_filter"]) {
        for (const args of ['{"x":', "", "  "]) {
          const cut = fragment(1, args, { id: "b", name: "t" })
          assert.deepStrictEqual(yield* callsOf([whole, cut, delta({}, reason)]), [["a", { x: 1 }]])
        }
      }
    })
  )

  it.effect("ends for the reason that the model gave", () =>
    Effect.gen(function* () {
      const reasons = {
        stop: "stop",
        length: "length",
        content_filter: "content-filter",
        tool_calls: "tool-calls",
        function_call: "tool-calls",
        tired: "other"
      }
      for (const [given, expected] of Object.entries(reasons)) {
        const parts = yield* partsOf([...words("x"), delta({}, given)])
        assert.propertyVal(parts.at(-1), "reason", expected)
      }
      const called = [fragment(0, "{}", { id: "a", name: "t" }), delta({}, "stop")]
      assert.propertyVal((yield* partsOf(called)).at(-1), "reason", "tool-calls")
    })
  )

  it.effect("is refused where it is not of the protocol, and the error says what was wrong", () =>
    Effect.gen(function* () {
      const done = delta({}, "stop")
      const cases: ReadonlyArray<readonly [unknown, RegExp]> = [
        ["hi", /protocol.*Expected/s],
        [{ id: "x" }, /choices/],
        [{ choices: [{ delta: { content: 5 } }] }, /content/],
        [{ choices: [{ delta: { content: ["the prompt"] } }] }, /^(?!.*the prompt).*content/s],
        ["the prompt", /^(?!.*the prompt).*Expected/s],
        [fragment(0, "{}", { id: "", name: "t" }), /without an id/],
        [fragment(0, "{}", { id: "a", name: "" }), /'a' begins without the name/],
        [fragment(3, "{}"), /tool call 3 begins without an id/]
      ]
      for (const [chunk, expected] of cases) {
        const reason = yield* failureOf([...words("x"), chunk, done])
        assert.strictEqual(reason._tag, "InvalidOutputError")
        assert.match(reason.message, expected)
      }
      const one = fragment(0, "{}", { id: "a", name: "t" })
      const twice = yield* failureOf([one, fragment(1, "{}", { id: "a", name: "t" }), done])
      assert.match(twice.message, /two tool calls have the id 'a'/)
      for (const args of ['{"x":', '{"__proto__":{}}']) {
        const bad = yield* failureOf([fragment(0, args, { id: "a", name: "t" }), done])
        assert.strictEqual(bad._tag, "ToolParameterValidationError")
        assert.include(bad.message, `for 't' are no JSON (${args.length} characters)`)
        assert.notInclude(bad.message, args)
      }
    })
  )

  it.effect("fails if the stream ends before the model has", () =>
    Effect.gen(function* () {
      const call = fragment(0, "{}", { id: "a", name: "t" })
      for (const chunks of [[], words("Hel"), [call]]) {
        const reason = yield* failureOf(chunks)
        assert.strictEqual(reason._tag, "InternalProviderError")
        assert.match(reason.message, /ended before the model had finished/)
      }
    })
  )

  it.effect("is whole once the model has finished, whatever breaks then", () =>
    Effect.gen(function* () {
      const layer = ChatCompletionsModel.layer({
        model: "m",
        create: async () =>
          (async function* () {
            yield* words("Hello")
            yield delta({}, "stop")
            throw new Error("broken")
          })()
      })
      const answer = yield* Effect.provide(LanguageModel.generateText({ prompt: "hi" }), layer)
      assert.strictEqual(answer.text, "Hello")
      assert.strictEqual(answer.finishReason, "stop")
    })
  )

  it.effect("is the same when it is not streamed", () =>
    Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({
        prompt: "hi",
        disableToolCallResolution: true,
        toolCallValidation: "deferred"
      }).pipe(
        Effect.provide(
          answering([
            ...words("Hel", "lo"),
            fragment(0, '{"x":1}', { id: "a", name: "t" }),
            delta({}, "tool_calls")
          ])
        )
      )
      assert.deepStrictEqual(
        answer.content.map((part) => part.type),
        ["response-metadata", "text", "tool-call", "finish"]
      )
      assert.strictEqual(answer.text, "Hello")
    })
  )
})

describe("tokens that a server tells in each chunk", () => {
  const usage = (completion_tokens: number) => ({
    usage: { prompt_tokens: 7, completion_tokens }
  })
  const chunks = [
    { ...delta({ content: "One" }), ...usage(1) },
    { ...delta({ content: " two" }), ...usage(2) }
  ]
  const end = [
    { ...delta({}, "stop"), ...usage(2) },
    { choices: [], ...usage(3) }
  ]

  it.effect("are known at a stop", () =>
    Effect.gen(function* () {
      const reached = Latch.makeUnsafe()
      const said = yield* Effect.forkChild(
        Effect.flatMap(ChatService, (chat) => chat.streamComplete({ prompt: "hi" })).pipe(
          Effect.provide([
            ChatService.layer({ ref, runId }),
            ChatCompletionsModel.layer({
              model: "m",
              create: async () =>
                (async function* () {
                  yield* chunks
                  reached.openUnsafe()
                  await new Promise(() => {})
                })()
            })
          ])
        )
      )
      yield* reached.await
      yield* settle
      yield* stop()
      const { stoppedByUser, text, usage } = yield* Fiber.join(said)
      assert.isTrue(stoppedByUser)
      assert.strictEqual(text, "One two")
      assert.strictEqual(usage?.inputTokens.total, 7)
      assert.strictEqual(usage?.outputTokens.total, 2)
    }).pipe(Effect.provide(unsteady))
  )

  it.effect("are those of the end if it comes, and no part of an answer that is not streamed", () =>
    Effect.gen(function* () {
      const answer = yield* LanguageModel.generateText({ prompt: "hi" })
      assert.strictEqual(answer.usage.outputTokens.total, 3)
      assert.deepStrictEqual(
        answer.content.map(({ type }) => type),
        ["response-metadata", "text", "finish"]
      )
      const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "hi" }))
      assert.lengthOf(
        parts.filter(({ type }) => type === "response-metadata"),
        3
      )
    }).pipe(Effect.provide(answering([...chunks, ...end])))
  )
})

describe("what the client throws", () => {
  const status = (status: number, more: object = {}) =>
    Object.assign(new Error(`${status} no`), { status, ...more })

  it.effect("becomes an error with the right reason", () =>
    Effect.gen(function* () {
      const error = (fields: object) => ({ error: fields })
      const system = (code: string) =>
        Object.assign(new TypeError("fetch failed"), {
          cause: Object.assign(new Error(), { code })
        })
      class APIConnectionError extends Error {}
      const cases: ReadonlyArray<readonly [unknown, AiError.AiErrorReason["_tag"], boolean]> = [
        [status(400), "InvalidRequestError", false],
        [status(401), "AuthenticationError", false],
        [status(402), "QuotaExhaustedError", false],
        [status(403), "AuthenticationError", false],
        [status(404), "InvalidRequestError", false],
        [status(408), "InternalProviderError", true],
        [status(422), "InvalidRequestError", false],
        [status(429), "RateLimitError", true],
        [status(429, { code: "insufficient_quota" }), "QuotaExhaustedError", false],
        [status(500), "InternalProviderError", true],
        [status(503), "InternalProviderError", true],
        [status(400, { code: "content_filter" }), "ContentPolicyError", false],
        [error({ message: "overloaded" }), "InternalProviderError", true],
        [error({ message: "slow", code: "rate_limit_exceeded" }), "RateLimitError", true],
        [error({ message: "bad", code: 400 }), "InvalidRequestError", false],
        [system("ECONNREFUSED"), "NetworkError", true],
        [system("UND_ERR_SOCKET"), "NetworkError", true],
        [new APIConnectionError("Connection error."), "NetworkError", true],
        [new DOMException("no", "AbortError"), "NetworkError", true],
        [new TypeError("x is not a function"), "UnknownError", false],
        ["text", "UnknownError", false],
        [undefined, "UnknownError", false]
      ]
      for (const [thrown, tag, retryable] of cases) {
        const reason = yield* thrownAs(thrown)
        assert.strictEqual(reason._tag, tag, reason.message)
        assert.strictEqual(reason.isRetryable, retryable, reason._tag)
      }
      assert.propertyVal(yield* thrownAs(status(401)), "kind", "InvalidKey")
      assert.propertyVal(yield* thrownAs(status(403)), "kind", "InsufficientPermissions")
      assert.include((yield* thrownAs(new TypeError("x is not a function"))).message, "x is not")
      const chunk = yield* failureOf([...words("x"), { error: { message: "overloaded" } }])
      assert.strictEqual(chunk._tag, "InternalProviderError")
      assert.include(chunk.message, "overloaded")
    })
  )

  it.effect("also if the client throws at once, or answers what is no stream", () =>
    Effect.gen(function* () {
      const atOnce = ChatCompletionsModel.layer({
        model: "m",
        create: () => {
          throw status(500)
        }
      })
      const ask = Stream.runDrain(LanguageModel.streamText({ prompt: "hi" }))
      assert.strictEqual(
        (yield* reasonFor(Effect.provide(ask, atOnce)))._tag,
        "InternalProviderError"
      )
      const noStream = ChatCompletionsModel.layer({
        model: "m",
        create: () => Promise.resolve({} as AsyncIterable<unknown>)
      })
      assert.strictEqual(
        (yield* reasonFor(Effect.provide(ask, noStream)))._tag,
        "InvalidResponseError"
      )
    })
  )

  it.effect("says when to try again, if the server did", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.parse("2030-01-01T00:00:00Z"))
      const waits: ReadonlyArray<readonly [Headers | Record<string, string>, number | undefined]> =
        [
          [new Headers({ "retry-after": "7" }), 7000],
          [{ "retry-after": "1.5" }, 1500],
          [{ "retry-after": "7", "retry-after-ms": "250" }, 250],
          [{ "retry-after": "Tue, 01 Jan 2030 00:00:09 GMT" }, 9000],
          [{ "retry-after": "Tue, 01 Jan 2019 00:00:09 GMT" }, 0],
          [{ "retry-after": "soon" }, undefined],
          [{ "retry-after": "-1" }, undefined],
          [{}, undefined]
        ]
      for (const [headers, expected] of waits) {
        const reason = yield* thrownAs(status(429, { headers }))
        assert.strictEqual(reason._tag, "RateLimitError")
        const wait = reason._tag === "RateLimitError" ? reason.retryAfter : undefined
        assert.strictEqual(wait && Duration.toMillis(wait), expected)
      }
    })
  )

  it.effect("tells no key and no header", () =>
    Effect.gen(function* () {
      const key = "sk-proj-0123456789abcdefghijklmnop"
      const plain = "hunter2"
      const headers = new Headers({ authorization: `Bearer ${key}`, "api-key": plain })
      const said = (message: string) => ({
        error: { message, code: `c-${key}`, type: key },
        headers
      })
      const secrets: ReadonlyArray<unknown> = [
        status(401, said(`Incorrect API key provided: ${plain}.`)),
        status(403, said(`The key ${plain} may not do this.`)),
        status(400, said(`api_key: ${plain} is too short, like ${key}`)),
        status(400, said(`Invalid header x-key=${plain}`)),
        status(500, said(`Authorization was Bearer ${plain}`)),
        status(500, said(`Bearer ${plain} was given`)),
        said(`token=${plain}`),
        said(`https://bob:${plain}@proxy.local does not answer`),
        said(`no answer from https://a.b/v1?key=${plain}`),
        said(`password: "two ${plain}"`),
        said(`key = '${plain}'`),
        new TypeError(`Headers.append: "${plain}" is an invalid header value.`),
        Object.assign(new TypeError("fetch failed"), {
          cause: Object.assign(new Error(`Bearer ${key}`), { code: "ECONNRESET" })
        }),
        new Error(`what about ${key}`)
      ]
      for (const thrown of secrets) {
        const error = yield* Effect.flip(
          Effect.provide(
            Stream.runDrain(LanguageModel.streamText({ prompt: "hi" })),
            throwing(thrown)
          )
        )
        const all = `${error.message} ${JSON.stringify(error)} ${Cause.pretty(Cause.fail(error))}`
        assert.notInclude(all, key)
        assert.notInclude(all, plain)
      }
    })
  )
})

describe("what is sent", () => {
  const weather = Tool.make("weather", {
    description: "Says how the weather is.",
    parameters: Schema.Struct({ city: Schema.String }),
    success: Schema.String
  })
  const now = Tool.make("now", { success: Schema.String })
  const toolkit = Toolkit.make(weather, now)

  const sent = (options: { readonly toolChoice?: LanguageModel.ToolChoice<"weather" | "now"> }) =>
    Effect.gen(function* () {
      const asked: Array<ChatCompletionsModel.ChatCompletionsBody> = []
      yield* LanguageModel.streamText({
        ...options,
        prompt: "hi",
        toolkit,
        disableToolCallResolution: true,
        toolCallValidation: "deferred"
      }).pipe(Stream.runDrain, Effect.provide(answering([delta({}, "stop")], asked)))
      assert.lengthOf(asked, 1)
      assert.deepStrictEqual(requestViolations(asked[0]), [])
      return asked[0]
    })

  it.effect("is the model, the messages, the tools and whatever else is wanted", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual<unknown>(yield* sent({}), {
        model: "m",
        temperature: 0,
        messages: [{ role: "user", content: "hi" }],
        tool_choice: "auto",
        tools: [
          {
            type: "function",
            function: {
              name: "weather",
              description: "Says how the weather is.",
              parameters: {
                type: "object",
                properties: { city: { type: "string" } },
                required: ["city"],
                additionalProperties: true
              }
            }
          },
          {
            type: "function",
            function: { name: "now", parameters: { type: "object", additionalProperties: false } }
          }
        ]
      })
    })
  )

  it.effect("is the choice of tools", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* sent({ toolChoice: "none" }))?.tool_choice, "none")
      assert.strictEqual((yield* sent({ toolChoice: "required" }))?.tool_choice, "required")
      assert.deepStrictEqual((yield* sent({ toolChoice: { tool: "now" } }))?.tool_choice, {
        type: "function",
        function: { name: "now" }
      })
      const one = yield* sent({ toolChoice: { oneOf: ["now"] } })
      assert.strictEqual(one?.tool_choice, "auto")
      assert.lengthOf(one?.tools ?? [], 1)
      const must = yield* sent({ toolChoice: { mode: "required", oneOf: ["now"] } })
      assert.strictEqual(must?.tool_choice, "required")
    })
  )

  it.effect("is an object for the parameters of a tool, also of a class", () =>
    Effect.gen(function* () {
      class Place extends Schema.Class<Place>("Place")({ city: Schema.String }) {}
      const asked: Array<ChatCompletionsModel.ChatCompletionsBody> = []
      yield* LanguageModel.streamText({
        prompt: "hi",
        toolkit: Toolkit.make(Tool.make("goTo", { parameters: Place })),
        disableToolCallResolution: true
      }).pipe(Stream.runDrain, Effect.provide(answering([delta({}, "stop")], asked)))
      assert.deepStrictEqual(requestViolations(asked[0]), [])
    })
  )

  it.effect("is no choice where there are no tools", () =>
    Effect.gen(function* () {
      const asked: Array<ChatCompletionsModel.ChatCompletionsBody> = []
      yield* Effect.provide(
        Stream.runDrain(LanguageModel.streamText({ prompt: "hi", toolChoice: "required" })),
        answering([delta({}, "stop")], asked)
      )
      assert.deepStrictEqual(Object.keys(asked[0] ?? {}).toSorted(), [
        "messages",
        "model",
        "temperature"
      ])
    })
  )

  it.effect("is the schema of an object that is wanted", () =>
    Effect.gen(function* () {
      const asked: Array<ChatCompletionsModel.ChatCompletionsBody> = []
      const answer = yield* LanguageModel.generateObject({
        prompt: "hi",
        objectName: "a city",
        schema: Schema.Struct({ city: Schema.String })
      }).pipe(
        Effect.provide(answering([...words('{"city":', '"Bern"}'), delta({}, "stop")], asked))
      )
      assert.deepStrictEqual(answer.value, { city: "Bern" })
      assert.strictEqual(asked[0]?.response_format?.json_schema.name, "a_city")
      assert.propertyVal(asked[0]?.response_format?.json_schema.schema, "type", "object")
    })
  )

  it.effect("is nothing if the protocol has no words for it", () =>
    Effect.gen(function* () {
      const asked: Array<ChatCompletionsModel.ChatCompletionsBody> = []
      const pdf = Prompt.make([
        { role: "user", content: [{ type: "file", mediaType: "application/pdf", data: "AAAA" }] }
      ])
      const reason = yield* reasonFor(
        Effect.provide(
          Stream.runDrain(LanguageModel.streamText({ prompt: pdf })),
          answering([delta({}, "stop")], asked)
        )
      )
      assert.strictEqual(reason._tag, "InvalidUserInputError")
      assert.match(reason.message, /application\/pdf/)
      assert.deepStrictEqual(asked, [])
    })
  )
})

describe("a prompt as messages", () => {
  const messagesOf = (prompt: Prompt.RawInput) =>
    Result.getOrThrow(ChatCompletionsModel.toMessages(Prompt.make(prompt)))

  it("has each result of a tool as a message of its own", () => {
    const messages = messagesOf([
      { role: "system", content: "Be short." },
      { role: "user", content: "What is the weather?" },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "hm" },
          { type: "text", text: "Let me look." },
          { type: "tool-call", id: "a", name: "weather", params: { city: "Bern" } },
          { type: "tool-call", id: "b", name: "now", params: undefined }
        ]
      },
      {
        role: "tool",
        content: [
          { type: "tool-result", id: "a", name: "weather", isFailure: false, result: "sunny" },
          { type: "tool-result", id: "b", name: "now", isFailure: true, result: { why: "x" } }
        ]
      }
    ])
    assert.deepStrictEqual(messages, [
      { role: "system", content: "Be short." },
      { role: "user", content: "What is the weather?" },
      {
        role: "assistant",
        content: "Let me look.",
        tool_calls: [
          {
            id: "a",
            type: "function",
            function: { name: "weather", arguments: '{"city":"Bern"}' }
          },
          { id: "b", type: "function", function: { name: "now", arguments: "{}" } }
        ]
      },
      { role: "tool", tool_call_id: "a", content: "sunny" },
      { role: "tool", tool_call_id: "b", content: '{"why":"x"}' }
    ])
    assert.deepStrictEqual(messageViolations(messages), [])
  })

  it("has no empty text, and null where there are only calls", () => {
    const call = { type: "tool-call", id: "a", name: "now", params: {} } as const
    const messages = messagesOf([
      { role: "system", content: "" },
      { role: "user", content: [] },
      { role: "user", content: "" },
      { role: "user", content: "hi" },
      { role: "assistant", content: [{ type: "reasoning", text: "hm" }] },
      { role: "assistant", content: [{ type: "text", text: "" }, call] },
      {
        role: "tool",
        content: [{ type: "tool-result", id: "a", name: "now", isFailure: false, result: "" }]
      }
    ])
    assert.deepStrictEqual(messages, [
      { role: "user", content: "hi" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "a", type: "function", function: { name: "now", arguments: "{}" } }]
      },
      { role: "tool", tool_call_id: "a", content: '""' }
    ])
    assert.deepStrictEqual(messageViolations(messages), [])
  })

  it("shows a tool's result as it was meant for the model, or as JSON", () => {
    const resultOf = (result: unknown, modelOutput?: ReadonlyArray<Prompt.TextPartEncoded>) =>
      messagesOf([
        {
          role: "tool",
          content: [
            {
              type: "tool-result",
              id: "a",
              name: "t",
              isFailure: false,
              result,
              ...(modelOutput === undefined ? {} : { modelOutput })
            }
          ]
        }
      ])[0]?.content
    assert.strictEqual(resultOf({ a: 1 }, [{ type: "text", text: "one" }]), "one")
    assert.strictEqual(resultOf("as it is"), "as it is")
    assert.strictEqual(resultOf(["a"]), '["a"]')
    assert.strictEqual(resultOf(undefined), "null")
    assert.strictEqual(resultOf(null), "null")
    assert.strictEqual(resultOf(0), "0")
    assert.strictEqual(resultOf(false), "false")
  })

  it("keeps several texts apart, and leaves out what the provider did itself", () => {
    const messages = messagesOf([
      {
        role: "assistant",
        content: [
          { type: "text", text: "One." },
          { type: "tool-call", id: "s", name: "search", params: {}, providerExecuted: true },
          {
            type: "tool-result",
            id: "s",
            name: "search",
            isFailure: false,
            result: "x",
            providerExecuted: true
          },
          { type: "text", text: "Two." }
        ]
      }
    ])
    assert.deepStrictEqual(messages, [
      {
        role: "assistant",
        content: [
          { type: "text", text: "One." },
          { type: "text", text: "Two." }
        ]
      }
    ])
  })

  it("moves results that stand inside the assistant's message behind it", () => {
    const messages = messagesOf([
      { role: "user", content: "hi" },
      {
        role: "assistant",
        content: [
          { type: "tool-call", id: "a", name: "t", params: {} },
          { type: "tool-result", id: "a", name: "t", isFailure: false, result: "x" },
          { type: "text", text: "And then." },
          { type: "tool-call", id: "b", name: "t", params: {} },
          { type: "tool-result", id: "b", name: "t", isFailure: false, result: "y" },
          { type: "tool-call", id: "c", name: "t", params: {} },
          { type: "tool-result", id: "c", name: "t", isFailure: false, result: "z" }
        ]
      }
    ])
    assert.deepStrictEqual(
      messages.map((message) => message.role),
      ["user", "assistant", "tool", "assistant", "tool", "assistant", "tool"]
    )
    assert.deepStrictEqual(messageViolations(messages), [])
  })

  it("shows images, however they are given", () => {
    const urlOf = (data: string | Uint8Array | URL, mediaType = "image/png") => {
      const [message] = messagesOf([
        {
          role: "user",
          content: [
            { type: "file", mediaType, data },
            { type: "text", text: "?" }
          ]
        }
      ])
      assert.deepStrictEqual(messageViolations([message]), [])
      const part = Array.isArray(message?.content) ? message.content[0] : undefined
      return part?.type === "image_url" ? part.image_url.url : undefined
    }
    assert.strictEqual(urlOf(new URL("https://a.b/c.png")), "https://a.b/c.png")
    assert.strictEqual(urlOf("https://a.b/c.png"), "https://a.b/c.png")
    assert.strictEqual(urlOf("data:image/gif;base64,AAAA"), "data:image/gif;base64,AAAA")
    assert.strictEqual(urlOf("AAAA"), "data:image/png;base64,AAAA")
    assert.strictEqual(urlOf(Uint8Array.of(0, 0, 0)), "data:image/png;base64,AAAA")
    assert.strictEqual(urlOf(Uint8Array.of(0, 0, 0), "image/*"), "data:image/jpeg;base64,AAAA")
  })

  it("is refused with a reason if the protocol has no words for it", () => {
    const refused = (...messages: ReadonlyArray<Prompt.Message>) => {
      const result = ChatCompletionsModel.toMessages(Prompt.fromMessages(messages))
      return Result.isFailure(result) ? result.failure : assert.fail("it was taken")
    }
    const file = Prompt.filePart({ mediaType: "image/png", data: "AAAA" })
    const said = refused(Prompt.assistantMessage({ content: [file] }))
    assert.match(said.message, /toMessages.*assistant's own file of type 'image\/png'/)
    const result = Prompt.toolResultPart({
      id: "a",
      name: "count",
      isFailure: false,
      result: 1n,
      providerExecuted: false
    })
    const toolError = refused(Prompt.toolMessage({ content: [result] }))
    assert.strictEqual(toolError.reason._tag, "ToolResultEncodingError")
    assert.match(toolError.message, /count/)
    const call = Prompt.toolCallPart({
      id: "a",
      name: "count",
      params: { x: 1n },
      providerExecuted: false
    })
    const callError = refused(Prompt.assistantMessage({ content: [call] }))
    assert.strictEqual(callError.reason._tag, "ToolParameterValidationError")
  })
})

describe("an interrupt", () => {
  /** A client that the test holds still wherever it wants. */
  const held = () => {
    const opened = Promise.withResolvers<AsyncIterable<unknown>>()
    const state = {
      signal: undefined as AbortSignal | undefined,
      returned: 0,
      pulled: 0,
      abortedFirst: false
    }
    const asked = Deferred.makeUnsafe<void>()
    const pulled = Deferred.makeUnsafe<void>()
    const layer = ChatCompletionsModel.layer({
      model: "m",
      create: (_, { signal }) => {
        state.signal = signal
        Deferred.doneUnsafe(asked, Effect.void)
        return opened.promise
      }
    })
    /** Chunks, and then never one again. `return` never settles either. */
    const iterable = (...chunks: ReadonlyArray<unknown>): AsyncIterable<unknown> => ({
      [Symbol.asyncIterator]: () => ({
        next: () => {
          const value = chunks[state.pulled++]
          if (value !== undefined) return Promise.resolve({ done: false, value })
          Deferred.doneUnsafe(pulled, Effect.void)
          return new Promise(() => {})
        },
        return: () => {
          state.returned++
          state.abortedFirst = state.signal?.aborted === true
          return new Promise(() => {})
        }
      })
    })
    return {
      asked: Deferred.await(asked),
      pulled: Deferred.await(pulled),
      iterable,
      layer,
      opened,
      state
    }
  }

  const run = (layer: ReturnType<typeof held>["layer"]) =>
    Effect.forkChild(
      Effect.provide(Stream.runDrain(LanguageModel.streamText({ prompt: "hi" })), layer),
      { startImmediately: true }
    )

  it.effect(
    "while the request is made aborts it, and lets go of an answer that comes all the same",
    () =>
      Effect.gen(function* () {
        const client = held()
        const fiber = yield* run(client.layer)
        yield* client.asked
        assert.isFalse(client.state.signal?.aborted)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(client.state.signal?.aborted)
        client.opened.resolve(client.iterable(...words("late")))
        yield* Effect.promise(() => client.opened.promise)
        yield* Effect.promise(async () => {})
        assert.strictEqual(client.state.returned, 1)
        assert.strictEqual(client.state.pulled, 0)
      })
  )

  it.effect("while a chunk is awaited aborts, and waits for no iterator that hangs", () =>
    Effect.gen(function* () {
      const client = held()
      client.opened.resolve(client.iterable(...words("a", "b")))
      const fiber = yield* run(client.layer)
      yield* client.pulled
      assert.isFalse(client.state.signal?.aborted)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(client.state.signal?.aborted)
      assert.strictEqual(client.state.returned, 1)
    })
  )

  it.effect("while the reader is busy aborts", () =>
    Effect.gen(function* () {
      const client = held()
      client.opened.resolve(client.iterable(...words("a", "b")))
      const busy = yield* Deferred.make<void>()
      const fiber = yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
        Stream.runForEach((part) =>
          part.type === "text-delta"
            ? Effect.andThen(Deferred.succeed(busy, undefined), Effect.never)
            : Effect.void
        ),
        Effect.provide(client.layer),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Deferred.await(busy)
      assert.isFalse(client.state.signal?.aborted)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(client.state.signal?.aborted)
      assert.strictEqual(client.state.returned, 1)
      assert.strictEqual(client.state.pulled, 1)
      assert.isTrue(client.state.abortedFirst, "return waits for the chunk under way")
    })
  )

  it.effect("aborts before anything else that has to be cleaned up", () =>
    Effect.gen(function* () {
      for (const answers of [true, false]) {
        const client = held()
        if (answers) client.opened.resolve(client.iterable())
        const cleaning = yield* Deferred.make<boolean | undefined>()
        const cleanUp = Effect.suspend(() =>
          Deferred.succeed(cleaning, client.state.signal?.aborted)
        )
        const stream = Stream.transformPull(LanguageModel.streamText({ prompt: "hi" }), (pull) =>
          Effect.succeed(Effect.ensuring(pull, cleanUp))
        )
        const fiber = yield* Stream.runDrain(stream).pipe(
          Effect.provide(client.layer),
          Effect.forkChild({ startImmediately: true })
        )
        yield* answers ? client.pulled : client.asked
        yield* Fiber.interrupt(fiber)
        assert.isTrue(yield* Deferred.await(cleaning))
      }
    })
  )

  it.effect("is no error of the model's", () =>
    Effect.gen(function* () {
      const layer = ChatCompletionsModel.layer({
        model: "m",
        create: (_, { signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener("abort", () => reject(new Error("aborted")))
          })
      })
      const fiber = yield* run(layer)
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    })
  )

  it.effect("a reader that has enough aborts too; one that reads to the end does not", () =>
    Effect.gen(function* () {
      const client = held()
      client.opened.resolve(client.iterable(...words("a", "b")))
      yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
        Stream.takeUntil((part) => part.type === "text-delta"),
        Stream.runDrain,
        Effect.provide(client.layer)
      )
      assert.isTrue(client.state.signal?.aborted)
      assert.strictEqual(client.state.returned, 1)

      let signal: AbortSignal | undefined
      const whole = ChatCompletionsModel.layer({
        model: "m",
        create: async (_, options) => {
          signal = options.signal
          return (async function* () {
            yield delta({}, "stop")
          })()
        }
      })
      yield* Effect.provide(Stream.runDrain(LanguageModel.streamText({ prompt: "hi" })), whole)
      assert.isFalse(signal?.aborted)
    })
  )

  it.effect("a chunk that is refused lets go of the connection", () =>
    Effect.gen(function* () {
      const client = held()
      client.opened.resolve(client.iterable("no chunk"))
      yield* Effect.flip(
        Effect.provide(Stream.runDrain(LanguageModel.streamText({ prompt: "hi" })), client.layer)
      )
      assert.isTrue(client.state.signal?.aborted)
      assert.strictEqual(client.state.returned, 1)
    })
  )
})
