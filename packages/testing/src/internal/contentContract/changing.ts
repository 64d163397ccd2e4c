import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { ContentSupports } from "effect-cancellation"
import {
  assertSetAt,
  changed,
  clockTicks,
  found,
  freshRef,
  freshWriter,
  group,
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

export const changing = (supports: ContentSupports) =>
  group("modify", supports, (test) => {
    test([], "changes what is set, leaves the rest, and answers the message", (content) =>
      Effect.gen(function* () {
        for (const [field, value] of Object.entries({
          text: "",
          originalText: "other",
          references: supports.nulls ? null : [],
          debugInfo: [{}],
          segmentKind: ""
        })) {
          const before = yield* made(content, freshRef(), all)
          yield* clockTicks(content, before)
          const after = yield* changed(content, before.ref, { [field]: value })
          const { updatedAt } = after
          assert.deepStrictEqual(standing(after), {
            ...standing(before),
            [field]: value,
            updatedAt
          })
          assert.isAbove(updatedAt, before.updatedAt)
          const messages = yield* found(content, before.ref)
          assert.deepStrictEqual(messages.map(standing), [standing(after)])
        }
      })
    )

    test([], "refuses a message that does not exist, and does not make it", (content) =>
      Effect.gen(function* () {
        for (const reopen of supports.reopen ? [false, true] : [false]) {
          const ref = freshRef()
          const reason = yield* refusal(changed(content, ref, { text: "late", reopen }))
          assert.strictEqual(reason._tag, "MessageNotFound")
          assert.deepStrictEqual(yield* found(content, ref), [])
        }
      })
    )

    test(
      ["writers"],
      "refuses whoever is not the writer, and whoever does not say who writes",
      (content) =>
        Effect.gen(function* () {
          const writer = freshWriter()
          const before = yield* made(content, freshRef(), { writer })
          const { ref } = before
          for (const other of [{ writer: freshWriter() }, {}]) {
            for (const change of [{ text: "no" }, { setCompletedAt: true }]) {
              const reason = yield* refusal(changed(content, ref, { ...change, ...other }))
              if (reason._tag !== "NotTheWriter") return assert.fail(reason._tag)
              assert.strictEqual(reason.writer, writer)
            }
          }
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(before)])
          assert.strictEqual((yield* changed(content, ref, { writer, text: "yes" })).text, "yes")
        })
    )

    test([], "lets anybody write a message that has no writer", (content) =>
      Effect.gen(function* () {
        const { ref } = yield* made(content, freshRef())
        assert.strictEqual((yield* changed(content, ref, { text: "one" })).text, "one")
        const writer = freshWriter()
        assert.strictEqual((yield* changed(content, ref, { text: "two", writer })).text, "two")
      })
    )

    test([], "sets stoppedStreamingAt once", (content) =>
      Effect.gen(function* () {
        const { ref } = yield* made(content, freshRef())
        const first = yield* changed(content, ref, { setStoppedStreamingAt: true })
        assertSetAt(supports, first.stoppedStreamingAt, first.updatedAt)
        assert.isUndefined(first.completedAt)
        yield* clockTicks(content, first)
        const second = yield* changed(content, ref, { setStoppedStreamingAt: true, text: "more" })
        assert.strictEqual(second.stoppedStreamingAt, first.stoppedStreamingAt)
        const third = yield* changed(content, ref, { setStoppedStreamingAt: false })
        assert.strictEqual(third.stoppedStreamingAt, first.stoppedStreamingAt)
        assert.strictEqual(third.text, "more")
      })
    )

    test([], "refuses every change after completion", (content) =>
      Effect.gen(function* () {
        const writer = freshWriter()
        const { ref } = yield* made(content, freshRef(), { writer })
        const end = { writer, text: "all", setCompletedAt: true, setStoppedStreamingAt: true }
        const complete = yield* changed(content, ref, end)
        assertSetAt(supports, complete.completedAt, complete.updatedAt)
        assertSetAt(supports, complete.stoppedStreamingAt, complete.updatedAt)
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
      })
    )

    test([], "refuses every change of a message that was made complete", (content) =>
      Effect.gen(function* () {
        const { ref } = yield* made(content, freshRef(), { setCompletedAt: true })
        const reason = yield* refusal(changed(content, ref, { text: "late" }))
        assert.strictEqual(reason._tag, "AlreadyCompleted")
      })
    )

    test([], "lets one of many complete a message at the same time", (content) =>
      Effect.gen(function* () {
        const { ref } = yield* made(content, freshRef())
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
      })
    )

    test(
      ["reopen"],
      "reopens a message for a new writer, empty, and refuses the one before",
      (content) =>
        Effect.gen(function* () {
          const [before, after] = [freshWriter(), freshWriter()]
          const first = yield* made(content, freshRef(), {
            ...all,
            role: "assistant",
            writer: before
          })
          const { ref } = first
          const end = { writer: before, setCompletedAt: true, setStoppedStreamingAt: true }
          yield* changed(content, ref, end)
          yield* clockTicks(content, first)
          const anew = yield* changed(content, ref, { reopen: true, writer: after })
          assert.deepStrictEqual(standing(anew), {
            ref: standing(first).ref,
            role: "assistant",
            text: "",
            ...(supports.writers ? { writer: after } : {}),
            createdAt: first.createdAt,
            updatedAt: anew.updatedAt
          })
          assert.isAbove(anew.updatedAt, first.updatedAt)
          assert.deepStrictEqual((yield* found(content, ref)).map(standing), [standing(anew)])
          if (supports.writers) {
            const reason = yield* refusal(changed(content, ref, { writer: before, text: "late" }))
            if (reason._tag !== "NotTheWriter") return assert.fail(reason._tag)
            assert.strictEqual(reason.writer, after)
          }
          const text = (yield* changed(content, ref, { writer: after, text: "new" })).text
          assert.strictEqual(text, "new")
        })
    )

    test(
      ["reopen"],
      "reopens a message that is still being written, and writes in the same step",
      (content) =>
        Effect.gen(function* () {
          const [before, after] = [freshWriter(), freshWriter()]
          const half = { text: "half", originalText: "half", writer: before }
          const { ref } = yield* made(content, freshRef(), half)
          const anew = yield* changed(content, ref, { reopen: true, writer: after, text: "new" })
          assert.deepStrictEqual(
            [anew.text, anew.originalText, anew.writer],
            ["new", undefined, supports.writers ? after : undefined]
          )
          if (!supports.writers) return
          const reason = yield* refusal(changed(content, ref, { writer: before, text: "late" }))
          assert.strictEqual(reason._tag, "NotTheWriter")
        })
    )
  })
