import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  ChatId,
  CompanyId,
  type ContentSupports,
  defaultTenant,
  MessageId,
  MessageRef,
  UserId
} from "effect-cancellation"
import { pairs, placeOf } from "../hostileIds.ts"
import {
  changed,
  chatOf,
  found,
  freshId,
  freshRef,
  group,
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

export const places = (supports: ContentSupports) =>
  group("places", supports, (test) => {
    for (const [what, twinOf] of foreign) {
      test([], `takes the same ids in another place (${what}) for another message`, (content) =>
        Effect.gen(function* () {
          const message = yield* made(content, freshRef(), { text: "mine" })
          const { ref } = message
          const twin = twinOf(ref)
          assert.deepStrictEqual(yield* found(content, twin), [])
          assert.deepStrictEqual(yield* content.find(chatOf(twin)), [])
          const { reopen } = supports
          const reason = yield* refusal(changed(content, twin, { text: "theirs", reopen }))
          assert.strictEqual(reason._tag, "MessageNotFound")
          if (supports.ids) {
            yield* made(content, twin, { text: "theirs" })
            yield* changed(content, twin, { setCompletedAt: true })
          }
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(message)])
        })
      )
    }

    test([], "takes the tenant `default` where none is named, for company and user", (content) =>
      Effect.gen(function* () {
        const place = { chatId: ChatId.make(freshId()), messageId: MessageId.make(freshId()) }
        const { messageId } = (yield* made(content, MessageRef.make(place), { text: "one" })).ref
        const unnamed = MessageRef.make({ ...place, messageId })
        const named = MessageRef.make({
          ...place,
          messageId,
          companyId: CompanyId.make(defaultTenant),
          userId: UserId.make(defaultTenant)
        })
        assert.lengthOf(yield* found(content, named), 1)
        if (supports.ids) {
          assert.strictEqual((yield* refusal(made(content, named)))._tag, "MessageExists")
        }
        yield* changed(content, named, { text: "two" })
        const texts = (yield* found(content, unnamed)).map(({ text }) => text)
        assert.deepStrictEqual(texts, ["two"])
      })
    )
  })

export const hostileIds = (supports: ContentSupports) =>
  group("ids", supports, (test) => {
    for (const [title, id, lookalike] of pairs) {
      test(["ids"], `${title} arrive intact and are taken for no other`, (content) =>
        Effect.gen(function* () {
          const prefix = freshId()
          const { ref, runId: writer } = placeOf(prefix + id)
          const other = placeOf(prefix + lookalike)
          const message = yield* made(content, ref, { writer })
          for (const field of ["companyId", "userId", "chatId", "messageId"] as const) {
            const twin = MessageRef.make({ ...ref, [field]: other.ref[field] })
            assert.deepStrictEqual(yield* found(content, twin), [], field)
            const reason = yield* refusal(changed(content, twin, { text: "theirs" }))
            assert.strictEqual(reason._tag, "MessageNotFound", field)
            yield* made(content, twin, { text: "theirs" })
          }
          if (supports.writers) {
            const reason = yield* refusal(changed(content, ref, { writer: other.runId }))
            assert.strictEqual(reason._tag, "NotTheWriter")
          }
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(message)])
        })
      )
    }
  })
