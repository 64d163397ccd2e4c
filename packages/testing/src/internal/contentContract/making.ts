import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MessageContent, MessageQuery, MessageRole } from "effect-cancellation"
import {
  changed,
  chatOf,
  clockTicks,
  type ContentContract,
  found,
  freshRef,
  freshWriter,
  made,
  nextRef,
  refusal,
  standing
} from "./contract.ts"

const json = { list: [1, null, true, "é😀\n\"'\\"], nested: { "": {}, "a.b": [] } }

export const making = ({ it, timeout }: ContentContract) => {
  describe("create", () => {
    for (const role of MessageRole.literals) {
      it.effect(
        `makes a message of the ${role} and answers what find finds`,
        () =>
          Effect.gen(function* () {
            const content = yield* MessageContent
            const ref = freshRef()
            const writer = freshWriter()
            const fields = {
              text: "Ünïcode 😀\r\n\t%_\\'\";--",
              originalText: "",
              references: [json],
              debugInfo: json,
              segmentKind: "thinking",
              writer
            }
            const message = yield* made(content, ref, { role, ...fields })
            const { createdAt, ref: _ref, updatedAt, ...rest } = standing(message)
            assert.deepStrictEqual(rest, { role, ...fields })
            assert.strictEqual(updatedAt, createdAt)
            assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(message)])
          }),
        timeout
      )
    }

    it.effect(
      "makes an empty message that is not complete, unless told otherwise",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const open = yield* made(content, freshRef())
          assert.deepStrictEqual(Object.keys(standing(open)).toSorted(), [
            "createdAt",
            "ref",
            "role",
            "text",
            "updatedAt"
          ])
          assert.strictEqual(open.text, "")
          const closed = yield* made(content, freshRef(), { setCompletedAt: true })
          assert.strictEqual(closed.completedAt, closed.createdAt)
        }),
      timeout
    )

    it.effect(
      "leaves a message that exists as it is",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          const first = yield* made(content, ref, { text: "first" })
          const reason = yield* refusal(made(content, ref, { text: "second", role: "user" }))
          assert.strictEqual(reason._tag, "MessageExists")
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(first)])
        }),
      timeout
    )

    it.effect(
      "lets one of many make a message at the same time",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          const results = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, index) => `text ${index}`),
            (text) => Effect.option(made(content, ref, { text })),
            { concurrency: "unbounded" }
          )
          const winners = results.flatMap((result) =>
            result._tag === "Some" ? [result.value.text] : []
          )
          const messages = yield* found(content, ref)
          assert.strictEqual(winners.length, 1)
          assert.deepStrictEqual(
            messages.map(({ text }) => text),
            winners
          )
        }),
      timeout
    )

    it.effect(
      "keeps a text of 200,000 characters",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          const text = "Ää😀 \n".repeat(40_000)
          yield* made(content, ref, { text })
          const [message] = yield* found(content, ref)
          assert.isTrue(message?.text === text)
        }),
      timeout
    )
  })

  describe("find", () => {
    it.effect(
      "finds nothing where nothing is, without an error",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          assert.deepStrictEqual(yield* content.find(chatOf(ref)), [])
          yield* made(content, ref)
          assert.deepStrictEqual(yield* found(content, nextRef(ref)), [])
        }),
      timeout
    )

    it.effect(
      "finds the messages of a chat, the oldest first, or one of them",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const first = freshRef()
          const refs = [first, nextRef(first), nextRef(first), nextRef(first)]
          for (const ref of refs) yield* clockTicks(content, yield* made(content, ref))
          // a change must not move a message: rows written anew change their place in some databases
          yield* changed(content, first, { text: "changed" })
          const messages = yield* content.find(chatOf(first))
          assert.deepStrictEqual(
            messages.map(({ ref }) => ref.messageId),
            refs.map(({ messageId }) => messageId)
          )
          const one = yield* content.find(MessageQuery.make(first))
          assert.deepStrictEqual(
            one.map(({ text }) => text),
            ["changed"]
          )
        }),
      timeout
    )
  })
}
