/** `ChatService.createAssistantMessage`: the messages of one turn, of which none is left unwatched. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { MessageContent, MessageId, MessageRepo, MessageStoreError } from "effect-cancellation"
import { ChatService, type NewAssistantMessage } from "../src/index.ts"
import { inRun, makePause, outcome, pass, reasonOf, settle, start, stop } from "./chat.fixture.ts"
import { ref, stored } from "./support/chat.ts"
import { ends, layer as model, says } from "./support/scriptedModel.ts"
import { layer, Unsteady } from "./support/unsteadyContent.ts"

const second = MessageId.make("second")
const third = MessageId.make("third")

const create = (message?: NewAssistantMessage) =>
  Effect.flatMap(ChatService, (chat) => chat.createAssistantMessage(message))

const save = (text: string) =>
  Effect.flatMap(ChatService, (chat) => chat.saveAssistantMessage({ text }))

const watched = Effect.flatMap(ChatService, (chat) =>
  Effect.map(chat.cancellation.run, (run) => run.ref.messageId)
)

const isStopped = Effect.flatMap(ChatService, (chat) => chat.cancellation.isCancelled)

/** Whether a message is there and complete. */
const isComplete = (messageId: MessageId) =>
  Effect.map(stored(messageId), ({ completedAt }) => completedAt !== undefined)

describe("createAssistantMessage", () => {
  it.effect("makes a message of the run, in the same chat, and goes on to it", () =>
    Effect.gen(function* () {
      yield* save("First")
      const made = yield* create({ messageId: second, text: "Sec", segmentKind: "answer" })
      assert.deepStrictEqual(made.ref, (yield* stored(second)).ref)
      assert.strictEqual(made.writer, (yield* stored()).writer)
      assert.strictEqual(made.role, "assistant")
      assert.strictEqual(made.segmentKind, "answer")
      assert.strictEqual(yield* watched, second)
      assert.strictEqual(yield* Effect.flatMap(ChatService, (chat) => chat.text), "Sec")
      yield* save("Second")
      assert.strictEqual((yield* stored(second)).text, "Second")
      assert.strictEqual((yield* stored()).text, "First")
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("names it itself if nobody does, each anew", () =>
    Effect.gen(function* () {
      const one = yield* create()
      const two = yield* create({})
      assert.notStrictEqual(one.ref.messageId, two.ref.messageId)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("stores what can be stored of a text that cannot", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* create({ text: "\ud800\0" })).text, "\ufffd\ufffd")
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("stores what the last one lacks, and the end of its words only if it had some", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const chat = yield* ChatService
      yield* unsteady.modify("fail")
      yield* save("First")
      yield* unsteady.modify("steady")
      yield* pass("1 second")
      yield* create({ messageId: second })
      assert.strictEqual((yield* stored()).text, "First")
      assert.isUndefined((yield* stored()).stoppedStreamingAt)
      yield* chat.streamComplete({ prompt: "Go" })
      assert.isUndefined((yield* stored(second)).stoppedStreamingAt)
      yield* create({ messageId: third })
      assert.strictEqual((yield* stored(second)).stoppedStreamingAt, 1000)
    }).pipe(inRun(), Effect.provide(Layer.merge(model([...says("Words"), ends()]), layer)))
  )

  it.effect("completes all messages of the turn once, at its end, and no sooner", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* Effect.gen(function* () {
        yield* create({ messageId: second })
        yield* create({ messageId: third })
        for (const id of [ref.messageId, second, third]) assert.isFalse(yield* isComplete(id))
      }).pipe(inRun())
      assert.deepStrictEqual(
        unsteady.accepted
          .filter(({ change }) => change.setCompletedAt === true)
          .map(({ change }) => change.ref.messageId),
        [ref.messageId, second, third]
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("leaves the earlier ones to the end of the run when the turn is completed", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* Effect.gen(function* () {
        const chat = yield* ChatService
        yield* create({ messageId: second })
        yield* chat.complete(Effect.void)
        assert.isTrue(yield* isComplete(second))
        assert.isFalse(yield* isComplete(ref.messageId))
        // Also a turn that was completed may go on, with a message of its own.
        yield* create({ messageId: third })
      }).pipe(inRun())
      assert.lengthOf(
        unsteady.accepted.filter(({ change }) => change.setCompletedAt === true),
        3
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("goes on after a message with words that is complete", () =>
    Effect.gen(function* () {
      const chat = yield* ChatService
      yield* chat.streamComplete({ prompt: "Go" })
      yield* chat.complete(Effect.void)
      yield* create({ messageId: second })
      assert.strictEqual(yield* watched, second)
    }).pipe(inRun(), Effect.provide(Layer.merge(model([...says("Words"), ends()]), layer)))
  )

  it.effect("keeps watching the earlier messages: a stop of one counts for the turn", () =>
    Effect.gen(function* () {
      yield* create({ messageId: second })
      yield* create({ messageId: third })
      yield* settle
      yield* stop("user", ref.messageId)
      assert.isTrue(yield* isStopped)
    }).pipe(
      inRun(),
      Effect.andThen(outcome),
      Effect.provide(layer),
      Effect.map((end) => {
        assert.strictEqual(end.outcome, "stopped")
      })
    )
  )

  it.effect("has the new message watched: a stop of it counts", () =>
    Effect.gen(function* () {
      yield* create({ messageId: second })
      yield* settle
      yield* stop("user", second)
      assert.isTrue(yield* isStopped)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("makes nothing once the run is cancelled, and says by whom", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      yield* stop("disconnect")
      const error = yield* Effect.flip(create({ messageId: second }))
      assert.strictEqual(error._tag, "AlreadyStopped")
      assert.include(error.message, "disconnect")
      assert.lengthOf(yield* content.find({ chatId: ref.chatId }), 1)
      assert.strictEqual(yield* watched, ref.messageId)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("makes nothing if the stop comes while the last message is stored", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      const unsteady = yield* Unsteady
      yield* unsteady.modify("fail")
      yield* save("First")
      yield* unsteady.modify("hang")
      const creating = yield* Effect.forkChild(Effect.flip(create({ messageId: second })))
      yield* unsteady.asked(2)
      yield* unsteady.modify("steady")
      yield* stop()
      yield* unsteady.release
      assert.strictEqual((yield* Fiber.join(creating))._tag, "AlreadyStopped")
      assert.lengthOf(yield* content.find({ chatId: ref.chatId }), 1)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("completes a message that was made as the stop came", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.create("hang")
      const fiber = yield* start(create({ messageId: second }))
      yield* unsteady.askedToCreate(1)
      yield* stop()
      yield* unsteady.release
      yield* Fiber.join(fiber)
      assert.isTrue(yield* isComplete(second))
      assert.strictEqual((yield* outcome).outcome, "stopped")
    }).pipe(Effect.provide(layer))
  )

  it.effect("is whole: interrupted midway it leaves the new message watched and completed", () =>
    Effect.gen(function* () {
      const repo = yield* MessageRepo
      const unsteady = yield* Unsteady
      const pause = makePause()
      yield* unsteady.create("hang")
      const fiber = yield* start(
        Effect.onInterrupt(create({ messageId: second }), () => pause.here)
      )
      yield* unsteady.askedToCreate(1)
      yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* settle
      yield* unsteady.release
      yield* pause.reached
      const [receipt] = yield* repo.requestStop((yield* stored(second)).ref)
      assert.strictEqual(receipt?._tag, "Requested")
      yield* pause.open
      yield* Fiber.await(fiber)
      assert.isTrue(yield* isComplete(second))
    }).pipe(
      Effect.catchIf(
        (error): error is MessageStoreError => error instanceof MessageStoreError,
        Effect.die
      ),
      Effect.provide(layer)
    )
  )

  it.effect("stays with the message it has if the store refuses the new one", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* reasonOf(create({ messageId: ref.messageId })), "MessageExists")
      assert.strictEqual(yield* watched, ref.messageId)
      yield* save("Still here")
      assert.strictEqual((yield* stored()).text, "Still here")
    }).pipe(
      inRun(),
      Effect.andThen(isComplete(ref.messageId)),
      Effect.provide(layer),
      Effect.map((complete) => assert.isTrue(complete))
    )
  )

  it.effect("loses nothing of its message if that is named again in an outage", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("fail")
      yield* unsteady.create("fail")
      yield* save("Not yet stored")
      assert.strictEqual(
        yield* reasonOf(create({ messageId: ref.messageId })),
        "ContentUnavailable"
      )
      yield* unsteady.modify("steady")
    }).pipe(
      inRun(),
      Effect.andThen(stored()),
      Effect.provide(layer),
      Effect.map(({ text }) => {
        assert.strictEqual(text, "Not yet stored")
      })
    )
  )

  it.effect("stays with the message it has if the store does not answer, and completes both", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.create("loseAnswer")
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* reasonOf(create({ messageId: second })), "ContentUnavailable")
        assert.strictEqual(yield* watched, ref.messageId)
        yield* save("Still here")
      }).pipe(inRun())
      assert.strictEqual((yield* outcome).text, "Still here")
      assert.isTrue(yield* isComplete(ref.messageId))
      assert.isTrue(yield* isComplete(second))
    }).pipe(Effect.provide(layer))
  )

  it.effect("gives a store that does not answer up, and can be asked again", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.create("resist")
      const fiber = yield* start(
        Effect.gen(function* () {
          assert.strictEqual(yield* reasonOf(create({ messageId: second })), "ContentUnavailable")
          yield* unsteady.create("steady")
          yield* create({ messageId: second, text: "Second" })
          yield* save("Second it is")
        })
      )
      yield* unsteady.askedToCreate(1)
      yield* pass("5 seconds")
      yield* Fiber.join(fiber)
      yield* unsteady.release
      yield* settle
      assert.strictEqual((yield* stored(second)).text, "Second it is")
      assert.isTrue(yield* isComplete(second))
      assert.isTrue(yield* isComplete(ref.messageId))
    }).pipe(Effect.provide(layer))
  )

  it.effect("leaves no message open that comes to be when the run is over", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.create("resist")
      const fiber = yield* start(reasonOf(create({ messageId: second })))
      yield* unsteady.askedToCreate(1)
      yield* pass("5 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "ContentUnavailable")
      yield* unsteady.release
      yield* settle
      assert.isTrue(yield* isComplete(second))
    }).pipe(Effect.provide(layer))
  )
})
