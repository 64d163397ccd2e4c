// An agent that writes its answer on the platform: what is stored meanwhile, and what a Stop leaves.
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Tool, Toolkit } from "effect/ai"
import { FetchHttpClient, HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import {
  CancellationWatcher,
  MessageContent,
  MessageRef,
  MessageRepo,
  RunId,
  RunQuery
} from "effect-cancellation"
import { AgentLoop, ChatService, type ChatServiceOptions } from "effect-cancellation-chat"
import {
  Asked,
  calls,
  ends,
  layer as model,
  says,
  type Script
} from "../../chat/test/support/scriptedModel.ts"
import { UniquePlatform } from "../src/index.ts"
import { ada, assistantId, chatId, iso, json, page, type Request } from "./content.fixture.ts"
import { type Platform, startPlatform } from "./support/PlatformServer.ts"

interface Stage {
  readonly chat?: Partial<ChatServiceOptions>
  /** What the tool does in a call; by default nothing. */
  readonly work?: (id: string) => Effect.Effect<void>
  /** What becomes of the connection's calls. */
  readonly client?: (client: HttpClient.HttpClient) => HttpClient.HttpClient
}

const bodyOf = ({ body }: Request): Readonly<Record<string, unknown>> =>
  typeof body === "object" && body !== null ? { ...body } : {}
const patches = ({ method }: Request) => method === "PATCH"
const sets = (field: string, id?: string) => (request: Request) =>
  patches(request) && field in bodyOf(request) && (id === undefined || request.path.endsWith(id))

const Work = Tool.make("Work", { success: Schema.String })
const toolkit = Toolkit.make(Work)

/** A turn on a platform, with the first message of the answer. */
const openTurn = Effect.fnUntraced(function* (scripts: ReadonlyArray<Script>, stage: Stage = {}) {
  const { chat = {}, client = (one) => one, work = () => Effect.void } = stage
  const platform = yield* startPlatform()
  const event = platform.chatEvent({ ...ada, chatId })
  const first = event.payload.assistantMessage.id
  platform.patchState(first, { responseTurnId: "turn_1", segmentIndex: 0 })
  const lines: Array<string> = []
  const log: Array<string> = []
  const say = (line: string) => Effect.sync(() => void log.push(line))
  const tools = toolkit.toLayer({
    Work: (_, { toolCallId: id = "" }) =>
      say(`begin ${id}`).pipe(
        Effect.andThen(work(id)),
        Effect.andThen(say(`end ${id}`)),
        Effect.onInterrupt(() => say(`cut ${id}`)),
        Effect.as(`did ${id}`)
      )
  })
  const ports = UniquePlatform.layer({
    apiKey: Redacted.make(platform.apiKey),
    appId: Redacted.make(platform.appId),
    baseUrl: platform.baseUrl
  }).pipe(
    Layer.provide(
      Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, client)).pipe(
        Layer.provide(FetchHttpClient.layer)
      )
    )
  )
  const content = Layer.effect(
    MessageContent,
    Effect.map(UniquePlatform, ({ contentOf }) => contentOf({ assistantId, messageId: first }))
  )
  // The program outlives its runs.
  const program = yield* Layer.build(
    Layer.fresh(
      Layer.mergeAll(content, MessageRepo.layer()).pipe(
        Layer.provideMerge(ports),
        Layer.merge(model(...scripts)),
        Layer.merge(tools),
        Layer.provideMerge(
          Layer.succeed(
            Logger.CurrentLoggers,
            new Set([
              Logger.make<unknown, void>(({ logLevel, message }) => {
                lines.push(`${logLevel}: ${[message].flat().map(String).join(" ")}`)
              })
            ])
          )
        )
      )
    )
  )
  const ref = MessageRef.of({ ...ada, chatId, messageId: first })
  const run = ChatService.layer({
    ref,
    runId: RunId.make(event.id),
    pollInterval: "10 millis",
    saveInterval: "10 millis",
    ...chat
  })
  return {
    platform,
    first,
    lines,
    /** Beginnings and ends of the tool's calls, in order. */
    log,
    /** A run of the turn, to its end. */
    inRun: <A, E, R>(agent: Effect.Effect<A, E, R>) =>
      agent.pipe(Effect.provide(Layer.fresh(run)), Effect.provide(program)),
    /** How the runs of the chat ended, in the order of their messages. */
    outcomes: Effect.gen(function* () {
      const repo = yield* MessageRepo
      const { userId, companyId } = ref
      const records = yield* repo.findRuns(
        RunQuery.cases.Chat.make({
          chatId: ref.chatId,
          ...(userId === undefined ? {} : { userId }),
          ...(companyId === undefined ? {} : { companyId })
        })
      )
      return Object.fromEntries(
        records.map(({ outcome, run }): [string, unknown] => [run.ref.messageId, outcome])
      )
    }).pipe(Effect.provide(program)),
    asked: Effect.map(Asked, ({ prompts }) => prompts.length).pipe(Effect.provide(program)),
    /** How often each time of a message was sent. */
    timesSent: (id: string) =>
      ["stoppedStreamingAt", "completedAt"].map(
        (field) => platform.requests.filter(sets(field, id)).length
      )
  }
})

/** A place where a script waits, says that it is there, and whether it was cut off. */
const makeWait = () => {
  const reached = Deferred.makeUnsafe<void>()
  const open = Deferred.makeUnsafe<void>()
  const cut = Deferred.makeUnsafe<void>()
  return {
    here: Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(open)).pipe(
      Effect.onInterrupt(() => Deferred.succeed(cut, undefined))
    ),
    reached: Deferred.await(reached),
    open: Deferred.succeed(open, undefined),
    cut: Deferred.await(cut)
  }
}

const wireOf = (platform: Platform, id: string) =>
  platform.message(id) ?? assert.fail(`there is no message ${id}`)

const complete = Effect.flatMap(ChatService, (chat) => chat.complete(Effect.void))
const speak = Effect.flatMap(ChatService, (chat) => chat.streamComplete({ prompt: "Go" }))
const next = Effect.flatMap(ChatService, (chat) => chat.createAssistantMessage())

describe("an answer on the platform", () => {
  it.live("is stored as it comes, and complete at the end, once", () =>
    Effect.gen(function* () {
      const wait = makeWait()
      const { first, inRun, lines, outcomes, platform, timesSent } = yield* openTurn([
        [...says("One", " two"), wait.here, ...says(" three"), ends()]
      ])
      const fiber = yield* Effect.forkChild(inRun(Effect.andThen(speak, complete)))
      yield* wait.reached
      yield* platform.received((request) => bodyOf(request)["text"] === "One two")
      const { completedAt, stoppedStreamingAt, text } = wireOf(platform, first)
      assert.deepStrictEqual([text, completedAt, stoppedStreamingAt], ["One two", null, null])
      yield* wait.open
      yield* Fiber.join(fiber)
      const ended = wireOf(platform, first)
      assert.strictEqual(ended.text, "One two three")
      assert.match(String(ended.completedAt), iso)
      assert.deepStrictEqual(timesSent(first), [1, 1])
      assert.deepStrictEqual(yield* outcomes, { [first]: "completed" })
      assert.deepStrictEqual(lines, [])
    })
  )

  it.live("is complete also if nobody has completed it, and by one that failed", () =>
    Effect.gen(function* () {
      const { first, inRun, platform, timesSent } = yield* openTurn([[...says("One"), ends()]])
      yield* Effect.exit(inRun(Effect.andThen(speak, Effect.fail("broken"))))
      assert.strictEqual(wireOf(platform, first).text, "One")
      assert.deepStrictEqual(timesSent(first), [1, 1])
    })
  )

  it.live("has its next segment in the same turn, and both are complete at the end", () =>
    Effect.gen(function* () {
      const { first, inRun, outcomes, platform, timesSent } = yield* openTurn([
        [...says("One"), ends()],
        [...says("Two"), ends()]
      ])
      const second = yield* inRun(
        Effect.gen(function* () {
          yield* speak
          const { ref } = yield* next
          const { completedAt, stoppedStreamingAt } = wireOf(platform, first)
          assert.match(String(stoppedStreamingAt), iso)
          assert.isNull(completedAt)
          yield* speak
          yield* complete
          return ref.messageId
        })
      )
      const made = platform.requests.find(({ method }) => method === "POST")
      assert.deepInclude(made?.body, {
        chatId,
        assistantId,
        role: "ASSISTANT",
        responseTurnId: "turn_1",
        segmentIndex: 1
      })
      assert.deepStrictEqual(
        [first, second].map((id) => wireOf(platform, id).text),
        ["One", "Two"]
      )
      assert.deepStrictEqual(
        [timesSent(first), timesSent(second)],
        [
          [1, 1],
          [1, 1]
        ]
      )
      assert.deepStrictEqual(yield* outcomes, { [first]: "completed", [second]: "completed" })
    })
  )
})

describe("Stop on the platform's page", () => {
  for (const which of ["newest", "first"] as const) {
    it.live(`at the ${which} segment ends the run, with what there is`, () =>
      Effect.gen(function* () {
        const wait = makeWait()
        const { asked, first, inRun, outcomes, platform, timesSent } = yield* openTurn([
          [...says("One"), ends()],
          [...says("Tw"), wait.here, ...says("o"), ends()]
        ])
        const fiber = yield* Effect.forkChild(
          inRun(
            Effect.gen(function* () {
              const chat = yield* ChatService
              yield* speak
              const { ref } = yield* next
              const completion = yield* speak
              const done = yield* chat.complete(Effect.succeed("done"))
              return { ref, completion, done, again: yield* Effect.exit(next) }
            })
          )
        )
        yield* wait.reached
        const pressed =
          which === "newest" ? platform.pressStop(chatId) : platform.stopMessage(first)
        yield* wait.cut
        const { again, completion, done, ref } = yield* Fiber.join(fiber)
        const second = ref.messageId
        assert.strictEqual(pressed.id, which === "newest" ? second : first)
        assert.isTrue(completion.stoppedByUser)
        assert.strictEqual(completion.cancellation?.request.reason, "user")
        assert.strictEqual(completion.cancellation?.request.userAbortedAt, Date.parse(pressed.at))
        assert.isTrue(Option.isNone(done))
        assert.isTrue(Exit.isFailure(again))
        assert.strictEqual(yield* asked, 2)
        assert.deepStrictEqual(
          [first, second].map((id) => wireOf(platform, id).text),
          ["One", "Tw"]
        )
        for (const id of [first, second]) {
          assert.deepStrictEqual(timesSent(id), [1, 1])
          assert.match(String(wireOf(platform, id).completedAt), iso)
          assert.match(String(wireOf(platform, id).stoppedStreamingAt), iso)
        }
        assert.strictEqual((yield* outcomes)[pressed.id], "stopped")
        assert.strictEqual(platform.requests.filter(({ method }) => method === "POST").length, 1)
      })
    )
  }

  it.live("at a next message that the platform knows of no turn with ends the run too", () =>
    Effect.gen(function* () {
      const wait = makeWait()
      const { first, inRun, outcomes, platform } = yield* openTurn([
        [...says("Tw"), wait.here, ends()]
      ])
      platform.patchState(first, { responseTurnId: undefined, segmentIndex: undefined })
      const fiber = yield* Effect.forkChild(inRun(Effect.andThen(next, speak)))
      yield* wait.reached
      const { id } = platform.pressStop(chatId)
      assert.notStrictEqual(id, first)
      yield* wait.cut
      assert.isTrue((yield* Fiber.join(fiber)).stoppedByUser)
      assert.strictEqual((yield* outcomes)[id], "stopped")
      assert.match(String(wireOf(platform, first).completedAt), iso)
    })
  )

  it.live("during the work after the answer ends that, and the run is none that completed", () =>
    Effect.gen(function* () {
      const wait = makeWait()
      const { first, inRun, outcomes, platform, timesSent } = yield* openTurn([
        [...says("One"), ends()]
      ])
      const fiber = yield* Effect.forkChild(
        inRun(
          Effect.gen(function* () {
            const chat = yield* ChatService
            yield* speak
            return yield* chat.complete(wait.here)
          })
        )
      )
      yield* wait.reached
      assert.isNull(wireOf(platform, first).completedAt)
      platform.pressStop(chatId)
      yield* wait.cut
      assert.isTrue(Option.isNone(yield* Fiber.join(fiber)))
      assert.strictEqual(wireOf(platform, first).text, "One")
      assert.deepStrictEqual(timesSent(first), [1, 1])
      assert.deepStrictEqual(yield* outcomes, { [first]: "stopped" })
    })
  )

  it.live("after the answer is complete changes nothing", () =>
    Effect.gen(function* () {
      const { first, inRun, outcomes, platform } = yield* openTurn([[...says("One"), ends()]])
      const done = yield* inRun(
        Effect.gen(function* () {
          const chat = yield* ChatService
          yield* speak
          return yield* chat.complete(Effect.succeed("done"))
        })
      )
      assert.deepStrictEqual(done, Option.some("done"))
      platform.pressStop(chatId)
      assert.deepStrictEqual(yield* outcomes, { [first]: "completed" })
    })
  )
})

describe("an agent's loop on the platform", () => {
  const tool = (id: string) => [
    ...says(`Step ${id}.`),
    ...calls("Work", {}, id),
    ends("tool-calls")
  ]

  it.live("completes its message once, and not on rounds of tools", () =>
    Effect.gen(function* () {
      const { asked, first, inRun, log, platform } = yield* openTurn([
        tool("a"),
        tool("b"),
        [...says("Done."), ends()]
      ])
      yield* inRun(Effect.andThen(AgentLoop.run({ prompt: "Go", toolkit }), complete))
      assert.deepStrictEqual(log, ["begin a", "end a", "begin b", "end b"])
      assert.strictEqual(yield* asked, 3)
      const written = platform.requests.filter(patches)
      assert.isAbove(written.length, 1)
      const completing = written.filter(sets("completedAt"))
      assert.deepStrictEqual(completing, written.slice(-1))
      assert.strictEqual(wireOf(platform, first).text, "Step a.\n\nStep b.\n\nDone.")
    })
  )

  it.live("asks no model and begins no tool after the stop", () =>
    Effect.gen(function* () {
      const wait = makeWait()
      const { asked, first, inRun, lines, log, outcomes, platform, timesSent } = yield* openTurn(
        [tool("a"), tool("b"), tool("c")],
        { work: (id) => (id === "b" ? wait.here : Effect.void) }
      )
      const fiber = yield* Effect.forkChild(
        inRun(
          Effect.gen(function* () {
            const result = yield* AgentLoop.run({ prompt: "Go", toolkit })
            return { result, done: yield* complete }
          })
        )
      )
      yield* wait.reached
      platform.pressStop(chatId)
      yield* wait.cut
      const { done, result } = yield* Fiber.join(fiber)
      assert.isTrue(result._tag === "Stopped" && result.stoppedByUser)
      assert.isTrue(Option.isNone(done))
      assert.deepStrictEqual(log, ["begin a", "end a", "begin b", "cut b"])
      assert.strictEqual(yield* asked, 2)
      assert.strictEqual(wireOf(platform, first).text, "Step a.\n\nStep b.")
      assert.deepStrictEqual(timesSent(first), [1, 1])
      assert.deepStrictEqual(yield* outcomes, { [first]: "stopped" })
      assert.notMatch(lines.join("\n"), /done|completed/i)
    })
  )
})

describe("the end of a run", () => {
  const away = {
    "fails with 503": json(503, { message: "no" }),
    "asks for a pause": { status: 429, headers: { "retry-after": "1" }, body: "{}" },
    "is a page of a proxy": page,
    "resets its connection": "reset"
  } as const

  for (const stopped of [false, true]) {
    for (const [title, trouble] of Object.entries(away)) {
      it.live(`arrives although the platform ${title}, ${stopped ? "stopped" : "not"}`, () =>
        Effect.gen(function* () {
          const { first, inRun, lines, outcomes, platform } = yield* openTurn([
            [...says("One"), ends()]
          ])
          let refusals = 0
          const calm = platform.respond((request) =>
            sets("completedAt")(request) && ++refusals <= 2 ? trouble : undefined
          )
          yield* inRun(
            Effect.gen(function* () {
              yield* speak
              if (!stopped) return
              const watcher = yield* CancellationWatcher
              platform.pressStop(chatId)
              yield* watcher.cancellation
            })
          )
          calm()
          assert.strictEqual(refusals, 3)
          const { completedAt, text } = wireOf(platform, first)
          assert.strictEqual(text, "One")
          assert.match(String(completedAt), iso)
          assert.deepStrictEqual(yield* outcomes, { [first]: stopped ? "stopped" : "completed" })
          const told = lines.filter((line) => line.includes("Texts are"))
          assert.match(told[0] ?? "", /^Warn: Texts are not saved/)
          assert.deepStrictEqual(told.slice(1), ["Info: Texts are saved again"])
        })
      )
    }
  }

  it.live("that arrived, and whose answer did not, is no second one", () =>
    Effect.gen(function* () {
      const { first, inRun, platform, timesSent } = yield* openTurn([[...says("One"), ends()]])
      platform.respond((request) => (sets("completedAt")(request) ? "loseAnswer" : undefined))
      yield* inRun(speak)
      assert.match(String(wireOf(platform, first).completedAt), iso)
      assert.deepStrictEqual(timesSent(first), [1, 1])
    })
  )
})

describe("an event that is delivered again", () => {
  it.live("when its answer is complete changes nothing, and is told so", () =>
    Effect.gen(function* () {
      const { first, inRun, platform } = yield* openTurn([[...says("One"), ends()]])
      yield* inRun(Effect.andThen(speak, complete))
      const before = wireOf(platform, first)
      platform.clear()
      const reasons = yield* inRun(
        Effect.gen(function* () {
          const chat = yield* ChatService
          const written = yield* Effect.flip(chat.modifyAssistantMessage({ text: "again" }))
          const completed = yield* Effect.flip(complete)
          return [written, completed].map(({ reason }) => reason._tag)
        })
      )
      assert.deepStrictEqual(reasons, ["AlreadyCompleted", "AlreadyCompleted"])
      assert.deepStrictEqual(wireOf(platform, first), before)
      assert.deepStrictEqual(platform.requests.filter(patches), [])
    })
  )
})

describe("a next segment", () => {
  it.effect("whose answer comes too late is completed when it comes", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      const answered = Deferred.makeUnsafe<void>()
      const pass = Deferred.makeUnsafe<void>()
      const { first, inRun, platform, timesSent } = yield* openTurn([], {
        chat: { pollInterval: "1 hour", writeTimeout: "5 seconds" },
        client: HttpClient.transform((answer, { method }) =>
          method === "POST"
            ? Effect.tap(answer, () =>
                Effect.andThen(Deferred.succeed(answered, undefined), Deferred.await(pass))
              )
            : answer
        )
      })
      const fiber = yield* Effect.forkChild(
        inRun(
          Effect.gen(function* () {
            const error = yield* Effect.flip(next)
            const watcher = yield* CancellationWatcher
            return { error, watched: (yield* watcher.run).ref.messageId }
          })
        )
      )
      yield* Deferred.await(answered)
      yield* TestClock.adjust("5 seconds")
      const { error, watched } = yield* Fiber.join(fiber)
      assert.strictEqual("reason" in error && error.reason._tag, "ContentUnavailable")
      assert.strictEqual(watched, first)
      const made = platform.messagesOf(chatId).at(-1)?.id ?? ""
      assert.notStrictEqual(made, first)
      assert.isNull(wireOf(platform, made).completedAt)
      yield* Deferred.succeed(pass, undefined)
      yield* platform.received(sets("completedAt", made))
      assert.deepStrictEqual(
        [timesSent(first), timesSent(made)],
        [
          [0, 1],
          [0, 1]
        ]
      )
    })
  )

  it.live("that the platform refuses leaves the run with the one it has", () =>
    Effect.gen(function* () {
      const { first, inRun, platform } = yield* openTurn([[...says("One"), ends()]])
      platform.respond(({ method }) => (method === "POST" ? json(500, {}) : undefined))
      yield* inRun(
        Effect.gen(function* () {
          const error = yield* Effect.flip(next)
          assert.strictEqual("reason" in error && error.reason._tag, "ContentUnavailable")
          yield* speak
        })
      )
      assert.strictEqual(wireOf(platform, first).text, "One")
      assert.match(String(wireOf(platform, first).completedAt), iso)
    })
  )
})
