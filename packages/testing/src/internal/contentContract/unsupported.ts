import { assert } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { type ContentSupports, MessageRole } from "effect-cancellation"
import {
  changed,
  chatOf,
  clockTicks,
  type Content,
  type ContentTest,
  type ContentTests,
  type Feature,
  found,
  freshRef,
  freshWriter,
  made,
  nextRef,
  refusal,
  standing
} from "./contract.ts"

const features = ["ids", "writers", "reopen", "nulls", "clock"] as const

const sorted = ({ roles, ...supports }: ContentSupports) => ({
  ...supports,
  roles: roles.toSorted()
})

/** What a store does that lacks a feature; its times are looked at where they are set. */
const lesser: Readonly<Record<Exclude<Feature, "clock">, ContentTest>> = {
  ids: {
    title: "names each message itself, whatever it is asked for",
    body: Effect.fnUntraced(function* (content: Content) {
      const wished = freshRef()
      const first = yield* made(content, wished, { text: "first" })
      yield* clockTicks(content, first)
      const second = yield* made(content, wished, { text: "second" })
      assert.notStrictEqual(first.ref.messageId, second.ref.messageId)
      assert.deepStrictEqual(yield* found(content, wished), [])
      const late = yield* refusal(changed(content, wished, { text: "late" }))
      assert.strictEqual(late._tag, "MessageNotFound")
      const messages = yield* content.find(chatOf(wished))
      assert.deepStrictEqual(messages.map(standing), [standing(first), standing(second)])
    })
  },
  writers: {
    title: "leaves writers out, and refuses nobody for them",
    body: Effect.fnUntraced(function* (content: Content) {
      const writer = freshWriter()
      const { ref, ...message } = yield* made(content, freshRef(), { writer })
      assert.isUndefined(message.writer)
      for (const other of [{ writer: freshWriter() }, {}, { writer }]) {
        const text = `by ${other.writer}`
        const after = yield* changed(content, ref, { ...other, text })
        assert.deepStrictEqual([after.text, after.writer], [text, undefined])
        assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(after)])
      }
    })
  },
  reopen: {
    title: "refuses to reopen a message, and leaves it as it is",
    body: Effect.fnUntraced(function* (content: Content) {
      const writer = freshWriter()
      for (const setCompletedAt of [false, true]) {
        const fields = { text: "mine", writer, setCompletedAt }
        const message = yield* made(content, freshRef(), fields)
        const change = { reopen: true, writer, text: "new" }
        const reason = yield* refusal(changed(content, message.ref, change))
        assert.strictEqual(reason._tag, "Unsupported")
        const messages = yield* found(content, message.ref)
        assert.deepStrictEqual(messages.map(standing), [standing(message)])
      }
    })
  },
  nulls: {
    title: "refuses a null for the application's own JSON, and leaves the message as it is",
    body: Effect.fnUntraced(function* (content: Content) {
      const message = yield* made(content, freshRef(), { references: [1], debugInfo: { a: 1 } })
      for (const field of ["references", "debugInfo"] as const) {
        const change = { text: "new", [field]: null }
        const reasons = [
          yield* refusal(changed(content, message.ref, change)),
          yield* refusal(made(content, nextRef(message.ref), change))
        ]
        assert.deepStrictEqual(
          reasons.map(({ _tag }) => _tag),
          ["UnstorableText", "UnstorableText"]
        )
      }
      const messages = yield* content.find(chatOf(message.ref))
      assert.deepStrictEqual(messages.map(standing), [standing(message)])
    })
  }
}

const otherRoles = (roles: ReadonlyArray<MessageRole>): ReadonlyArray<ContentTest> =>
  roles.length === 0
    ? []
    : [
        {
          title: `refuses messages of ${roles.join(" and ")}, and makes none`,
          body: Effect.fnUntraced(function* (content: Content) {
            const ref = freshRef()
            for (const role of roles) {
              const reason = yield* refusal(made(content, ref, { role, text: "theirs" }))
              assert.strictEqual(reason._tag, "Unsupported", role)
            }
            assert.deepStrictEqual(yield* content.find(chatOf(ref)), [])
          })
        }
      ]

export const unsupported = (name: string, supports: ContentSupports): ContentTests => {
  const missing = features.filter((feature) => !supports[feature])
  const roles = MessageRole.literals.filter((role) => !supports.roles.includes(role))
  const all = [...missing, ...roles.map((role) => `messages of ${role}`)]
  return {
    title: "supports",
    tests: [
      {
        title: "says what the suite was told",
        body: Effect.fnUntraced(function* (content: Content) {
          if (all.length > 0) yield* Console.log(`${name}: not supported: ${all.join(", ")}`)
          assert.deepStrictEqual(sorted(content.supports), sorted(supports))
        })
      },
      ...missing.flatMap((feature) => (feature === "clock" ? [] : [lesser[feature]])),
      ...otherRoles(roles)
    ]
  }
}
