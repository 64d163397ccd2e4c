import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  ChatId,
  CompanyId,
  defaultTenant,
  MessageContent,
  MessageId,
  MessageRef,
  UserId
} from "effect-cancellation"
import { pairs, placeOf } from "../hostileIds.ts"
import {
  changed,
  chatOf,
  type ContentContract,
  found,
  freshId,
  freshRef,
  made,
  refusal,
  standing
} from "./contract.ts"

/** The same ids, but for one. */
const foreign: ReadonlyArray<readonly [string, (ref: MessageRef) => MessageRef]> = [
  ["company", (ref) => MessageRef.make({ ...ref, companyId: CompanyId.make(freshId()) })],
  ["user", (ref) => MessageRef.make({ ...ref, userId: UserId.make(freshId()) })],
  ["chat", (ref) => MessageRef.make({ ...ref, chatId: ChatId.make(freshId()) })],
  ["default company", ({ companyId: _companyId, ...ref }) => MessageRef.make(ref)],
  ["default user", ({ userId: _userId, ...ref }) => MessageRef.make(ref)]
]

export const places = ({ it, timeout }: ContentContract) => {
  for (const [what, twinOf] of foreign) {
    it.effect(
      `takes the same ids in another place (${what}) for another message`,
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          const twin = twinOf(ref)
          const message = yield* made(content, ref, { text: "mine" })
          assert.deepStrictEqual(yield* found(content, twin), [])
          assert.deepStrictEqual(yield* content.find(chatOf(twin)), [])
          const reason = yield* refusal(changed(content, twin, { text: "theirs", reopen: true }))
          assert.strictEqual(reason._tag, "MessageNotFound")
          yield* made(content, twin, { text: "theirs" })
          yield* changed(content, twin, { setCompletedAt: true })
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(message)])
        }),
      timeout
    )
  }

  it.effect(
    "takes the tenant `default` where none is named, for company and user",
    () =>
      Effect.gen(function* () {
        const content = yield* MessageContent
        const place = { chatId: ChatId.make(freshId()), messageId: MessageId.make(freshId()) }
        const unnamed = MessageRef.make(place)
        const named = MessageRef.make({
          ...place,
          companyId: CompanyId.make(defaultTenant),
          userId: UserId.make(defaultTenant)
        })
        yield* made(content, unnamed, { text: "one" })
        assert.lengthOf(yield* found(content, named), 1)
        assert.strictEqual((yield* refusal(made(content, named)))._tag, "MessageExists")
        yield* changed(content, named, { text: "two" })
        const texts = (yield* found(content, unnamed)).map(({ text }) => text)
        assert.deepStrictEqual(texts, ["two"])
      }),
    timeout
  )

  describe("ids", () => {
    for (const [title, id, lookalike] of pairs) {
      it.effect(
        `${title} arrive intact and are taken for no other`,
        () =>
          Effect.gen(function* () {
            const content = yield* MessageContent
            const prefix = freshId()
            const { ref } = placeOf(prefix + id)
            const other = placeOf(prefix + lookalike)
            const message = yield* made(content, ref, { writer: placeOf(prefix + id).runId })
            for (const field of ["companyId", "userId", "chatId", "messageId"] as const) {
              const twin = MessageRef.make({ ...ref, [field]: other.ref[field] })
              assert.deepStrictEqual(yield* found(content, twin), [], field)
              yield* made(content, twin, { text: "theirs" })
            }
            const reason = yield* refusal(changed(content, ref, { writer: other.runId }))
            assert.strictEqual(reason._tag, "NotTheWriter")
            assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(message)])
          }),
        timeout
      )
    }
  })
}
