import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MessageContent } from "effect-cancellation"
import {
  changed,
  clockTicks,
  type ContentContract,
  found,
  freshRef,
  freshWriter,
  made,
  refusal,
  standing
} from "./contract.ts"

const all = {
  text: "text",
  originalText: "original",
  references: [1],
  debugInfo: { a: 1 },
  segmentKind: "kind"
}

export const changing = ({ it, timeout }: ContentContract) =>
  describe("modify", () => {
    it.effect(
      "changes what is set, leaves the rest, and answers the message",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          for (const [field, value] of Object.entries({
            text: "",
            originalText: "other",
            references: null,
            debugInfo: [{}],
            segmentKind: ""
          })) {
            const ref = freshRef()
            const before = yield* made(content, ref, all)
            yield* clockTicks(content, before)
            const after = yield* changed(content, ref, { [field]: value })
            const { updatedAt } = after
            assert.deepStrictEqual(standing(after), {
              ...standing(before),
              [field]: value,
              updatedAt
            })
            assert.isAbove(updatedAt, before.updatedAt)
            assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(after)])
          }
        }),
      timeout
    )

    it.effect(
      "refuses a message that does not exist, and does not make it",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          for (const reopen of [false, true]) {
            const ref = freshRef()
            const reason = yield* refusal(changed(content, ref, { text: "late", reopen }))
            assert.strictEqual(reason._tag, "MessageNotFound")
            assert.deepStrictEqual(yield* found(content, ref), [])
          }
        }),
      timeout
    )

    it.effect(
      "refuses whoever is not the writer, and whoever does not say who writes",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          const writer = freshWriter()
          const before = yield* made(content, ref, { writer })
          for (const other of [{ writer: freshWriter() }, {}]) {
            for (const change of [{ text: "no" }, { setCompletedAt: true }]) {
              const reason = yield* refusal(changed(content, ref, { ...change, ...other }))
              if (reason._tag !== "NotTheWriter") return assert.fail(reason._tag)
              assert.strictEqual(reason.writer, writer)
            }
          }
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(before)])
          assert.strictEqual((yield* changed(content, ref, { writer, text: "yes" })).text, "yes")
        }),
      timeout
    )

    it.effect(
      "lets anybody write a message that has no writer",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          yield* made(content, ref)
          assert.strictEqual((yield* changed(content, ref, { text: "one" })).text, "one")
          const writer = freshWriter()
          assert.strictEqual((yield* changed(content, ref, { text: "two", writer })).text, "two")
        }),
      timeout
    )

    it.effect(
      "sets stoppedStreamingAt once",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          yield* made(content, ref)
          const first = yield* changed(content, ref, { setStoppedStreamingAt: true })
          assert.strictEqual(first.stoppedStreamingAt, first.updatedAt)
          assert.isUndefined(first.completedAt)
          yield* clockTicks(content, first)
          const second = yield* changed(content, ref, { setStoppedStreamingAt: true, text: "more" })
          assert.strictEqual(second.stoppedStreamingAt, first.stoppedStreamingAt)
          const third = yield* changed(content, ref, { setStoppedStreamingAt: false })
          assert.strictEqual(third.stoppedStreamingAt, first.stoppedStreamingAt)
          assert.strictEqual(third.text, "more")
        }),
      timeout
    )

    it.effect(
      "refuses every change after completion",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          const writer = freshWriter()
          yield* made(content, ref, { writer })
          const end = { writer, text: "all", setCompletedAt: true, setStoppedStreamingAt: true }
          const complete = yield* changed(content, ref, end)
          assert.strictEqual(complete.completedAt, complete.updatedAt)
          assert.strictEqual(complete.stoppedStreamingAt, complete.updatedAt)
          yield* clockTicks(content, complete)
          for (const change of [
            { text: "late" },
            { setCompletedAt: true },
            { setStoppedStreamingAt: true }
          ]) {
            const reason = yield* refusal(changed(content, ref, { writer, ...change }))
            if (reason._tag !== "AlreadyCompleted") return assert.fail(reason._tag)
            assert.strictEqual(reason.completedAt, complete.completedAt)
          }
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(complete)])
        }),
      timeout
    )

    it.effect(
      "refuses every change of a message that was made complete",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          yield* made(content, ref, { setCompletedAt: true })
          const reason = yield* refusal(changed(content, ref, { text: "late" }))
          assert.strictEqual(reason._tag, "AlreadyCompleted")
        }),
      timeout
    )

    it.effect(
      "lets one of many complete a message at the same time",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          yield* made(content, ref)
          const results = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, index) => `text ${index}`),
            (text) => Effect.option(changed(content, ref, { text, setCompletedAt: true })),
            { concurrency: "unbounded" }
          )
          const winners = results.flatMap((result) =>
            result._tag === "Some" ? [standing(result.value)] : []
          )
          assert.strictEqual(winners.length, 1)
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), winners)
        }),
      timeout
    )

    it.effect(
      "reopens a message for a new writer, empty, and refuses the one before",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          const [before, after] = [freshWriter(), freshWriter()]
          const first = yield* made(content, ref, { ...all, role: "assistant", writer: before })
          const end = { writer: before, setCompletedAt: true, setStoppedStreamingAt: true }
          yield* changed(content, ref, end)
          yield* clockTicks(content, first)
          const anew = yield* changed(content, ref, { reopen: true, writer: after })
          assert.deepStrictEqual(standing(anew), {
            ref: standing(first).ref,
            role: "assistant",
            text: "",
            writer: after,
            createdAt: first.createdAt,
            updatedAt: anew.updatedAt
          })
          assert.isAbove(anew.updatedAt, first.updatedAt)
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(anew)])
          const reason = yield* refusal(changed(content, ref, { writer: before, text: "late" }))
          if (reason._tag !== "NotTheWriter") return assert.fail(reason._tag)
          assert.strictEqual(reason.writer, after)
          const text = (yield* changed(content, ref, { writer: after, text: "new" })).text
          assert.strictEqual(text, "new")
        }),
      timeout
    )

    it.effect(
      "reopens a message that is still being written, and writes in the same step",
      () =>
        Effect.gen(function* () {
          const content = yield* MessageContent
          const ref = freshRef()
          const [before, after] = [freshWriter(), freshWriter()]
          yield* made(content, ref, { text: "half", originalText: "half", writer: before })
          const anew = yield* changed(content, ref, { reopen: true, writer: after, text: "new" })
          assert.deepStrictEqual(
            [anew.text, anew.originalText, anew.writer],
            ["new", undefined, after]
          )
          const reason = yield* refusal(changed(content, ref, { writer: before, text: "late" }))
          assert.strictEqual(reason._tag, "NotTheWriter")
        }),
      timeout
    )
  })
