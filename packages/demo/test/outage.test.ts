// The store of texts while it is away, in virtual time.
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import {
  ChatId,
  ContentUnavailable,
  fullContentSupport,
  MessageContent,
  MessageContentError,
  MessageQuery
} from "effect-cancellation"
import * as ContentOutage from "../src/ContentOutage.ts"

const query = MessageQuery.make({ chatId: ChatId.make("chat") })

/** A store of texts that answers as the test says at the time. */
const storeOf = (find: Effect.Effect<[], MessageContentError>) =>
  ContentOutage.layer.pipe(
    Layer.provide(Layer.mock(MessageContent)({ supports: fullContentSupport, find: () => find }))
  )

it.effect("a store that does not answer is waited for no longer than five seconds", () =>
  Effect.gen(function* () {
    const { find } = yield* MessageContent
    const fiber = yield* Effect.forkChild(Effect.uninterruptible(Effect.flip(find(query))))
    yield* TestClock.adjust("4 seconds")
    assert.isUndefined(fiber.pollUnsafe())
    yield* TestClock.adjust("1 second")
    const { reason } = yield* Fiber.join(fiber)
    assert.strictEqual(reason._tag, "ContentUnavailable")
  }).pipe(Effect.provide(storeOf(Effect.never)))
)

it.effect("the log says once that it is away, and once that it is back", () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => {
    lines.push(String(message))
  })
  let isAway = true
  const reason = new ContentUnavailable({ operation: "find", cause: new Error("cut") })
  const answer = Effect.suspend(() =>
    isAway ? Effect.fail(new MessageContentError({ reason })) : Effect.succeed<[]>([])
  )
  return Effect.gen(function* () {
    const { find } = yield* MessageContent
    yield* Effect.flip(find(query))
    yield* Effect.flip(find(query))
    isAway = false
    yield* find(query)
    yield* find(query)
    assert.deepStrictEqual(lines, [
      "Texts are not read and not saved: cut. Trying again",
      "Texts are read and saved again"
    ])
  }).pipe(Effect.provide([storeOf(answer), Logger.layer([logger])]))
})
