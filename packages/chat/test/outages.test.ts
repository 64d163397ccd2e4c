/** A store of texts that fails, hangs, answers late or loses its answers: what becomes of a turn's text. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import {
  AlreadyCompleted,
  MessageChange,
  MessageContent,
  MessageContentError,
  MessageId,
  UnstorableText
} from "effect-cancellation"
import { ChatService } from "../src/index.ts"
import {
  inRun,
  makePause,
  outcome,
  pass,
  reasonOf,
  settle,
  start,
  stop,
  withLines
} from "./chat.fixture.ts"
import { ref, runId, stored } from "./support/chat.ts"
import { ends, layer as model, says, type Script } from "./support/scriptedModel.ts"
import { layer, type Mood, Unsteady } from "./support/unsteadyContent.ts"

const speak = Effect.flatMap(ChatService, (chat) => chat.streamComplete({ prompt: "Go" }))

const asked = (...scripts: ReadonlyArray<Script>) => Effect.provide(model(...scripts))

const save = (text: string) =>
  Effect.flatMap(ChatService, (chat) => chat.saveAssistantMessage({ text }))

const completions = Effect.map(
  Unsteady,
  ({ accepted }) => accepted.filter(({ change }) => change.setCompletedAt === true).length
)

const word = (delta: string) => ({ type: "text-delta", id: "text", delta }) as const

describe("an outage of the texts during the turn", () => {
  const moods: ReadonlyArray<Mood> = ["fail", "hang", "resist", "loseAnswer"]

  it.effect("does not hold up the model, and costs no word, whatever its kind", () =>
    Effect.forEach(moods, (mood) =>
      withLines((lines) =>
        Effect.gen(function* () {
          const unsteady = yield* Unsteady
          const shown: Array<string> = []
          yield* unsteady.modify(mood)
          const fiber = yield* Effect.flatMap(ChatService, (chat) =>
            chat.streamComplete({
              prompt: "Go",
              onText: (text) => Effect.sync(() => void shown.push(text))
            })
          ).pipe(
            start,
            asked([
              word("a"),
              Effect.sleep("20 seconds"),
              word("b"),
              Effect.sleep("20 seconds"),
              ...says("c"),
              ends()
            ])
          )
          yield* pass("20 seconds")
          assert.strictEqual(shown.at(-1), "ab")
          yield* unsteady.modify("steady")
          yield* unsteady.release
          yield* pass("26 seconds")
          assert.strictEqual((yield* Fiber.join(fiber)).text, "abc")
          assert.deepStrictEqual(yield* outcome, {
            outcome: "completed",
            text: "abc",
            streamed: true,
            completed: true
          })
          const about = lines.filter((line) => line.includes("Texts are"))
          assert.lengthOf(about, 2)
          assert.match(about[0] ?? "", /^Warn: Texts are not saved: .* Trying again$/)
          assert.strictEqual(about[1], "Info: Texts are saved again")
        }).pipe(Effect.provide(layer))
      )
    )
  )

  it.effect("is told anew each time", () =>
    withLines((lines) =>
      Effect.gen(function* () {
        const unsteady = yield* Unsteady
        for (const text of ["1", "2"]) {
          yield* unsteady.modify("fail")
          yield* save(text)
          yield* save(`${text}!`)
          yield* unsteady.modify("steady")
          yield* save(`${text}!!`)
        }
        assert.lengthOf(
          lines.filter((line) => line.startsWith("Warn: Texts are not saved")),
          2
        )
      }).pipe(inRun(), Effect.provide(layer))
    )
  )

  it.effect("sends the newer of two if the write of the older failed meanwhile", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("hang")
      const fiber = yield* start(
        Effect.all([save("Older"), Effect.andThen(unsteady.asked(1), save("Newer"))], {
          concurrency: 2
        })
      )
      yield* unsteady.modify("steady")
      yield* pass("5 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        unsteady.accepted.flatMap(({ change }) => change.text ?? []),
        ["Newer", "Newer"]
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("lets a write that comes late win only until the end", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const pause = makePause()
      yield* unsteady.modify("resist")
      const fiber = yield* start(
        Effect.gen(function* () {
          yield* save("Old")
          yield* unsteady.modify("steady")
          yield* save("Newer")
          yield* pause.here
        })
      )
      yield* pass("5 seconds")
      yield* pause.reached
      assert.strictEqual((yield* stored()).text, "Newer")
      yield* unsteady.release
      yield* settle
      assert.strictEqual((yield* stored()).text, "Old")
      yield* pause.open
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* outcome, {
        outcome: "completed",
        text: "Newer",
        streamed: false,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("lets a write that comes after the end not win at all", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("resist")
      const fiber = yield* start(
        Effect.andThen(save("Old"), Effect.andThen(unsteady.modify("steady"), save("Newer")))
      )
      yield* pass("5 seconds")
      yield* Fiber.join(fiber)
      yield* unsteady.release
      yield* settle
      assert.strictEqual((yield* stored()).text, "Newer")
      assert.strictEqual(yield* completions, 1)
    }).pipe(Effect.provide(layer))
  )

  it.effect("writes no text again whose storing nobody doubts", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* save("Once").pipe(inRun())
      assert.deepStrictEqual(
        unsteady.changes.map(({ text }) => text),
        ["Once", undefined]
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("leaves alone at the end what this run never wrote", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const content = yield* MessageContent
      yield* content.modify(MessageChange.make({ ref, writer: runId, text: "From before" }))
      yield* unsteady.modify("loseAnswer")
      yield* Effect.gen(function* () {
        const chat = yield* ChatService
        yield* chat.saveAssistantMessage({ segmentKind: "answer" })
        yield* unsteady.modify("steady")
      }).pipe(inRun())
      assert.strictEqual((yield* stored()).text, "From before")
      assert.strictEqual((yield* stored()).segmentKind, "answer")
    }).pipe(Effect.provide(layer))
  )

  it.effect("may be an interrupt within the store, which interrupts nobody else", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      const broken = MessageContent.of({ ...content, modify: () => Effect.interrupt })
      const fiber = yield* start(
        Effect.flatMap(ChatService, (chat) =>
          Effect.andThen(
            chat.saveAssistantMessage({ text: "x" }),
            reasonOf(chat.modifyAssistantMessage({ text: "y" }))
          )
        ),
        { finalWriteTimeout: "1 second" }
      ).pipe(Effect.provideService(MessageContent, broken))
      yield* pass("2 seconds")
      const exit = yield* Fiber.await(fiber)
      // The end is lost, and the run fails of that, not of an interrupt.
      assert.isTrue(Exit.hasDies(exit))
      assert.strictEqual((yield* outcome).outcome, "failed")
    }).pipe(Effect.provide(layer))
  )
})

describe("an outage of the texts at a stop", () => {
  const moods: ReadonlyArray<Mood> = ["hang", "resist"]

  it.effect("holds the agent up for one writeTimeout, and the end of the run has it all", () =>
    Effect.forEach(moods, (mood) =>
      // Before the stop the words are written, or not yet.
      Effect.forEach(["1 second", "900 millis"] as const, (before) =>
        Effect.gen(function* () {
          const unsteady = yield* Unsteady
          const pause = makePause()
          const answered = makePause()
          yield* unsteady.modify(mood)
          const fiber = yield* Effect.gen(function* () {
            const chat = yield* ChatService
            const { text } = yield* chat.streamComplete({ prompt: "Go" })
            yield* chat.saveAssistantMessage({ debugInfo: { text } })
            yield* chat.saveAssistantMessage({ references: [1] })
            yield* answered.here
          }).pipe(start, asked([word("Half"), pause.here]))
          yield* pause.reached
          yield* pass(before)
          assert.lengthOf(unsteady.changes, before === "1 second" ? 1 : 0)
          yield* stop()
          yield* pass("4900 millis")
          assert.lengthOf(unsteady.changes, 1)
          yield* pass("100 millis")
          yield* answered.reached
          assert.lengthOf(unsteady.changes, 1)
          yield* unsteady.modify("steady")
          yield* answered.open
          yield* Fiber.join(fiber)
          const { debugInfo, references } = yield* stored()
          assert.deepStrictEqual(
            { debugInfo, references },
            { debugInfo: { text: "Half" }, references: [1] }
          )
          assert.deepStrictEqual(yield* outcome, {
            outcome: "stopped",
            text: "Half",
            streamed: true,
            completed: true
          })
          yield* unsteady.release
        }).pipe(Effect.provide(layer))
      )
    )
  )

  it.effect("is over with the next write that is done, and then words are saved at once", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const pause = makePause()
      const fiber = yield* start(
        Effect.gen(function* () {
          const chat = yield* ChatService
          yield* pause.here
          yield* unsteady.modify("fail")
          yield* save("a")
          yield* save("ab")
          assert.lengthOf(unsteady.changes, 1)
          yield* unsteady.modify("steady")
          yield* chat.modifyAssistantMessage({ debugInfo: 1 })
          assert.strictEqual((yield* stored()).text, "ab")
          yield* save("abc")
          assert.strictEqual((yield* stored()).text, "abc")
        })
      )
      yield* pause.reached
      yield* stop()
      yield* pause.open
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(layer))
  )
})

describe("an outage of the texts at the end of the run", () => {
  it.effect("is waited for, and the run is over when the last write is done", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("fail")
      const fiber = yield* start(save("All"))
      yield* pass("29 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      assert.isUndefined((yield* outcome).outcome)
      yield* unsteady.modify("steady")
      yield* pass("200 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* outcome, {
        outcome: "completed",
        text: "All",
        streamed: false,
        completed: true
      })
      assert.strictEqual(yield* completions, 1)
    }).pipe(Effect.provide(layer))
  )

  it.effect("loses the text after finalWriteTimeout, says so once, and the run has failed", () =>
    withLines((lines) =>
      Effect.gen(function* () {
        const unsteady = yield* Unsteady
        yield* unsteady.modify("fail")
        const fiber = yield* start(save("Lost"), { finalWriteTimeout: "3 seconds" })
        yield* pass("2900 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* pass("500 millis")
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.strictEqual((yield* outcome).outcome, "failed")
        const errors = lines.filter((line) => line.startsWith("Error"))
        assert.lengthOf(errors, 1)
        assert.include(
          errors[0] ?? "",
          "The end of message message could not be stored (4 characters"
        )
      }).pipe(Effect.provide(layer))
    )
  )

  it.effect("costs a stopped run its text after that time, and it dies too", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const pause = makePause()
      yield* unsteady.modify("fail")
      const fiber = yield* start(speak, { finalWriteTimeout: "1 second" }).pipe(
        asked([...says("Lost"), pause.here])
      )
      yield* pause.reached
      yield* stop()
      yield* pass("2 seconds")
      assert.isTrue(Exit.hasDies(yield* Fiber.await(fiber)))
      // The run was stopped, whatever became of its text.
      assert.strictEqual((yield* outcome).outcome, "stopped")
    }).pipe(Effect.provide(layer))
  )

  it.effect("is given up in bounded time by a store that never answers and resists", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("resist")
      const fiber = yield* start(Effect.void, {
        writeTimeout: "2 seconds",
        finalWriteTimeout: "3 seconds"
      })
      yield* pass("6600 millis")
      assert.isTrue(Exit.hasDies(yield* Fiber.await(fiber)))
      assert.strictEqual((yield* outcome).outcome, "failed")
      yield* unsteady.release
    }).pipe(Effect.provide(layer))
  )

  it.effect("completes once if only the answers are lost, and says nothing of it", () =>
    withLines((lines) =>
      Effect.gen(function* () {
        const unsteady = yield* Unsteady
        yield* unsteady.modify("loseAnswer")
        const fiber = yield* start(save("All"))
        yield* pass("200 millis")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(yield* outcome, {
          outcome: "completed",
          text: "All",
          streamed: false,
          completed: true
        })
        assert.strictEqual(yield* completions, 1)
        assert.isFalse(lines.some((line) => line.includes("is not stored")))
      }).pipe(Effect.provide(layer))
    )
  )

  it.effect("is borne by all messages of the turn at the same time", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const ids = ["second", "third", "fourth"].map((id) => MessageId.make(id))
      const fiber = yield* start(
        Effect.gen(function* () {
          const chat = yield* ChatService
          for (const messageId of ids) yield* chat.createAssistantMessage({ messageId })
          yield* unsteady.modify("hang")
        }),
        { writeTimeout: "2 seconds", finalWriteTimeout: "10 seconds" }
      )
      yield* pass("8 seconds")
      yield* unsteady.modify("steady")
      yield* pass("2 seconds")
      yield* pass("200 millis")
      yield* Fiber.join(fiber)
      for (const id of [ref.messageId, ...ids]) assert.isDefined((yield* stored(id)).completedAt)
      assert.strictEqual(yield* completions, 4)
    }).pipe(Effect.provide(layer))
  )

  it.effect("is over for all messages of the turn in the time of one", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const fiber = yield* start(
        Effect.gen(function* () {
          const chat = yield* ChatService
          for (const id of ["second", "third", "fourth"]) {
            yield* chat.createAssistantMessage({ messageId: MessageId.make(id) })
          }
          yield* unsteady.modify("fail")
        }),
        { finalWriteTimeout: "3 seconds" }
      )
      yield* pass("3400 millis")
      assert.isTrue(Exit.hasDies(yield* Fiber.await(fiber)))
    }).pipe(Effect.provide(layer))
  )

  it.effect("of one message of the turn leaves the ends of the others alone", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const content = yield* MessageContent
      const second = MessageId.make("second")
      const failing = MessageContent.of({
        ...content,
        modify: (change) =>
          change.ref.messageId === ref.messageId ? Effect.die("bug") : content.modify(change)
      })
      const exit = yield* Effect.flatMap(ChatService, (chat) =>
        chat.createAssistantMessage({ messageId: second })
      ).pipe(inRun(), Effect.provideService(MessageContent, failing), Effect.exit)
      assert.isTrue(Exit.hasDies(exit))
      assert.isDefined((yield* stored(second)).completedAt)
      assert.strictEqual((yield* outcome).outcome, "failed")
      assert.lengthOf(unsteady.accepted, 1)
    }).pipe(Effect.provide(layer))
  )
})

describe("a store of texts that says no", () => {
  it.effect("to a text leaves the message without it, but complete, and the run has failed", () =>
    withLines((lines) =>
      Effect.gen(function* () {
        const content = yield* MessageContent
        const picky = MessageContent.of({
          ...content,
          modify: (change) => (change.text === undefined ? content.modify(change) : refuseText)
        })
        const exit = yield* save("Refused").pipe(
          inRun(),
          Effect.provideService(MessageContent, picky),
          Effect.exit
        )
        assert.isTrue(Exit.isFailure(exit) && Cause.hasFails(exit.cause))
        assert.deepStrictEqual(yield* outcome, {
          outcome: "failed",
          text: "",
          streamed: false,
          completed: true
        })
        assert.lengthOf(
          lines.filter((line) => line.startsWith("Error")),
          1
        )
      }).pipe(Effect.provide(layer))
    )
  )

  it.effect("does not hide why the program failed before", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("die")
      assert.strictEqual(yield* Effect.flip(inRun()(Effect.fail("before"))), "before")
      assert.strictEqual((yield* outcome).outcome, "failed")
    }).pipe(Effect.provide(layer))
  )

  it.effect("at the end, because the message is another's, is only told", () =>
    withLines((lines) =>
      Effect.gen(function* () {
        const unsteady = yield* Unsteady
        yield* unsteady.modify({
          refuse: new AlreadyCompleted({ messageId: ref.messageId, completedAt: 1 })
        })
        yield* inRun()(Effect.void)
        assert.strictEqual((yield* outcome).outcome, "completed")
        assert.deepStrictEqual(
          lines.filter((line) => line.includes("is not stored")),
          [
            "Info: The rest of message message is not stored: Message message is complete; nothing is written after that."
          ]
        )
      }).pipe(Effect.provide(layer))
    )
  )

  it.effect("dying of a bug of its own, is the bug of the run, and the text is tried again", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("die")
      const exit = yield* Effect.ensuring(save("Kept"), unsteady.modify("steady")).pipe(
        inRun(),
        Effect.exit
      )
      assert.isTrue(Exit.hasDies(exit))
      assert.deepStrictEqual(yield* outcome, {
        outcome: "failed",
        text: "Kept",
        streamed: false,
        completed: true
      })
    }).pipe(Effect.provide(layer))
  )
})

const refuseText = Effect.suspend(() =>
  Effect.fail(
    new MessageContentError({
      reason: new UnstorableText({ messageId: ref.messageId, detail: "no texts" })
    })
  )
)
