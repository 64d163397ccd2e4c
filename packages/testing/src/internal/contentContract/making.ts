import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type ContentSupports, MessageQuery } from "effect-cancellation"
import {
  assertSetAt,
  changed,
  chatOf,
  clockTicks,
  found,
  freshRef,
  freshWriter,
  group,
  made,
  nextRef,
  refusal,
  standing
} from "./contract.ts"

const json = { list: [1, null, true, "é😀\n\"'\\"], nested: { "": {}, "a.b": [] } }

export const making = (supports: ContentSupports) =>
  group("create", supports, (test) => {
    for (const role of supports.roles) {
      test([], `makes a message of the ${role} and answers what find finds`, (content) =>
        Effect.gen(function* () {
          const writer = freshWriter()
          const fields = {
            text: "Ünïcode 😀\r\n\t%_\\'\";--",
            originalText: "",
            references: [json],
            debugInfo: json,
            segmentKind: "thinking"
          }
          const message = yield* made(content, freshRef(), { role, ...fields, writer })
          const { createdAt, ref: _ref, updatedAt, ...rest } = standing(message)
          const kept = supports.writers ? { writer } : {}
          assert.deepStrictEqual(rest, { role, ...fields, ...kept })
          // A store that is told the times may take more than one step.
          if (supports.clock) assert.strictEqual(updatedAt, createdAt)
          else assert.isAtLeast(updatedAt, createdAt)
          const messages = yield* found(content, message.ref)
          assert.deepStrictEqual(messages.map(standing), [standing(message)])
        })
      )
    }

    test([], "makes an empty message that is not complete, unless told otherwise", (content) =>
      Effect.gen(function* () {
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
        assertSetAt(supports, closed.completedAt, closed.createdAt)
      })
    )

    test(["nulls"], "keeps a null for the application's own JSON", (content) =>
      Effect.gen(function* () {
        const nulls = { references: null, debugInfo: null }
        const { ref } = yield* made(content, freshRef(), nulls)
        const [message] = yield* found(content, ref)
        assert.deepStrictEqual(
          { references: message?.references, debugInfo: message?.debugInfo },
          nulls
        )
      })
    )

    test(["ids"], "leaves a message that exists as it is", (content) =>
      Effect.gen(function* () {
        const ref = freshRef()
        const first = yield* made(content, ref, { text: "first" })
        // The role is one that the store makes, so that it has but one reason to refuse.
        const role = supports.roles.find((role) => role !== "assistant") ?? "assistant"
        const reason = yield* refusal(made(content, ref, { text: "second", role }))
        assert.strictEqual(reason._tag, "MessageExists")
        assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(first)])
      })
    )

    test(["ids"], "lets one of many make a message at the same time", (content) =>
      Effect.gen(function* () {
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
      })
    )

    test([], "keeps a text of 200,000 characters", (content) =>
      Effect.gen(function* () {
        const text = "Ää😀 \n".repeat(40_000)
        const { ref } = yield* made(content, freshRef(), { text })
        const [message] = yield* found(content, ref)
        assert.isTrue(message?.text === text)
      })
    )
  })

export const finding = (supports: ContentSupports) =>
  group("find", supports, (test) => {
    test([], "finds nothing where nothing is, without an error", (content) =>
      Effect.gen(function* () {
        const ref = freshRef()
        assert.deepStrictEqual(yield* content.find(chatOf(ref)), [])
        yield* made(content, ref)
        assert.deepStrictEqual(yield* found(content, nextRef(ref)), [])
      })
    )

    test([], "finds the messages of a chat, the oldest first, or one of them", (content) =>
      Effect.gen(function* () {
        const chat = freshRef()
        const refs = yield* Effect.forEach(
          [chat, nextRef(chat), nextRef(chat), nextRef(chat)],
          (wished) =>
            made(content, wished).pipe(
              Effect.tap((message) => clockTicks(content, message)),
              Effect.map(({ ref }) => ref)
            )
        )
        const [first = chat] = refs
        // a change must not move a message: rows written anew change their place in some databases
        yield* changed(content, first, { text: "changed" })
        const messages = yield* content.find(chatOf(chat))
        assert.deepStrictEqual(
          messages.map(({ ref }) => ref.messageId),
          refs.map(({ messageId }) => messageId)
        )
        const one = yield* content.find(MessageQuery.make(first))
        assert.deepStrictEqual(
          one.map(({ text }) => text),
          ["changed"]
        )
      })
    )
  })
