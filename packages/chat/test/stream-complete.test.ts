/** `ChatService.streamComplete`: the model's words, into the message, until their end or a stop. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { AiError, LanguageModel, type Response, Tool, Toolkit } from "effect/ai"
import { MessageChange, MessageContent, MessageRepo, RunId } from "effect-cancellation"
import { ChatService } from "../src/index.ts"
import {
  exitOf,
  inRun,
  makePause,
  outcome,
  pass,
  reasonOf,
  settle,
  start,
  stop
} from "./chat.fixture.ts"
import { ref, stored } from "./support/chat.ts"
import { calls, ends, layer as model, says, type Script } from "./support/scriptedModel.ts"
import { layer, Unsteady } from "./support/unsteadyContent.ts"

const speak = Effect.flatMap(ChatService, (chat) => chat.streamComplete({ prompt: "Go" }))

const asked = (...scripts: ReadonlyArray<Script>) => Effect.provide(model(...scripts))

/** Words, with something to wait for after each. */
const word = (delta: string): Response.StreamPartEncoded => ({
  type: "text-delta",
  id: "text",
  delta
})

describe("streamComplete, left alone", () => {
  it.effect("answers all that was said, and stores it without completing the message", () =>
    Effect.gen(function* () {
      const said = yield* speak.pipe(
        Effect.tap(() =>
          Effect.map(stored(), ({ completedAt, stoppedStreamingAt, text }) => {
            assert.strictEqual(text, "One two")
            assert.isUndefined(completedAt)
            assert.isUndefined(stoppedStreamingAt)
          })
        ),
        inRun(),
        asked([...says("One", " two"), ends("stop", { input: 3, output: 2 })])
      )
      assert.strictEqual(said.text, "One two")
      assert.strictEqual(said.finishReason, "stop")
      assert.strictEqual(said.usage?.inputTokens.total, 3)
      assert.isFalse(said.stoppedByUser)
      assert.isUndefined(said.cancellation)
      assert.deepStrictEqual(
        said.parts.map(({ type }) => type),
        ["text-start", "text-delta", "text-delta", "text-end", "finish"]
      )
      assert.deepStrictEqual(yield* outcome, {
        outcome: "completed",
        text: "One two",
        streamed: true,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("stores what is new once a second, nothing when nothing is, and the last at once", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const fiber = yield* start(speak).pipe(
        asked([
          word("a"),
          Effect.sleep("400 millis"),
          word("b"),
          Effect.sleep("800 millis"),
          word("c"),
          Effect.sleep("3 seconds"),
          word(""),
          Effect.sleep("2 seconds"),
          word("d"),
          ends()
        ])
      )
      yield* pass("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        unsteady.accepted.map(({ at, message }) => [at, message.text]),
        [
          [1000, "ab"],
          [2000, "abc"],
          [6200, "abcd"],
          [6200, "abcd"]
        ]
      )
      assert.deepStrictEqual(
        unsteady.changes.map(({ text }) => text),
        ["ab", "abc", "abcd", undefined]
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("stores as often as it is told to", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const fiber = yield* start(speak, { saveInterval: "100 millis" }).pipe(
        asked([word("a"), Effect.sleep("250 millis"), word("b"), Effect.sleep("1 second"), ends()])
      )
      yield* pass("2 seconds")
      yield* Fiber.join(fiber)
      const textAt = unsteady.accepted.flatMap(({ at, change }) =>
        change.text === undefined ? [] : [[at, change.text]]
      )
      assert.deepStrictEqual(textAt, [
        [100, "a"],
        [300, "ab"]
      ])
    }).pipe(Effect.provide(layer))
  )

  it.effect("says nothing to the store of an answer without a word", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const said = yield* speak.pipe(
        Effect.tap(() => Effect.sync(() => assert.deepStrictEqual(unsteady.changes, []))),
        inRun(),
        asked([word(""), ends()])
      )
      assert.strictEqual(said.text, "")
      assert.deepStrictEqual(yield* outcome, {
        outcome: "completed",
        text: "",
        streamed: false,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("puts an answer after what the message has, and shows the whole at each word", () =>
    Effect.gen(function* () {
      const shown: Array<string> = []
      const onText = (text: string) => Effect.sync(() => void shown.push(text))
      const said = yield* Effect.gen(function* () {
        const chat = yield* ChatService
        yield* chat.streamComplete({ prompt: "Go", onText })
        yield* chat.streamComplete({ prompt: "Go on", onText })
        const last = yield* chat.streamComplete({ prompt: "And", onText })
        assert.strictEqual(yield* chat.text, "First.\n\nSecond.")
        return last
      }).pipe(
        inRun(),
        asked([...says("First."), ends()], [...says("Second", "."), ends()], [ends()])
      )
      assert.strictEqual(said.text, "")
      assert.deepStrictEqual(shown, ["First.", "First.\n\nSecond", "First.\n\nSecond."])
      assert.strictEqual((yield* stored()).text, "First.\n\nSecond.")
    }).pipe(Effect.provide(layer))
  )

  it.effect("keeps a character whose halves come apart, and no half and no NUL", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const fiber = yield* start(speak).pipe(
        asked([word("x\ud83d"), Effect.sleep("1500 millis"), word("\ude00\0\udc00"), ends()])
      )
      yield* pass("2 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(unsteady.accepted[0]?.message.text, "x\ufffd")
      assert.strictEqual((yield* stored()).text, "x\u{1f600}\ufffd\ufffd")
    }).pipe(Effect.provide(layer))
  )

  it.effect("answers the wishes for tools as they came, and runs none", () =>
    Effect.gen(function* () {
      const Look = Tool.make("Look", {
        parameters: Schema.Struct({ at: Schema.String }),
        success: Schema.String
      })
      const said = yield* Effect.flatMap(ChatService, (chat) =>
        chat.streamComplete({ prompt: "Go", toolkit: Toolkit.make(Look) })
      ).pipe(inRun(), asked([...calls("Look", { at: 7 }), ...calls("Nothing"), ends("tool-calls")]))
      assert.deepStrictEqual(said.toolCalls, [
        { id: "call-Look", name: "Look", params: { at: 7 } },
        { id: "call-Nothing", name: "Nothing", params: {} }
      ])
      assert.strictEqual(said.finishReason, "tool-calls")
    }).pipe(Effect.provide(layer))
  )
})

describe("streamComplete, stopped", () => {
  it.effect("does not ask the model once the run is cancelled", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const said = yield* Effect.gen(function* () {
        const chat = yield* ChatService
        yield* stop()
        assert.isTrue(yield* chat.cancellation.check)
        return yield* speak
      }).pipe(inRun(), asked([Effect.die("asked")]))
      assert.isTrue(said.stoppedByUser)
      assert.strictEqual(said.text, "")
      assert.deepStrictEqual(said.parts, [])
      assert.deepStrictEqual(
        unsteady.changes.map(({ setCompletedAt }) => setCompletedAt),
        [true]
      )
      assert.deepStrictEqual(yield* outcome, {
        outcome: "stopped",
        text: "",
        streamed: false,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("ends with what there is, and leaves the model at once", () =>
    Effect.gen(function* () {
      const pause = makePause()
      let closed = false
      const fiber = yield* start(speak).pipe(
        asked([
          ...says("Half of"),
          Effect.onInterrupt(pause.here, () => Effect.sync(() => void (closed = true))),
          ...says(" it"),
          ends("stop", { input: 1, output: 1 })
        ])
      )
      yield* pause.reached
      yield* stop()
      assert.isTrue(closed)
      const said = yield* Fiber.join(fiber)
      assert.strictEqual(said.text, "Half of")
      assert.isTrue(said.stoppedByUser)
      assert.strictEqual(said.cancellation?.request.reason, "user")
      assert.isUndefined(said.usage)
      assert.isUndefined(said.finishReason)
      assert.deepStrictEqual(yield* outcome, {
        outcome: "stopped",
        text: "Half of",
        streamed: true,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect(
    "sets stoppedStreamingAt at the stop and leaves completedAt to the end of the run",
    () =>
      Effect.gen(function* () {
        const pause = makePause()
        const fiber = yield* Effect.andThen(speak, Effect.sleep("1 minute")).pipe(
          start,
          asked([...says("Half"), pause.here])
        )
        yield* pause.reached
        yield* stop()
        const { completedAt, stoppedStreamingAt } = yield* stored()
        assert.strictEqual(stoppedStreamingAt, 0)
        assert.isUndefined(completedAt)
        yield* pass("1 minute")
        yield* Fiber.join(fiber)
        const { completedAt: then, stoppedStreamingAt: still } = yield* stored()
        assert.strictEqual(still, 0)
        assert.strictEqual(then, 60_000)
      }).pipe(Effect.provide(layer))
  )

  it.effect("tells the tokens if the provider told them before the stop", () =>
    Effect.gen(function* () {
      const pause = makePause()
      const fiber = yield* start(speak).pipe(
        asked([...says("All"), ends("stop", { input: 5, output: 4 }), pause.here])
      )
      yield* pause.reached
      yield* stop()
      const said = yield* Fiber.join(fiber)
      assert.isTrue(said.stoppedByUser)
      assert.strictEqual(said.usage?.outputTokens.total, 4)
    }).pipe(Effect.provide(layer))
  )

  it.effect("says that the user stopped it only if it was the user", () =>
    // One run each: the next one would find itself stopped.
    Effect.forEach(["disconnect", "parent", "other:limits"] as const, (reason) =>
      Effect.gen(function* () {
        const pause = makePause()
        const fiber = yield* start(speak).pipe(asked([...says("x"), pause.here]))
        yield* pause.reached
        yield* stop(reason)
        const said = yield* Fiber.join(fiber)
        assert.isFalse(said.stoppedByUser)
        assert.strictEqual(said.cancellation?.request.reason, reason)
        assert.strictEqual((yield* outcome).outcome, "stopped")
      }).pipe(Effect.provide(layer))
    )
  )

  it.effect("interrupts whoever is told of the text and does not come back", () =>
    Effect.gen(function* () {
      const pause = makePause()
      const fiber = yield* Effect.flatMap(ChatService, (chat) =>
        chat.streamComplete({ prompt: "Go", onText: () => pause.here })
      ).pipe(start, asked([...says("One", " two"), ends()]))
      yield* pause.reached
      yield* stop()
      const said = yield* Fiber.join(fiber)
      assert.strictEqual(said.text, "One")
      assert.isTrue(said.stoppedByUser)
      assert.strictEqual((yield* outcome).text, "One")
    }).pipe(Effect.provide(layer))
  )

  it.effect("passes on nothing that comes after the stop", () =>
    Effect.gen(function* () {
      const shown: Array<string> = []
      const said = yield* Effect.flatMap(ChatService, (chat) =>
        chat.streamComplete({
          prompt: "Go",
          onText: (text) =>
            Effect.suspend(() => {
              shown.push(text)
              return Effect.uninterruptible(chat.cancellation.cancel("parent"))
            })
        })
      ).pipe(inRun(), asked([...says("One", " two"), ends()]))
      assert.deepStrictEqual(shown, ["One"])
      assert.strictEqual(said.text, "One")
    }).pipe(Effect.provide(layer))
  )

  it.effect(
    "does not end before a write that hangs, but after its limit, and stores all later",
    () =>
      Effect.gen(function* () {
        const unsteady = yield* Unsteady
        const pause = makePause()
        yield* unsteady.modify("hang")
        const fiber = yield* start(speak, { writeTimeout: "3 seconds" }).pipe(
          asked([word("One"), Effect.sleep("1500 millis"), word(" two"), pause.here])
        )
        yield* pass("1500 millis")
        yield* pause.reached
        yield* stop()
        assert.isUndefined(fiber.pollUnsafe())
        yield* unsteady.modify("steady")
        yield* pass("2500 millis")
        assert.isTrue((yield* Fiber.join(fiber)).stoppedByUser)
        assert.deepStrictEqual(yield* outcome, {
          outcome: "stopped",
          text: "One two",
          streamed: true,
          completed: true
        })
      }).pipe(Effect.provide(layer))
  )

  it.effect("is no failure if the message has been deleted or begun anew by then", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      const pause = makePause()
      const fiber = yield* start(speak).pipe(asked([...says("Old"), pause.here]))
      yield* pause.reached
      yield* content.modify(
        MessageChange.make({ ref, reopen: true, writer: RunId.make("next"), text: "New" })
      )
      yield* stop()
      const said = yield* Fiber.join(fiber)
      assert.isTrue(said.stoppedByUser)
      assert.strictEqual(said.text, "Old")
      assert.deepStrictEqual(yield* outcome, {
        outcome: "stopped",
        text: "New",
        streamed: false,
        completed: false
      })
    }).pipe(Effect.provide(layer))
  )
})

describe("streamComplete, when time or the process ends", () => {
  it.effect("ends at the deadline with what there is, which nobody calls a stop of the user", () =>
    Effect.gen(function* () {
      const fiber = yield* start(speak, { deadline: "10 seconds" }).pipe(
        asked([...says("As far as"), Effect.never])
      )
      yield* pass("9999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* pass("1 millis")
      const said = yield* Fiber.join(fiber)
      assert.isFalse(said.stoppedByUser)
      assert.strictEqual(said.cancellation?.request.reason, "deadline")
      assert.deepStrictEqual(yield* outcome, {
        outcome: "interrupted",
        text: "As far as",
        streamed: true,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("ends at a drain with what there is, and the drain waits for the last write", () =>
    Effect.gen(function* () {
      const repo = yield* MessageRepo
      const unsteady = yield* Unsteady
      const fiber = yield* start(speak).pipe(asked([...says("As far as"), Effect.never]))
      yield* unsteady.modify({ slow: "2 seconds" })
      const drained = yield* Effect.forkChild(repo.drain({ timeout: "1 second" }))
      // The write under way at the shutdown, the one of the stop, and the last.
      yield* pass("6999 millis")
      assert.isUndefined(drained.pollUnsafe())
      yield* pass("1 millis")
      yield* Fiber.join(drained)
      const said = yield* Fiber.join(fiber)
      assert.isFalse(said.stoppedByUser)
      assert.strictEqual(said.cancellation?.request.reason, "shutdown")
      assert.deepStrictEqual(yield* outcome, {
        outcome: "interrupted",
        text: "As far as",
        streamed: true,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("stays interrupted by a time-out around it, and keeps the text", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.timeoutOption(speak, "700 millis").pipe(
        Effect.tap(() => Effect.map(stored(), ({ text }) => assert.strictEqual(text, "Kept"))),
        start,
        asked([...says("Kept"), Effect.never])
      )
      yield* pass("700 millis")
      assert.isTrue(Option.isNone(yield* Fiber.join(fiber)))
      assert.deepStrictEqual(yield* outcome, {
        outcome: "completed",
        text: "Kept",
        streamed: true,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("stays interrupted by an interrupt of its fiber, and keeps the text", () =>
    Effect.gen(function* () {
      const pause = makePause()
      const fiber = yield* start(speak).pipe(asked([...says("Kept"), pause.here]))
      yield* pause.reached
      yield* Fiber.interrupt(fiber)
      const exit = yield* exitOf(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.deepStrictEqual(yield* outcome, {
        outcome: "interrupted",
        text: "Kept",
        streamed: true,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )
})

describe("streamComplete, of a model that fails", () => {
  const failure = AiError.make({
    module: "test",
    method: "streamText",
    reason: new AiError.UnknownError({ description: "no more" })
  })
  const brokenAfter = (end: Stream.Stream<never, AiError.AiError>) =>
    Effect.provideServiceEffect(
      LanguageModel.LanguageModel,
      LanguageModel.make({
        generateText: () => Effect.die("only streams"),
        streamText: () => Stream.concat(Stream.make(word("Half")), end)
      })
    )
  const kept = {
    outcome: "failed" as const,
    text: "Half",
    streamed: true,
    completed: true
  }

  it.effect("fails as it does, and keeps the text", () =>
    Effect.gen(function* () {
      const error = yield* speak.pipe(inRun(), brokenAfter(Stream.fail(failure)), Effect.flip)
      assert.strictEqual(error, failure)
      assert.deepStrictEqual(yield* outcome, kept)
    }).pipe(Effect.provide(layer))
  )

  it.effect("dies as it does, and keeps the text", () =>
    Effect.gen(function* () {
      const exit = yield* speak.pipe(inRun(), brokenAfter(Stream.die("bug")), Effect.exit)
      assert.deepStrictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "bug")
      assert.deepStrictEqual(yield* outcome, kept)
    }).pipe(Effect.provide(layer))
  )

  it.effect("fails at a part that is an error, of whatever kind it is, and keeps the text", () => {
    const circular: Record<string, unknown> = { big: 1n }
    circular["self"] = circular
    return Effect.forEach(
      [
        { error: "overloaded", said: "overloaded" },
        { error: new Error("overloaded"), said: "overloaded" },
        { error: circular, said: "it did not say why" },
        { error: undefined, said: "it did not say why" },
        { error: { message: "overloaded", code: "busy" }, said: "overloaded [code: busy]" },
        { error: failure, said: "no more" }
      ],
      ({ error, said }) =>
        Effect.gen(function* () {
          const failed = yield* speak.pipe(
            inRun(),
            asked([word("Half"), { type: "error", error }, word(" more"), ends()]),
            Effect.flip
          )
          assert.isTrue(AiError.isAiError(failed))
          assert.include(failed.message, said)
          assert.deepStrictEqual(yield* outcome, kept)
        }).pipe(Effect.provide(layer))
    )
  })

  it.effect("repeats nothing of such a part but its words, and no key of these", () =>
    Effect.forEach(
      [
        {
          message: "refused sk-hunter2, see https://bob:hunter2@proxy.local?key=hunter2",
          headers: { authorization: "Bearer hunter2" },
          body: "the prompt"
        },
        Object.assign(new Error("key = hunter2"), { requestBodyValues: "the prompt" }),
        { error: { body: "the prompt", key: "hunter2" }, code: "token=hunter2" },
        "Authorization: Bearer hunter2"
      ],
      (error) =>
        Effect.gen(function* () {
          const failed = yield* speak.pipe(
            inRun(),
            asked([word("Half"), { type: "error", error }]),
            Effect.flip
          )
          const all = `${failed.message} ${JSON.stringify(failed)} ${Cause.pretty(Cause.fail(failed))}`
          assert.include(all, "The provider broke its answer off")
          assert.notInclude(all, "hunter2")
          assert.notInclude(all, "the prompt")
        }).pipe(Effect.provide(layer))
    )
  )

  it.effect("is stopped all the same if it fails at the stop", () =>
    Effect.gen(function* () {
      const pause = makePause()
      const fiber = yield* start(speak).pipe(
        brokenAfter(
          Stream.concat(
            Stream.drain(
              Stream.fromEffect(
                Effect.ignore(Effect.onInterrupt(pause.here, () => Effect.die("late")))
              )
            ),
            Stream.fail(failure)
          )
        )
      )
      yield* pause.reached
      yield* stop()
      assert.isTrue((yield* Fiber.join(fiber)).stoppedByUser)
      assert.deepStrictEqual(yield* outcome, { ...kept, outcome: "stopped" })
    }).pipe(Effect.provide(layer))
  )
})

describe("streamComplete, of a message that is not to be written any more", () => {
  const spoiltBy = <E>(spoil: Effect.Effect<unknown, E, MessageContent | Unsteady>) =>
    Effect.gen(function* () {
      const pause = makePause()
      let closed = false
      const fiber = yield* start(Effect.exit(speak)).pipe(
        asked([
          word("One"),
          pause.here,
          word(" two"),
          Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (closed = true)))
        ])
      )
      yield* pause.reached
      yield* spoil
      yield* pause.open
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isTrue(closed)
      const exit = yield* Fiber.join(fiber)
      return yield* reasonOf(exit)
    })

  it.effect("ends at the next write if it is complete", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      const complete = content.modify(
        MessageChange.make({ ref, writer: RunId.make("run"), setCompletedAt: true, text: "End" })
      )
      assert.strictEqual(yield* spoiltBy(complete), "AlreadyCompleted")
      assert.strictEqual((yield* stored()).text, "End")
    }).pipe(Effect.provide(layer))
  )

  it.effect("ends at the next write if another run writes it", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      const takeOver = content.modify(
        MessageChange.make({ ref, writer: RunId.make("next"), reopen: true })
      )
      assert.strictEqual(yield* spoiltBy(takeOver), "NotTheWriter")
      assert.deepStrictEqual(yield* outcome, {
        outcome: "completed",
        text: "",
        streamed: false,
        completed: false
      })
    }).pipe(Effect.provide(layer))
  )
})
