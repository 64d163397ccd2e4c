// The agent and what is stored of its answer, in virtual time.
import { assert, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { Prompt } from "effect/ai"
import { TestClock } from "effect/testing"
import {
  ContentUnavailable,
  type MessageChange,
  MessageContent,
  MessageContentError,
  MessageQuery,
  MessageRef,
  MessageRepo,
  MessageStore,
  NewMessage,
  Run,
  RunId,
  RunQuery,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import * as Agent from "../src/Agent.ts"
import { Drafts } from "../src/Drafts.ts"
import * as ScriptedModel from "../src/ScriptedModel.ts"
import { Settings } from "../src/Settings.ts"
import * as Tools from "../src/Tools.ts"

const ref = MessageRef.of({ chatId: "chat", messageId: "message" })
const run = Run.make({ ref, runId: RunId.make("run") })

/** What was written to the store of texts, and whether it fails. */
class Writes extends Context.Service<
  Writes,
  { readonly seen: Ref.Ref<ReadonlyArray<MessageChange>>; readonly failing: Ref.Ref<boolean> }
>()("test/Writes") {
  static readonly layer = Layer.effect(
    this,
    Effect.all({ seen: Ref.make<ReadonlyArray<MessageChange>>([]), failing: Ref.make(false) })
  )
}

const Content = Layer.effect(
  MessageContent,
  Effect.gen(function* () {
    const content = yield* MessageContent
    const { failing, seen } = yield* Writes
    const modify = Effect.fnUntraced(function* (change: MessageChange) {
      if (yield* Ref.get(failing)) {
        const reason = new ContentUnavailable({ operation: "modify", cause: "out of order" })
        return yield* new MessageContentError({ reason })
      }
      yield* Ref.update(seen, (before) => [...before, change])
      return yield* content.modify(change)
    })
    return { ...content, modify }
  })
).pipe(Layer.provide(MessageContent.layerMemory))

const World = Layer.mergeAll(ScriptedModel.layer, Tools.layer, Content, Drafts.layer).pipe(
  Layer.provideMerge(Writes.layer),
  Layer.provideMerge(MessageRepo.layer()),
  Layer.provideMerge(MessageStore.layerMemory()),
  Layer.provide(
    Layer.succeed(Settings, {
      port: 0,
      folder: "",
      isFolderGiven: false,
      database: { _tag: "Sqlite", file: "" },
      onDisconnect: "continue",
      openAi: undefined,
      isModelNamed: false,
      speed: 1
    })
  )
)

const begin = Effect.fnUntraced(function* (pollInterval: Duration.Input) {
  const content = yield* MessageContent
  yield* content.create(NewMessage.make({ ref, role: "assistant", writer: run.runId }))
  const answer = Agent.answer(Prompt.make("Hello"))
  return yield* Effect.forkChild(Effect.provide(answer, Agent.layer(run, pollInterval)))
})

const message = Effect.gen(function* () {
  const content = yield* MessageContent
  const [found] = yield* content.find(MessageQuery.make({ chatId: ref.chatId }))
  return found ?? (yield* Effect.die("the message is gone"))
})

const outcome = Effect.gen(function* () {
  const repo = yield* MessageRepo
  const [record] = yield* repo.findRuns(RunQuery.cases.Refs.make({ refs: [ref] }))
  return record?.outcome
})

const stop = Effect.gen(function* () {
  const repo = yield* MessageRepo
  yield* repo.requestStop(run)
})

it.effect("completes the message once, at the end", () =>
  Effect.gen(function* () {
    const fiber = yield* begin("1 second")
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(fiber)
    const { completedAt, text } = yield* message
    assert.isDefined(completedAt)
    assert.match(text, /cannot touch it\.$/)
    const { seen } = yield* Writes
    const changes = yield* Ref.get(seen)
    assert.lengthOf(
      changes.filter(({ setCompletedAt }) => setCompletedAt === true),
      1
    )
    assert.isTrue(changes.at(-1)?.setCompletedAt)
    assert.strictEqual(yield* outcome, "completed")
  }).pipe(Effect.provide(World))
)

// in the model's words, in a tool, in thought before the first word
for (const [where, time, end] of [
  ["a word", "2 seconds", /^You asked about “Hello”\./],
  ["a tool", "4 seconds", /First I will look around\.$/],
  ["thought", "500 millis", /^$/]
] as const) {
  it.effect(
    `after a stop in the middle of ${where} no word is added, and the last save completes`,
    () =>
      Effect.gen(function* () {
        const fiber = yield* begin("1 second")
        yield* TestClock.adjust(time)
        const { seen } = yield* Writes
        const before = (yield* Ref.get(seen)).length
        yield* stop
        yield* TestClock.adjust(0)
        yield* Fiber.join(fiber)
        yield* TestClock.adjust("1 minute")
        const after = (yield* Ref.get(seen)).slice(before)
        const { text } = yield* message
        assert.match(text, end)
        assert.deepStrictEqual(
          after.filter((change) => (change.text ?? text) !== text),
          []
        )
        assert.deepStrictEqual(
          after.map(({ setCompletedAt }) => setCompletedAt === true),
          after.map((_, index) => index === after.length - 1)
        )
        assert.strictEqual(yield* outcome, "stopped")
      }).pipe(Effect.provide(World))
  )
}

it.effect("begins no step after a stop that nobody has told this process of", () =>
  Effect.gen(function* () {
    const fiber = yield* begin("1 hour")
    yield* TestClock.adjust("4 seconds")
    const store = yield* MessageStore
    yield* store.requestStop(
      StopTarget.cases.Run.make({ run }),
      StopIntent.make({ reason: "user" })
    )
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(fiber)
    assert.match((yield* message).text, /First I will look around\.$/)
    assert.strictEqual(yield* outcome, "stopped")
  }).pipe(Effect.provide(World))
)

it.effect("an outage of the store of texts loses no word", () =>
  Effect.gen(function* () {
    const { failing } = yield* Writes
    const fiber = yield* begin("1 second")
    yield* TestClock.adjust("3 seconds")
    yield* Ref.set(failing, true)
    yield* stop
    yield* TestClock.adjust("2 seconds")
    const { completedAt } = yield* message
    assert.isUndefined(completedAt)
    yield* Ref.set(failing, false)
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(fiber)
    const { completedAt: end, text } = yield* message
    assert.isDefined(end)
    assert.match(text, /^You asked about “Hello”\. /)
    assert.strictEqual(yield* outcome, "stopped")
  }).pipe(Effect.provide(World))
)

it.effect("an answer whose end cannot be saved has not completed", () =>
  Effect.gen(function* () {
    const { failing } = yield* Writes
    const fiber = yield* begin("1 second")
    yield* TestClock.adjust("20 seconds")
    yield* Ref.set(failing, true)
    yield* TestClock.adjust("1 minute")
    const exit = yield* Fiber.await(fiber)
    assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    assert.strictEqual(yield* outcome, "failed")
  }).pipe(Effect.provide(World))
)

it.effect("an interrupt from outside saves the text too, and is no stop", () =>
  Effect.gen(function* () {
    const fiber = yield* begin("1 second")
    yield* TestClock.adjust("2 seconds")
    yield* Fiber.interrupt(fiber)
    const { completedAt, text } = yield* message
    assert.isDefined(completedAt)
    assert.match(text, /^You asked about/)
    assert.strictEqual(yield* outcome, "interrupted")
  }).pipe(Effect.provide(World))
)
