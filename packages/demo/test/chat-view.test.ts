// A chat that several people write in, in memory.
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import {
  ChatId,
  MessageContent,
  MessageRef,
  MessageRepo,
  MessageStore,
  NewMessage,
  RunId
} from "effect-cancellation"
import { ChatView } from "../src/ChatView.ts"
import { Drafts } from "../src/Drafts.ts"
import { SignsOfLife } from "../src/SignsOfLife.ts"

const World = ChatView.layer({ startGrace: "5 seconds" }).pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      MessageContent.layerMemory,
      MessageRepo.layer(),
      Drafts.layer,
      Layer.mock(SignsOfLife)({ silences: () => Effect.succeed(() => undefined) })
    )
  ),
  Layer.provideMerge(MessageStore.layerMemory())
)

it.effect("shows what all wrote in the order of time, also what has no user", () =>
  Effect.gen(function* () {
    const content = yield* MessageContent
    const say = Effect.fnUntraced(function* (messageId: string, user: { userId?: string }) {
      yield* TestClock.adjust(1)
      const ref = MessageRef.of({ ...user, chatId: "chat", messageId })
      yield* content.create(NewMessage.make({ ref, role: "user", text: messageId }))
      yield* content.create(
        NewMessage.make({
          ref: MessageRef.of({ ...ref, messageId: `${messageId}-answer` }),
          role: "assistant",
          writer: RunId.make("run"),
          setCompletedAt: true
        })
      )
    })
    yield* say("from before", {})
    yield* say("bobs", { userId: "bob" })
    yield* say("adas", { userId: "ada" })
    yield* say("bobs too", { userId: "bob" })
    const view = yield* ChatView
    const messages = yield* view.read(ChatId.make("chat"))
    assert.deepStrictEqual(
      messages.map(({ messageId, state, userId }) => `${messageId} ${userId} ${state}`),
      [
        "from before undefined said",
        "from before-answer undefined completed",
        "bobs bob said",
        "bobs-answer bob completed",
        "adas ada said",
        "adas-answer ada completed",
        "bobs too bob said",
        "bobs too-answer bob completed"
      ]
    )
  }).pipe(Effect.provide(World))
)
