/** `ChatService`: its settings, the writing of its message, and how its run ends. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import {
  CancellationWatcher,
  InvalidSetting,
  MessageChange,
  MessageContent,
  MessageRef,
  RunId
} from "effect-cancellation"
import { ChatService, type WritingOptions } from "../src/index.ts"
import { inRun, makePause, outcome, pass, reasonOf, settle, start, stop } from "./chat.fixture.ts"
import { ref, runId, stored, storedRun } from "./support/chat.ts"
import { layer, Unsteady } from "./support/unsteadyContent.ts"

const save = (change: Parameters<ChatService["Service"]["saveAssistantMessage"]>[0]) =>
  Effect.flatMap(ChatService, (chat) => chat.saveAssistantMessage(change))

const modify = (change: Parameters<ChatService["Service"]["modifyAssistantMessage"]>[0]) =>
  Effect.flatMap(ChatService, (chat) => chat.modifyAssistantMessage(change))

describe("the settings of a ChatService", () => {
  const names = ["saveInterval", "writeTimeout", "finalWriteTimeout", "deadline"] as const
  const bad: ReadonlyArray<Duration.Input> = [0, -1, Infinity, NaN, "0 seconds", Duration.infinity]

  it.effect("kill its layer if they cannot work, before a run begins", () =>
    Effect.forEach(names, (name) =>
      Effect.forEach(bad, (value) =>
        Effect.gen(function* () {
          const options: WritingOptions = { [name]: value }
          for (const built of [
            ChatService.layer({ ref, runId, ...options }),
            ChatService.layerWatched(options).pipe(
              Layer.provide(CancellationWatcher.layer({ ref, runId: RunId.make("watched") }))
            )
          ]) {
            const exit = yield* Effect.exit(Effect.scoped(Layer.build(built)))
            const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
            assert.instanceOf(error, InvalidSetting)
            assert.strictEqual(error.option, name)
          }
          yield* settle
          assert.isUndefined(yield* storedRun)
        })
      )
    ).pipe(Effect.provide(layer))
  )

  it.effect("are those of the watcher too", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(inRun({ pollInterval: 0 })(Effect.void))
      assert.instanceOf(Exit.isFailure(exit) && Cause.squash(exit.cause), InvalidSetting)
    }).pipe(Effect.provide(layer))
  )
})

describe("modifyAssistantMessage", () => {
  it.effect("changes what is given, leaves the rest alone, and answers the message as it is", () =>
    Effect.gen(function* () {
      yield* modify({ text: "Text", references: { a: [1] }, segmentKind: "answer" })
      const message = yield* modify({ originalText: "text", debugInfo: null })
      assert.strictEqual(message.text, "Text")
      assert.strictEqual(message.originalText, "text")
      assert.deepStrictEqual(message.references, { a: [1] })
      assert.isNull(message.debugInfo)
      assert.strictEqual(message.segmentKind, "answer")
      assert.isUndefined(message.stoppedStreamingAt)
      assert.isUndefined(message.completedAt)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("leaves alone what is given as undefined, also what is not stored yet", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("fail")
      yield* save({ text: "Not yet stored", segmentKind: "answer" })
      yield* unsteady.modify("steady")
      const message = yield* modify({ text: undefined, segmentKind: undefined, debugInfo: 1 })
      assert.strictEqual(message.text, "Not yet stored")
      assert.strictEqual(message.segmentKind, "answer")
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("sets the times that it is told to set, each once", () =>
    Effect.gen(function* () {
      yield* pass("1 second")
      yield* modify({ setStoppedStreamingAt: true })
      yield* pass("1 second")
      yield* modify({ setStoppedStreamingAt: true, text: "more" })
      yield* pass("1 second")
      const message = yield* modify({ setCompletedAt: true })
      assert.strictEqual(message.stoppedStreamingAt, 1000)
      assert.strictEqual(message.completedAt, 3000)
      assert.strictEqual(yield* reasonOf(modify({ text: "late" })), "AlreadyCompleted")
      assert.strictEqual(yield* reasonOf(save({ text: "late" })), "AlreadyCompleted")
    }).pipe(
      inRun(),
      Effect.andThen(Effect.map(Unsteady, ({ accepted }) => assert.lengthOf(accepted, 3))),
      Effect.andThen(Effect.map(stored(), ({ text }) => assert.strictEqual(text, "more"))),
      Effect.provide(layer)
    )
  )

  it.effect("writes what can be stored of a text that cannot", () =>
    Effect.gen(function* () {
      const message = yield* modify({ text: "a\0b", originalText: "\ud800", segmentKind: "\0" })
      assert.strictEqual(message.text, "a\ufffdb")
      assert.strictEqual(message.originalText, "\ufffd")
      assert.strictEqual(message.segmentKind, "\ufffd")
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("is refused with a reason once another run writes the message", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      yield* content.modify(MessageChange.make({ ref, reopen: true, writer: RunId.make("next") }))
      assert.strictEqual(yield* reasonOf(modify({ text: "late" })), "NotTheWriter")
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("is refused with a reason if there is no message", () =>
    modify({ text: "x" }).pipe(
      Effect.provide(
        ChatService.layer({ ref: MessageRef.of({ chatId: ref.chatId, messageId: "none" }) }).pipe(
          Layer.provide(layer)
        )
      ),
      reasonOf,
      Effect.map((reason) => assert.strictEqual(reason, "MessageNotFound"))
    )
  )

  it.effect("fails in an outage, and what others could not store stays to be stored", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("fail")
      yield* save({ text: "Saved" })
      assert.strictEqual(yield* reasonOf(modify({ originalText: "x" })), "ContentUnavailable")
      yield* unsteady.modify("steady")
    }).pipe(
      inRun(),
      Effect.andThen(stored()),
      Effect.map((message) => {
        assert.strictEqual(message.text, "Saved")
        assert.isUndefined(message.originalText)
      }),
      Effect.provide(layer)
    )
  )

  it.effect(
    "is given up after its limit, by default 5 seconds, also if nothing interrupts it",
    () =>
      Effect.forEach(["hang", "resist"] as const, (mood) =>
        Effect.gen(function* () {
          const unsteady = yield* Unsteady
          yield* unsteady.modify(mood)
          const fiber = yield* start(Effect.exit(modify({ text: "x" })))
          yield* unsteady.modify("steady")
          yield* pass("4999 millis")
          assert.isUndefined(fiber.pollUnsafe())
          yield* pass("1 millis")
          assert.strictEqual(yield* reasonOf(yield* Fiber.join(fiber)), "ContentUnavailable")
          // What lets itself be interrupted was, and does not come late.
          assert.strictEqual(unsteady.interrupted.length, mood === "hang" ? 1 : 0)
          yield* unsteady.release
        }).pipe(Effect.provide(layer))
      )
  )

  it.effect("lets an interrupt wait for a write that resists, but not for ever", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("resist")
      const fiber = yield* start(modify({ text: "x" }), { writeTimeout: "2 seconds" })
      yield* unsteady.asked(1)
      yield* unsteady.modify("steady")
      yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* pass("2 seconds")
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.strictEqual((yield* outcome).outcome, "interrupted")
      assert.isTrue((yield* outcome).completed)
      yield* unsteady.release
    }).pipe(Effect.provide(layer))
  )

  it.effect("writes one at a time, in the order of the calls", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const chat = yield* ChatService
      yield* unsteady.modify({ slow: "1 second" })
      const first = yield* Effect.forkChild(chat.modifyAssistantMessage({ text: "1" }))
      const second = yield* Effect.forkChild(chat.modifyAssistantMessage({ text: "2" }))
      const third = yield* Effect.forkChild(chat.saveAssistantMessage({ segmentKind: "3" }))
      yield* settle
      assert.lengthOf(unsteady.changes, 1)
      yield* pass("3 seconds")
      yield* Fiber.joinAll([first, second, third])
      assert.deepStrictEqual(
        unsteady.accepted.map(({ at, message }) => [at, message.text]),
        [
          [1000, "1"],
          [2000, "2"]
        ]
      )
      assert.strictEqual((yield* stored()).segmentKind, "3")
      assert.strictEqual(yield* chat.text, "2")
      yield* unsteady.modify("steady")
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("does not hide a newer text behind an older one that was slow", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const chat = yield* ChatService
      yield* unsteady.modify({ slow: "1 second" })
      const older = yield* Effect.forkChild(chat.modifyAssistantMessage({ text: "older" }))
      yield* unsteady.asked(1)
      const newer = yield* Effect.forkChild(chat.saveAssistantMessage({ text: "newer" }))
      yield* pass("1 second")
      yield* Fiber.join(older)
      assert.strictEqual(yield* chat.text, "newer")
      yield* pass("1 second")
      yield* Fiber.join(newer)
      assert.strictEqual((yield* stored()).text, "newer")
      yield* unsteady.modify("steady")
    }).pipe(inRun(), Effect.provide(layer))
  )
})

describe("saveAssistantMessage", () => {
  it.effect("stores at once, and shows at once what it could not store", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const chat = yield* ChatService
      yield* chat.saveAssistantMessage({ text: "One" })
      assert.strictEqual((yield* stored()).text, "One")
      yield* unsteady.modify("fail")
      yield* chat.saveAssistantMessage({ text: "Two" })
      assert.strictEqual((yield* stored()).text, "One")
      assert.strictEqual(yield* chat.text, "Two")
      yield* unsteady.modify("steady")
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("says nothing to the store if nothing is given", () =>
    Effect.gen(function* () {
      yield* save({})
      yield* save({ text: undefined })
      assert.lengthOf((yield* Unsteady).changes, 0)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("sends what it could not store with the next write, the newest of each", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("fail")
      yield* save({ text: "One", segmentKind: "kind" })
      yield* save({ text: "Two" })
      yield* unsteady.modify("steady")
      yield* save({ debugInfo: 3 })
      const message = yield* stored()
      assert.deepStrictEqual(
        [message.text, message.segmentKind, message.debugInfo],
        ["Two", "kind", 3]
      )
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("counts as completion if it is told to complete, which the end does not do again", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* save({ text: "Done", setCompletedAt: true }).pipe(inRun())
      assert.lengthOf(unsteady.changes, 1)
      assert.isTrue((yield* outcome).completed)
    }).pipe(Effect.provide(layer))
  )

  it.effect("dies of a value that is none, and loses nothing else for it", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("fail")
      yield* save({ text: "Kept" })
      yield* unsteady.modify("steady")
      const wrong = { nested: Number.NaN } as Schema.Json
      assert.isTrue(Exit.hasDies(yield* Effect.exit(save({ text: "x", references: wrong }))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(modify({ text: "x", references: wrong }))))
      assert.lengthOf(unsteady.accepted, 0)
    }).pipe(
      inRun(),
      Effect.andThen(outcome),
      Effect.map((end) => {
        assert.deepStrictEqual(end, {
          outcome: "completed",
          text: "Kept",
          streamed: false,
          completed: true
        })
      }),
      Effect.provide(layer)
    )
  )

  it.effect("is refused with a reason, but not of a run that is stopped", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      const chat = yield* ChatService
      yield* content.modify(MessageChange.make({ ref, reopen: true, writer: RunId.make("next") }))
      assert.strictEqual(yield* reasonOf(save({ text: "late" })), "NotTheWriter")
      yield* stop()
      assert.isTrue(yield* chat.cancellation.isCancelled)
      yield* save({ text: "later" })
      assert.strictEqual((yield* stored()).text, "")
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("is whole: an interrupt waits for the write", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify({ slow: "1 second" })
      const fiber = yield* start(save({ text: "Whole" }))
      yield* unsteady.modify("steady")
      yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* pass("1 second")
      yield* Fiber.await(fiber)
      assert.strictEqual(unsteady.accepted[0]?.change.text, "Whole")
    }).pipe(Effect.provide(layer))
  )
})

describe("the run of a ChatService", () => {
  it.effect("completes its message once, whatever the program returns", () =>
    Effect.gen(function* () {
      yield* inRun()(Effect.void)
      const unsteady = yield* Unsteady
      assert.deepStrictEqual(
        unsteady.accepted.map(({ change }) => change.setCompletedAt),
        [true]
      )
      assert.deepStrictEqual(yield* outcome, {
        outcome: "completed",
        text: "",
        streamed: false,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("completes its message after a failure, which stays one", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(inRun()(Effect.fail("no")))
      assert.strictEqual(error, "no")
      assert.strictEqual((yield* outcome).outcome, "failed")
      assert.isTrue((yield* outcome).completed)
    }).pipe(Effect.provide(layer))
  )

  it.effect("completes its message before the store hears that it has ended", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify({ slow: "1 second" })
      const fiber = yield* start(Effect.void)
      yield* pass("999 millis")
      assert.isUndefined((yield* storedRun)?.outcome)
      yield* pass("1 millis")
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* storedRun)?.outcome, "completed")
    }).pipe(Effect.provide(layer))
  )

  it.effect("has an end if it is interrupted as it begins", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        Effect.andThen(
          Effect.withFiber((fiber) => Effect.sync(() => fiber.interruptUnsafe())),
          Effect.uninterruptible(
            Effect.scoped(Layer.build(ChatService.layer({ ref, runId }))).pipe(
              Effect.andThen(Effect.interruptible(Effect.void))
            )
          )
        ).pipe(Effect.uninterruptible)
      )
      yield* Fiber.await(fiber)
      assert.isTrue((yield* outcome).completed)
    }).pipe(Effect.provide(layer))
  )

  it.effect("is over before its deadline, which then cancels nothing", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify({ slow: "3 seconds" })
      for (const agent of [
        inRun({ deadline: "2 seconds" })(Effect.void),
        Effect.scoped(
          Layer.build(
            ChatService.layerWatched({ deadline: "2 seconds" }).pipe(
              Layer.provide(CancellationWatcher.layer({ ref, runId }))
            )
          )
        )
      ]) {
        const fiber = yield* Effect.forkChild(Effect.andThen(agent, settle))
        yield* pass("3 seconds")
        yield* Fiber.await(fiber)
        assert.notStrictEqual((yield* outcome).outcome, "interrupted")
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("is cancelled by its deadline also while it does something else", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.never.pipe(
        CancellationWatcher.runWithCancellation({ cancelResult: "cancelled" }),
        (agent) => start(agent, { deadline: "1 minute" })
      )
      yield* pass("1 minute")
      assert.strictEqual(yield* Fiber.join(fiber), "cancelled")
      assert.strictEqual((yield* outcome).outcome, "interrupted")
    }).pipe(Effect.provide(layer))
  )

  it.effect("is the watcher's, if it is watched already", () =>
    Effect.gen(function* () {
      const pause = makePause()
      const fiber = yield* Effect.forkChild(
        Effect.gen(function* () {
          const chat = yield* ChatService
          assert.strictEqual(chat.cancellation, yield* CancellationWatcher)
          yield* chat.saveAssistantMessage({ text: "Watched" })
          return yield* chat.cancellation.runWithCancellation(pause.here)
        }).pipe(
          Effect.provide(
            Layer.provideMerge(
              ChatService.layerWatched(),
              CancellationWatcher.layer({ ref, runId })
            )
          )
        )
      )
      yield* pause.reached
      yield* stop()
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* outcome, {
        outcome: "stopped",
        text: "Watched",
        streamed: false,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("is a new one each time its layer is provided", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      const shared = ChatService.layer({ ref, runId })
      yield* Effect.provide(Effect.asVoid(ChatService), shared)
      assert.strictEqual(
        yield* Effect.provide(reasonOf(modify({ text: "again" })), shared),
        "AlreadyCompleted"
      )
      const [message] = yield* content.find({ chatId: ref.chatId })
      assert.strictEqual(message?.text, "")
    }).pipe(Effect.provide(layer))
  )
})
