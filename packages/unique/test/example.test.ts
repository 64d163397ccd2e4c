// The example of an agent behind a webhook, as a process of its own, on the stand-in for the platform.
import { execFile } from "node:child_process"
import path from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import {
  finish,
  pace,
  refuse,
  say,
  type Script,
  serveChatCompletions
} from "../../chat/test/support/ChatCompletionsServer.ts"
import { type ExampleAgent, startExampleAgent } from "./support/exampleAgent.ts"
import { type Platform, startPlatform } from "./support/PlatformServer.ts"
import type { PlatformRequest } from "./support/platformTraffic.ts"

// Each is a process that starts, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 })

const ada = { companyId: "company_1", userId: "user_ada" }
const chatId = "chat_1"

const start = Effect.fnUntraced(function* (env?: Readonly<Record<string, string>>) {
  const platform = yield* startPlatform()
  const agent = yield* startExampleAgent(platform, env)
  const event = platform.chatEvent({ ...ada, chatId })
  const deliver = platform.deliver(agent.webhook, event, { secret: agent.secret })
  return { platform, agent, event, deliver, ids: event.payload }
})

const fieldOf = ({ body }: PlatformRequest, name: string): unknown =>
  typeof body === "object" && body !== null && name in body ? Reflect.get(body, name) : undefined

const isChange = (id: string) => (request: PlatformRequest) =>
  request.method === "PATCH" && request.path.endsWith(`/${id}`)

const changesOf = (platform: Platform, id: string) => platform.requests.filter(isChange(id))

/** Waits until a message holds these words. */
const holds = (platform: Platform, words: string) =>
  platform.received((request) => String(fieldOf(request, "text")).includes(words))

const completed = (platform: Platform, id: string) =>
  platform.received(
    (request) => isChange(id)(request) && fieldOf(request, "completedAt") !== undefined
  )

const answersOf = (platform: Platform) =>
  platform.messagesOf(chatId).filter(({ role }) => role === "ASSISTANT")

const countOf = (agent: ExampleAgent, words: string) =>
  agent.lines.filter((line) => line.includes(words)).length

/** Ends the process, and with it whatever it might still have done. */
const end = (agent: ExampleAgent) => Effect.andThen(agent.kill("SIGTERM"), agent.exited)

/** That it was completed once, as the last that was written to it. */
const assertCompletedOnce = (platform: Platform, id: string) => {
  const changes = changesOf(platform, id)
  const last = changes.at(-1)
  const ends = changes.filter((change) => fieldOf(change, "completedAt") !== undefined)
  assert.deepStrictEqual(ends, last === undefined ? [] : [last])
  assert.lengthOf(ends, 1)
}

describe("the example of an agent behind a webhook", () => {
  it.live(
    "stops when the page says so, keeps the words so far and completes each message once",
    () =>
      Effect.gen(function* () {
        const { agent, deliver, event, platform } = yield* start()
        assert.deepStrictEqual(yield* deliver, { status: 200, body: "" })
        yield* holds(platform, "press Stop")
        const stop = platform.pressStop(chatId)
        yield* completed(platform, stop.id)
        yield* end(agent)

        const [plan, answer, ...others] = answersOf(platform)
        assert.lengthOf(others, 0)
        assert.strictEqual(plan?.id, event.payload.assistantMessage.id)
        assert.strictEqual(answer?.id, stop.id)
        assert.strictEqual(plan?.text, "I will say what becomes of a Stop, step by step.")
        assert.strictEqual(plan?.userAbortedAt, null)
        assert.isTrue(answer?.text.startsWith("When you press Stop, "))
        assert.notInclude(answer?.text ?? "", "nobody is writing.")
        assert.strictEqual(answer?.userAbortedAt, stop.at)
        assert.isAtLeast(Date.parse(answer?.stoppedStreamingAt ?? ""), Date.parse(stop.at))
        for (const { id } of answersOf(platform)) assertCompletedOnce(platform, id)
        assert.strictEqual(countOf(agent, "The model was interrupted"), 1)
        assert.strictEqual(countOf(agent, "Answered"), 0)
        assert.isUndefined(platform.interruptedAt(event.payload.userMessage.id))
      })
  )

  it.live("begins nothing of what was stopped before its event came", () =>
    Effect.gen(function* () {
      const { agent, deliver, event, platform } = yield* start()
      const { id } = event.payload.assistantMessage
      platform.stopMessage(id)
      yield* deliver
      yield* completed(platform, id)
      yield* end(agent)
      assert.deepStrictEqual(
        answersOf(platform).map((message) => message.id),
        [id]
      )
      assert.strictEqual(platform.message(id)?.text, "")
      assertCompletedOnce(platform, id)
      assert.strictEqual(countOf(agent, "The answer failed"), 0)
    })
  )

  it.live("runs an event that is delivered again only once, while it runs and after it", () =>
    Effect.gen(function* () {
      const { agent, deliver, platform } = yield* start()
      yield* deliver
      yield* holds(platform, "I will")
      assert.strictEqual((yield* deliver).status, 200)
      yield* holds(platform, "press Stop")
      assert.strictEqual(countOf(agent, "The model was interrupted"), 0)
      const stop = platform.pressStop(chatId)
      yield* completed(platform, stop.id)
      yield* completed(platform, answersOf(platform)[0]?.id ?? "")

      platform.clear()
      assert.strictEqual((yield* deliver).status, 200)
      yield* platform.received(
        ({ method, query }) => method === "GET" && query["chatId"] === chatId
      )
      yield* end(agent)
      assert.deepStrictEqual(
        platform.requests.filter(({ method }) => method !== "GET"),
        []
      )
      assert.lengthOf(answersOf(platform), 2)
      assert.strictEqual(countOf(agent, "The model was interrupted"), 1)
    })
  )

  it.live("answers what is no event with the status that says so, and starts nothing", () =>
    Effect.gen(function* () {
      const { agent, event, platform } = yield* start()
      const { secret, webhook } = agent
      const statusOf = (body: typeof event | string, delivery: object = {}) =>
        Effect.map(platform.deliver(webhook, body, { secret, ...delivery }), ({ status }) => status)
      assert.strictEqual(yield* statusOf(event, { secret: "another" }), 401)
      assert.strictEqual(yield* statusOf(event, { signature: null }), 401)
      assert.strictEqual(yield* statusOf(event, { createdAt: 1_700_000_000 }), 401)
      assert.strictEqual(yield* statusOf("{}"), 400)
      assert.strictEqual(yield* statusOf(`{ "event": "unique.chat.user-message.created" }`), 200)
      yield* end(agent)
      assert.deepStrictEqual(platform.requests, [])
    })
  )

  it.live("follows no redirect, which would tell another host who asks, and for what", () =>
    Effect.gen(function* () {
      const { agent, deliver, platform } = yield* start()
      const elsewhere = yield* startPlatform()
      platform.respond(() => ({
        status: 307,
        body: "",
        headers: { location: `${elsewhere.baseUrl}/messages` }
      }))
      yield* deliver
      // It has had its answer by then, wherever that came from.
      yield* agent.logged("it redirects")
      assert.strictEqual(elsewhere.connections, 0)
    })
  )

  it.live("tells the platform of answers that its end cuts short, and keeps their words", () =>
    Effect.gen(function* () {
      const { agent, deliver, event, platform } = yield* start({ SHUTDOWN_TIMEOUT: "10 millis" })
      yield* deliver
      yield* holds(platform, "press Stop")
      assert.strictEqual(yield* end(agent), 130)

      const { userMessage } = event.payload
      assert.isDefined(platform.interruptedAt(userMessage.id))
      const [, answer] = answersOf(platform)
      assert.isTrue(answer?.text.startsWith("When you press Stop, "))
      for (const { id } of answersOf(platform)) assertCompletedOnce(platform, id)
      assert.isTrue(platform.requests.at(-1)?.path.endsWith("/turn-interruption"))
    })
  )

  it.live("lets a model on a server answer, and closes its connection at a stop", () =>
    Effect.gen(function* () {
      const scripts: ReadonlyArray<Script> = [
        [...say("Like ", "this."), ...finish("stop")],
        [pace(50), ...Array.from({ length: 400 }, (_, n) => say(`word${n} `)).flat()]
      ]
      const server = yield* serveChatCompletions(({ index }) => scripts[index] ?? [])
      const { agent, deliver, platform } = yield* start({
        OPENAI_API_KEY: "key",
        OPENAI_BASE_URL: server.baseUrl
      })
      yield* deliver
      yield* holds(platform, "word0 ")
      const stop = platform.pressStop(chatId)
      const { outcome } = yield* server.exchange(1)
      assert.isTrue((yield* outcome).closedByClient)
      yield* completed(platform, stop.id)
      assert.deepStrictEqual(server.violations(), [])
      assert.deepStrictEqual(
        answersOf(platform).map(({ text }) => text.slice(0, 6)),
        ["Like t", "word0 "]
      )
      yield* end(agent)
    })
  )

  it.live("says in the message that a model has failed", () =>
    Effect.gen(function* () {
      const server = yield* serveChatCompletions(() => [refuse(400, { message: "no" })])
      const { agent, deliver, event, platform } = yield* start({
        OPENAI_API_KEY: "key",
        OPENAI_BASE_URL: server.baseUrl
      })
      yield* deliver
      const { id } = event.payload.assistantMessage
      yield* completed(platform, id)
      yield* agent.logged("The answer failed")
      assert.strictEqual(platform.message(id)?.text, "The answer broke off here. Please ask again.")
      yield* end(agent)
      assertCompletedOnce(platform, id)
      assert.isUndefined(platform.interruptedAt(event.payload.userMessage.id))
    })
  )

  it.live("is shown by `npm run unique`", () =>
    Effect.gen(function* () {
      const script = path.join(import.meta.dirname, "../scripts/local.ts")
      // It rejects if the exit code is not 0.
      const { stderr, stdout } = yield* Effect.promise((signal) =>
        promisify(execFile)(process.execPath, [script], { signal })
      )
      assert.strictEqual(stderr, "")
      assert.match(stdout, /Ada pressed Stop\. The model was interrupted after \d+ ms/)
      assert.match(stdout, /by a turn-interruption at \d{4}-/)
      assert.lengthOf(stdout.match(/completedAt +\d{4}-\S+ +set once\n/g) ?? [], 4)
      assert.lengthOf(stdout.match(/userAbortedAt +\d{4}-/g) ?? [], 1)
    })
  )
})
