// The demo with a model on a server, through npm's `openai` client: what the server sends after a stop,
// and which histories it is asked to go on from.
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import {
  call,
  finish,
  pace,
  refuse,
  say,
  type Script,
  serveChatCompletions,
  wait
} from "../../chat/test/support/ChatCompletionsServer.ts"
import { chatOf } from "./ChatClient.ts"
import { type Environment, startServer } from "./DemoProcess.ts"
import { sqlite } from "./places.ts"

vi.setConfig({ testTimeout: 60_000 })

const key = "sk-demo-0123456789-do-not-show"

/** A demo whose model says this, one script a request. */
const demoWith = Effect.fnUntraced(function* (...scripts: ReadonlyArray<Script>) {
  const model = yield* serveChatCompletions(
    ({ index }) => scripts[index] ?? [...say("That is all."), ...finish("stop")]
  )
  const env: Environment = {
    ...(yield* sqlite),
    OPENAI_API_KEY: key,
    OPENAI_BASE_URL: model.baseUrl,
    OPENAI_MODEL: "test-model"
  }
  const server = yield* startServer(env, { speed: 1 })
  return { model, server, chat: chatOf(server, "c") }
})

interface ChatMessage {
  readonly role: string
  readonly content?: string | null
  readonly tool_calls?: ReadonlyArray<{ readonly id: string }>
  readonly tool_call_id?: string
}

const messagesOf = (body: unknown): ReadonlyArray<ChatMessage> =>
  (body as { readonly messages: ReadonlyArray<ChatMessage> }).messages

it.live(
  "a stop closes the model's connection at once, and the next turn goes on from the words",
  () =>
    Effect.gen(function* () {
      const endless: Script = [
        pace(5),
        ...say(...Array.from({ length: 10_000 }, (_, n) => `w${n} `))
      ]
      const { chat, model, server } = yield* demoWith(endless)
      assert.include(server.banner, "test-model at 127.0.0.1:")
      yield* chat.ask("m")
      yield* chat.untilText("m")
      yield* chat.stop("m")
      const stopped = yield* chat.untilState("m", "stopped")

      const first = yield* model.exchange(0)
      const outcome = yield* first.outcome
      assert.isTrue(outcome.closedByClient)
      assert.isAtMost(outcome.writtenAfterClose, 1)
      assert.isBelow(outcome.written, 10_000)
      const words = stopped?.text.trim().split(" ") ?? []
      assert.deepStrictEqual(
        words,
        words.map((_, n) => `w${n}`)
      )

      yield* chat.ask("next", "And then?")
      yield* chat.untilState("next", "completed")
      const second = yield* model.exchange(1)
      assert.deepStrictEqual(
        messagesOf(second.body)
          .map(({ content, role }) => [role, content])
          .slice(1),
        [
          ["user", "Hello"],
          ["assistant", stopped?.text],
          ["user", "And then?"]
        ]
      )
      assert.deepStrictEqual(model.violations(), [])
    }).pipe(Effect.scoped)
)

it.live("a stop in a tool leaves a history that a strict server accepts", () =>
  Effect.gen(function* () {
    const twoTools: Script = [
      ...say("I look."),
      ...call({ id: "call-1", name: "search", params: { subject: "stops" }, index: 0 }),
      ...call({ id: "call-2", name: "calculation", params: {}, index: 1 }),
      ...finish("tool_calls")
    ]
    const { chat, model } = yield* demoWith(twoTools)
    yield* chat.ask("m")
    yield* chat.untilTools("m", 2)
    yield* chat.stop("m")
    const stopped = yield* chat.untilState("m", "stopped")
    assert.deepStrictEqual(
      stopped?.tools.map(({ state }) => state),
      ["stopped", "stopped"]
    )

    yield* chat.ask("next", "And then?")
    yield* chat.untilState("next", "completed")
    const messages = messagesOf((yield* model.exchange(1)).body)
    assert.deepStrictEqual(
      messages.map(({ role }) => role),
      ["system", "user", "assistant", "tool", "tool", "user"]
    )
    for (const { content, role } of messages) {
      if (role === "tool") assert.include(content, "The user stopped this call")
    }
    assert.strictEqual(messages[2]?.content, "I look.")
    assert.deepStrictEqual(model.violations(), [])
  }).pipe(Effect.scoped)
)

it.live("regenerating goes on from the question, and not from the answer that was stopped", () =>
  Effect.gen(function* () {
    const gate = yield* Deferred.make<void>()
    const { chat, model } = yield* demoWith([...say("Only this"), wait(Deferred.await(gate))])
    yield* chat.ask("m")
    yield* chat.untilText("m", 5)
    yield* chat.stop("m")
    yield* chat.untilState("m", "stopped")
    yield* chat.regenerate("m", "m-2")
    const anew = yield* chat.untilState("m", "completed")
    assert.strictEqual(anew?.text, "That is all.")
    assert.deepStrictEqual(
      messagesOf((yield* model.exchange(1)).body).map(({ role }) => role),
      ["system", "user"]
    )
    assert.deepStrictEqual(model.violations(), [])
  }).pipe(Effect.scoped)
)

it.live("a refused key ends the answer as failed, and is not in the log", () =>
  Effect.gen(function* () {
    const { chat, server } = yield* demoWith([
      refuse(401, { message: `Incorrect API key provided: ${key}`, type: "invalid_request_error" })
    ])
    yield* chat.ask("m")
    yield* chat.untilState("m", "failed")
    const { stderr, stdout } = server.output()
    assert.match(stdout + stderr, /Verify your API key/)
    assert.notInclude(stdout + stderr, key)
  }).pipe(Effect.scoped)
)
