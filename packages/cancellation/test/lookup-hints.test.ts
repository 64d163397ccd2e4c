/** Law 13, for a store that knows no runs: a hint is of a message, whatever run it names. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { MessageRef, MessageRepo, MessageStore, Run, RunId, StopReceipt } from "../src/index.ts"
import { Eyes, hintOf, inLab, looks, open, refOf, settle } from "./fixture-1.ts"

/** A table with a flag that a test sets; pressing Stop sets it too. */
const makeTable = () => {
  const flags = new Map<string, number>()
  const watching = MessageStore.fromLookup((refs) =>
    Effect.sync(() => refs.map((ref) => ({ ref, userAbortedAt: flags.get(ref.messageId) ?? null })))
  )
  const store = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        supports: { ...store.supports, stops: true },
        requestStop: (target) =>
          Effect.sync(() => {
            if (target._tag !== "Message") return []
            flags.set(target.ref.messageId, 1000)
            const request = { userAbortedAt: 1000, reason: "user" } as const
            return [StopReceipt.cases.Requested.make({ run: hinted(target.ref), request })]
          })
      })
    )
  ).pipe(Layer.provide(watching))
  return { flags, lab: inLab({}, store) }
}

/** What a hint calls the run of a message, who cannot know the one that is watched. */
const hinted = (ref: MessageRef) => Run.make({ ref, runId: RunId.make(ref.messageId) })

describe("Law 13: Hints are of messages where there are no runs", () => {
  it.effect("a hint that names another run of the message is looked at at once", () => {
    const { flags, lab } = makeTable()
    return Effect.gen(function* () {
      const { watcher } = yield* open({ name: "a" })
      yield* settle
      const before = yield* Clock.currentTimeMillis
      flags.set("a", 1000)
      yield* hintOf(hinted(refOf("a")))
      const event = yield* watcher.cancellation
      assert.deepStrictEqual([event.detectedBy, event.detectedAt], ["hint", before])
    }).pipe(lab)
  })

  it.effect("a stop asked here is found at once, by all runs of the message", () => {
    const { lab } = makeTable()
    return Effect.gen(function* () {
      const runs = yield* Effect.forEach(["1", "2"], (id) =>
        open({ name: "a", runId: RunId.make(id) })
      )
      yield* settle
      yield* MessageRepo.use((repo) => repo.requestStop(refOf("a")))
      yield* settle
      for (const { watcher } of runs) {
        assert.strictEqual((yield* watcher.cancellation).detectedBy, "hint")
      }
    }).pipe(lab)
  })

  it.effect("a hint for a message that is not watched, or no more, costs nothing", () => {
    const { lab } = makeTable()
    return Effect.gen(function* () {
      yield* open({ name: "a", pollInterval: "1 hour" })
      const over = yield* open({ name: "b", pollInterval: "1 hour" })
      yield* settle
      yield* over.close()
      const { fibers } = yield* Eyes
      const before = [yield* looks, fibers.alive]
      const { chatId } = refOf("a")
      yield* hintOf(hinted(refOf("b")))
      yield* hintOf(hinted(refOf("c")))
      yield* hintOf(hinted(MessageRef.of({ companyId: "acme", chatId, messageId: "a" })))
      yield* hintOf(hinted(MessageRef.of({ chatId: "another", messageId: "a" })))
      assert.deepStrictEqual([yield* looks, fibers.alive], before)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* looks, before[0])
    }).pipe(lab)
  })

  it.effect("a hint finds nothing in a run that ended, and what is left of its message", () => {
    const { flags, lab } = makeTable()
    return Effect.gen(function* () {
      const first = yield* open({ name: "a", runId: RunId.make("1") })
      const second = yield* open({ name: "a", runId: RunId.make("2") })
      yield* settle
      yield* first.close()
      flags.set("a", 1000)
      yield* hintOf(hinted(refOf("a")))
      assert.deepStrictEqual(
        [yield* first.watcher.isCancelled, yield* second.watcher.isCancelled],
        [false, true]
      )
    }).pipe(lab)
  })
})
