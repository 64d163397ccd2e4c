/** One run of an agent that writes a message, on texts that can be made to misbehave. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import type * as Duration from "effect/Duration"
import {
  type MessageContentError,
  MessageRef,
  MessageRepo,
  StopIntent,
  type StopReason
} from "effect-cancellation"
import { ChatService, type ChatServiceOptions } from "../src/index.ts"
import { ref, runId, stored, storedRun } from "./support/chat.ts"

type Options = Partial<ChatServiceOptions>

/** An agent's program as the one run of these tests, of which the store has heard when it begins. */
export const inRun =
  (options: Options = {}) =>
  <A, E, R>(agent: Effect.Effect<A, E, R>) =>
    Effect.provide(Effect.andThen(settle, agent), ChatService.layer({ ref, runId, ...options }))

/** The same, in a fiber that has begun and gone as far as it can. */
export const start = <A, E, R>(agent: Effect.Effect<A, E, R>, options: Options = {}) =>
  Effect.tap(Effect.forkChild(inRun(options)(agent)), Effect.andThen(settle, settle))

/** Lets everything happen that needs no time. */
export const settle = Effect.forEach(Array.from({ length: 200 }), () => Effect.yieldNow, {
  discard: true
})

/** Lets time pass, and what follows from it happen. */
export const pass = (duration: Duration.Input) =>
  settle.pipe(Effect.andThen(TestClock.adjust(duration)), Effect.andThen(settle))

/** Somebody presses Stop at this message, and the run has heard of it. */
export const stop = (reason: StopReason = "user", messageId: string = ref.messageId) =>
  Effect.flatMap(MessageRepo, (repo) =>
    repo.requestStop(MessageRef.of({ chatId: ref.chatId, messageId }), StopIntent.make({ reason }))
  ).pipe(Effect.orDie, Effect.andThen(settle))

/** What a script waits for, and what waits for the script to come there. */
export const makePause = () => {
  const reached = Deferred.makeUnsafe<void>()
  const open = Deferred.makeUnsafe<void>()
  return {
    /** In the script. */
    here: Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(open)),
    reached: Effect.andThen(Deferred.await(reached), settle),
    open: Effect.andThen(Deferred.succeed(open, undefined), settle)
  }
}

/** How the run ended, and what it left behind. */
export const outcome = Effect.map(
  Effect.all({ run: storedRun, message: stored() }),
  ({ message, run }) => ({
    outcome: run?.outcome,
    text: message.text,
    streamed: message.stoppedStreamingAt !== undefined,
    completed: message.completedAt !== undefined
  })
)

/** The end of a run, whose fiber may not have ended by itself. */
export const exitOf = <A, E>(fiber: Fiber.Fiber<A, E>) => Fiber.await(fiber)

/** The tag of the reason for which a message was not written. */
export const reasonOf = <A, E, R>(
  effect: Effect.Effect<A, E | MessageContentError, R>
): Effect.Effect<string, A, R> =>
  Effect.map(Effect.flip(effect), (error) =>
    typeof error === "object" && error !== null && "reason" in error
      ? error.reason._tag
      : String(error)
  )

/** Runs a test and gives it the lines that are logged. */
export const withLines = <A, E, R>(
  test: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
      lines.push(`${logLevel}: ${String(Array.isArray(message) ? message[0] : message)}`)
    })
    return Effect.provide(test(lines), Logger.layer([logger]))
  })
