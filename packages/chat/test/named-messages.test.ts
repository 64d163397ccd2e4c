/** `ChatService.createAssistantMessage` where the store names the messages itself. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import {
  MessageContent,
  MessageId,
  MessageRef,
  MessageRepo,
  NewMessage,
  RunQuery,
  UnstorableText
} from "effect-cancellation"
import { ChatService, type NewAssistantMessage } from "../src/index.ts"
import { inRun, outcome, pass, reasonOf, settle, start, stop } from "./chat.fixture.ts"
import { ref, stored } from "./support/chat.ts"
import { ends, layer as model, says } from "./support/scriptedModel.ts"
import { layer as unsteady, Unsteady } from "./support/unsteadyContent.ts"

const wished = MessageId.make("wished")
const first = MessageId.make("named-1")
const second = MessageId.make("named-2")

/** Texts that can be made to misbehave, in a store that names its messages one after the other. */
const layer = Layer.effect(
  MessageContent,
  Effect.map(MessageContent, (content) => {
    let count = 0
    return MessageContent.of({
      ...content,
      supports: { ...content.supports, ids: false },
      create: (message) =>
        Effect.suspend(() => {
          const messageId = MessageId.make(`named-${++count}`)
          const named = MessageRef.make({ ...message.ref, messageId })
          return content.create(NewMessage.make({ ...message, ref: named }))
        })
    })
  })
).pipe(Layer.provideMerge(unsteady))

const create = (message: NewAssistantMessage = { messageId: wished }) =>
  Effect.flatMap(ChatService, (chat) => chat.createAssistantMessage(message))

const save = (text: string) =>
  Effect.flatMap(ChatService, (chat) => chat.saveAssistantMessage({ text }))

const watched = Effect.flatMap(ChatService, (chat) =>
  Effect.map(chat.cancellation.run, (run) => run.ref.messageId)
)

const isStopped = Effect.flatMap(ChatService, (chat) => chat.cancellation.isCancelled)

/** The messages of the chat, and whether each is complete. */
const messages = Effect.flatMap(MessageContent, (content) =>
  Effect.map(Effect.orDie(content.find({ chatId: ref.chatId })), (found) =>
    Object.fromEntries(
      found.map(({ completedAt, ref }) => [ref.messageId, completedAt !== undefined])
    )
  )
)

/** The messages of which the store knows a run. */
const runs = Effect.gen(function* () {
  const repo = yield* MessageRepo
  const records = yield* repo.findRuns(RunQuery.cases.Chat.make({ chatId: ref.chatId }))
  return records.map(({ run }): string => run.ref.messageId).toSorted()
}).pipe(Effect.orDie)

/** The messages that somebody tried to write. */
const written = Effect.map(
  Unsteady,
  ({ changes }) => new Set(changes.map((change): string => change.ref.messageId))
)

describe("createAssistantMessage in a store that names its messages", () => {
  it.effect("goes on to the message as the store has named it, and completes that", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        yield* save("First")
        const made = yield* create({ messageId: wished, text: "Sec", segmentKind: "answer" })
        assert.strictEqual(made.ref.messageId, first)
        assert.strictEqual(yield* watched, first)
        assert.strictEqual(yield* Effect.flatMap(ChatService, (chat) => chat.text), "Sec")
        yield* save("Second")
        assert.strictEqual((yield* stored(first)).text, "Second")
        assert.strictEqual((yield* stored(first)).segmentKind, "answer")
        assert.strictEqual((yield* stored()).text, "First")
        assert.deepStrictEqual(yield* messages, { message: false, [first]: false })
      }).pipe(inRun())
      assert.deepStrictEqual(yield* messages, { message: true, [first]: true })
      assert.deepStrictEqual(yield* written, new Set(["message", first]))
    }).pipe(Effect.provide(layer))
  )

  it.effect("goes on from one to the next, whatever they were to be called", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        for (const id of [first, second]) {
          yield* create()
          assert.strictEqual(yield* watched, id)
          yield* save(`Text of ${id}`)
        }
      }).pipe(inRun())
      assert.deepStrictEqual(yield* messages, { message: true, [first]: true, [second]: true })
      for (const id of [first, second]) {
        assert.strictEqual((yield* stored(id)).text, `Text of ${id}`)
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("has the model's words stored there, and ended there", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const chat = yield* ChatService
        yield* create()
        yield* chat.streamComplete({ prompt: "Go" })
        yield* chat.complete(Effect.void)
        assert.deepStrictEqual(yield* messages, { message: false, [first]: true })
      }).pipe(inRun())
      const { stoppedStreamingAt, text } = yield* stored(first)
      assert.strictEqual(text, "Words")
      assert.isDefined(stoppedStreamingAt)
      assert.deepStrictEqual(yield* messages, { message: true, [first]: true })
    }).pipe(Effect.provide(Layer.merge(model([...says("Words"), ends()]), layer)))
  )

  it.effect("has it watched under its own name: a stop of that counts, and ends the run", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const chat = yield* ChatService
        yield* create()
        yield* settle
        assert.deepStrictEqual(yield* runs, ["message", first])
        yield* stop("user", first)
        assert.isTrue(yield* isStopped)
        const { run } = yield* chat.cancellation.cancellation
        assert.strictEqual(run.ref.messageId, first)
      }).pipe(inRun())
      assert.strictEqual((yield* outcome).outcome, "stopped")
      assert.deepStrictEqual(yield* messages, { message: true, [first]: true })
    }).pipe(Effect.provide(layer))
  )

  it.effect("keeps watching the earlier message, and none of the name that was asked for", () =>
    Effect.gen(function* () {
      yield* create()
      yield* settle
      yield* stop("user", wished)
      yield* pass("10 seconds")
      assert.isFalse(yield* isStopped)
      yield* stop("user", ref.messageId)
      assert.isTrue(yield* isStopped)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("completes it also if the run is stopped or interrupted while it is made", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.create("hang")
      const fiber = yield* start(create())
      yield* unsteady.askedToCreate(1)
      yield* stop()
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* settle
      yield* unsteady.release
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(yield* messages, { message: true, [first]: true })
      assert.deepStrictEqual(yield* written, new Set(["message", first]))
    }).pipe(Effect.provide(layer))
  )

  it.effect("does not go on to a message whose making got no answer, and asks for it no more", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.create("loseAnswer")
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* reasonOf(create()), "ContentUnavailable")
        assert.strictEqual(yield* watched, ref.messageId)
        yield* save("Still here")
        yield* settle
        yield* stop("user", ref.messageId)
        assert.isTrue(yield* isStopped)
      }).pipe(inRun())
      assert.deepStrictEqual(yield* outcome, {
        outcome: "stopped",
        text: "Still here",
        streamed: false,
        completed: true
      })
      assert.deepStrictEqual(yield* written, new Set(["message"]))
    }).pipe(Effect.provide(layer))
  )

  it.effect("goes on to another one after that, and ends the run as it should", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.create("loseAnswer")
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* reasonOf(create()), "ContentUnavailable")
        yield* unsteady.create("steady")
        assert.strictEqual((yield* create()).ref.messageId, second)
        assert.strictEqual(yield* watched, second)
        yield* save("Second it is")
      }).pipe(inRun())
      const { completedAt, text } = yield* stored(second)
      assert.strictEqual(text, "Second it is")
      assert.isDefined(completedAt)
      assert.strictEqual((yield* outcome).outcome, "completed")
      assert.deepStrictEqual(yield* written, new Set(["message", second]))
    }).pipe(Effect.provide(layer))
  )

  it.effect(
    "writes nothing under the name that was asked for, if it is made when all is over",
    () =>
      Effect.gen(function* () {
        const unsteady = yield* Unsteady
        yield* unsteady.create("resist")
        const fiber = yield* start(reasonOf(create()))
        yield* unsteady.askedToCreate(1)
        yield* pass("5 seconds")
        assert.strictEqual(yield* Fiber.join(fiber), "ContentUnavailable")
        yield* unsteady.release
        yield* settle
        assert.property(yield* messages, first)
        assert.isFalse((yield* written).has(wished))
        const { completed, outcome: ended } = yield* outcome
        assert.deepStrictEqual([completed, ended], [true, "completed"])
      }).pipe(Effect.provide(layer))
  )

  it.effect("stays with the message it has if the store refuses another one", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* create()
      yield* unsteady.create({ refuse: new UnstorableText({ messageId: wished, detail: "no" }) })
      assert.strictEqual(yield* reasonOf(create()), "UnstorableText")
      assert.strictEqual(yield* watched, first)
      yield* save("Still here")
      assert.strictEqual((yield* stored(first)).text, "Still here")
    }).pipe(
      inRun(),
      Effect.andThen(messages),
      Effect.map((all) => assert.deepStrictEqual(all, { message: true, [first]: true })),
      Effect.provide(layer)
    )
  )
})
