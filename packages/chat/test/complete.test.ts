/** `ChatService.complete`: what follows the answer, and the end of the message. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { MessageChange, MessageContent, RunId } from "effect-cancellation"
import { ChatService } from "../src/index.ts"
import { inRun, makePause, outcome, pass, reasonOf, settle, start, stop } from "./chat.fixture.ts"
import { ref, stored } from "./support/chat.ts"
import { layer, Unsteady } from "./support/unsteadyContent.ts"

const complete = <A, E, R>(postProcessing: Effect.Effect<A, E, R>) =>
  Effect.flatMap(ChatService, (chat) => chat.complete(postProcessing))

/** How often the message was completed. */
const completions = Effect.map(
  Unsteady,
  ({ accepted }) => accepted.filter(({ change }) => change.setCompletedAt === true).length
)

const done = { outcome: "completed", text: "", streamed: false, completed: true } as const

describe("complete", () => {
  it.effect("runs what follows, then completes the message, and answers", () =>
    Effect.gen(function* () {
      const value = yield* Effect.gen(function* () {
        const value = yield* complete(
          Effect.map(stored(), ({ completedAt }) => {
            assert.isUndefined(completedAt)
            return 7
          })
        )
        assert.isDefined((yield* stored()).completedAt)
        return value
      }).pipe(inRun())
      assert.deepStrictEqual(value, Option.some(7))
      assert.strictEqual(yield* completions, 1)
      assert.deepStrictEqual(yield* outcome, done)
    }).pipe(Effect.provide(layer))
  )

  it.effect("stores with it what is not stored yet", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      const chat = yield* ChatService
      yield* unsteady.modify("fail")
      yield* chat.saveAssistantMessage({ text: "All" })
      yield* unsteady.modify("steady")
      yield* chat.complete(Effect.void)
      assert.strictEqual((yield* stored()).text, "All")
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("runs nothing of a run that is stopped, and leaves the end to the run", () =>
    Effect.gen(function* () {
      let ran = false
      const value = yield* Effect.gen(function* () {
        yield* stop()
        const value = yield* complete(Effect.sync(() => void (ran = true)))
        assert.isUndefined((yield* stored()).completedAt)
        return value
      }).pipe(inRun())
      assert.isTrue(Option.isNone(value))
      assert.isFalse(ran)
      assert.strictEqual(yield* completions, 1)
      assert.deepStrictEqual(yield* outcome, { ...done, outcome: "stopped" })
    }).pipe(Effect.provide(layer))
  )

  it.effect("is interrupted by a stop, and ends after the finalizers of what it ran", () =>
    Effect.gen(function* () {
      const pause = makePause()
      const cleaning = makePause()
      const fiber = yield* start(
        complete(Effect.ensuring(pause.here, Effect.uninterruptible(cleaning.here)))
      )
      yield* pause.reached
      yield* stop()
      yield* cleaning.reached
      assert.isUndefined(fiber.pollUnsafe())
      yield* cleaning.open
      assert.isTrue(Option.isNone(yield* Fiber.join(fiber)))
      assert.deepStrictEqual(yield* outcome, { ...done, outcome: "stopped" })
    }).pipe(Effect.provide(layer))
  )

  it.effect("answers nothing if the stop comes as what follows ends", () =>
    Effect.gen(function* () {
      const value = yield* Effect.flatMap(ChatService, (chat) =>
        chat.complete(Effect.uninterruptible(chat.cancellation.cancel("parent")))
      ).pipe(inRun())
      assert.isTrue(Option.isNone(value))
      assert.strictEqual(yield* completions, 1)
    }).pipe(Effect.provide(layer))
  )

  it.effect("answers nothing if the stop comes while the end is stored", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("hang")
      const fiber = yield* start(complete(Effect.succeed("done")))
      yield* unsteady.asked(1)
      yield* unsteady.modify("steady")
      yield* stop()
      // The write is not cut short: it would be in doubt.
      assert.isUndefined(fiber.pollUnsafe())
      yield* unsteady.release
      assert.isTrue(Option.isNone(yield* Fiber.join(fiber)))
      assert.strictEqual(yield* completions, 1)
      assert.deepStrictEqual(yield* outcome, { ...done, outcome: "stopped" })
    }).pipe(Effect.provide(layer))
  )

  it.effect("passes a failure on, and leaves the end to the run", () =>
    Effect.gen(function* () {
      const error = yield* Effect.gen(function* () {
        const error = yield* Effect.flip(complete(Effect.fail("no")))
        assert.isUndefined((yield* stored()).completedAt)
        return error
      }).pipe(inRun())
      assert.strictEqual(error, "no")
      assert.deepStrictEqual(yield* outcome, done)
    }).pipe(Effect.provide(layer))
  )

  it.effect("passes a defect on, and leaves the end to the run", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(inRun()(complete(Effect.die("bug"))))
      assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "bug")
      assert.deepStrictEqual(yield* outcome, { ...done, outcome: "failed" })
    }).pipe(Effect.provide(layer))
  )

  it.effect("stays interrupted by an interrupt from outside, and the message ends", () =>
    Effect.gen(function* () {
      const pause = makePause()
      const fiber = yield* start(complete(pause.here))
      yield* pause.reached
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.deepStrictEqual(yield* outcome, { ...done, outcome: "interrupted" })
    }).pipe(Effect.provide(layer))
  )

  it.effect("runs nothing and fails if the message is complete", () =>
    Effect.gen(function* () {
      let ran = 0
      const follow = Effect.sync(() => ++ran)
      yield* complete(follow)
      assert.strictEqual(yield* reasonOf(complete(follow)), "AlreadyCompleted")
      assert.strictEqual(ran, 1)
      assert.strictEqual(yield* completions, 1)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("completes the message once if two do it at once, and fails for the other", () =>
    Effect.gen(function* () {
      const one = makePause()
      const two = makePause()
      const first = yield* Effect.forkChild(Effect.exit(complete(Effect.as(one.here, 1))))
      const second = yield* Effect.forkChild(Effect.exit(complete(Effect.as(two.here, 2))))
      yield* one.reached
      yield* two.reached
      yield* two.open
      yield* one.open
      assert.deepStrictEqual(yield* Fiber.join(second), Exit.succeed(Option.some(2)))
      assert.strictEqual(yield* reasonOf(yield* Fiber.join(first)), "AlreadyCompleted")
      assert.strictEqual(yield* completions, 1)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("fails if another run writes the message by then", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      const takeOver = content.modify(
        MessageChange.make({ ref, reopen: true, writer: RunId.make("next") })
      )
      assert.strictEqual(yield* reasonOf(complete(takeOver)), "NotTheWriter")
      assert.isUndefined((yield* stored()).completedAt)
    }).pipe(inRun(), Effect.provide(layer))
  )

  it.effect("waits for the end of an outage, and what it answers is stored", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("fail")
      const fiber = yield* start(Effect.tap(complete(Effect.succeed(7)), stored()))
      yield* pass("10 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* unsteady.modify("steady")
      yield* pass("200 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Option.some(7))
      assert.deepStrictEqual(yield* outcome, done)
    }).pipe(Effect.provide(layer))
  )

  it.effect("waits no longer for the end of an outage once it is stopped", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      let went: Option.Option<number> | undefined
      yield* unsteady.modify("fail")
      const fiber = yield* start(
        Effect.tap(complete(Effect.succeed(7)), (value) => Effect.sync(() => void (went = value)))
      )
      yield* pass("1 second")
      yield* stop()
      yield* settle
      assert.deepStrictEqual(went, Option.none())
      yield* unsteady.modify("steady")
      yield* pass("200 millis")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* completions, 1)
      assert.deepStrictEqual(yield* outcome, { ...done, outcome: "stopped" })
    }).pipe(Effect.provide(layer))
  )

  it.effect("fails if the outage does not end in time, and the run tries again", () =>
    Effect.gen(function* () {
      const unsteady = yield* Unsteady
      yield* unsteady.modify("fail")
      const fiber = yield* start(
        Effect.tap(reasonOf(complete(Effect.void)), () => unsteady.modify("steady"))
      )
      yield* pass("31 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "ContentUnavailable")
      assert.deepStrictEqual(yield* outcome, done)
    }).pipe(Effect.provide(layer))
  )
})
