// A turn of several segments: a stop of any of them is a stop of the turn.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import type { Run } from "effect-cancellation"
import { ask, begin, isList, json, open, openRepo } from "./store.fixture.ts"

const idOf = ({ ref }: Run) => ref.messageId

describe("a stop of a segment", () => {
  for (const position of [0, 1, 2]) {
    it.live(`counts for each segment that is watched, named first: segment ${position}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const turn = [0, 1, 2].map((segmentIndex) =>
          add({ responseTurnId: "turn_1", segmentIndex })
        )
        const other = add({ responseTurnId: "turn_2" })
        const alone = add()
        const stopped = turn[position]
        assert.isDefined(stopped)
        const { at } = platform.stopMessage(idOf(stopped))
        const runs = [other, ...turn, alone]
        for (const order of ["as it is", "the other way round"]) {
          const end = platform.respond((request) => {
            if (!isList(request)) return undefined
            const data = platform.messagesOf("chat")
            return json(200, {
              object: "list",
              data: order === "as it is" ? data : data.toReversed()
            })
          })
          for (const asked of [runs, runs.toReversed()]) {
            const look = yield* store.stopRequests(asked)
            assert.strictEqual(look.requests[0]?.run, stopped)
            assert.sameMembers(
              look.requests.map(({ run }) => idOf(run)),
              turn.map(idOf)
            )
            for (const { request } of look.requests) {
              assert.strictEqual(request.userAbortedAt, Date.parse(at))
              assert.strictEqual(request.reason, "user")
            }
            assert.deepStrictEqual([look.gone, look.failures], [[], []])
          }
          end()
        }
        // Watched alone, each of them hears of it.
        for (const run of turn) assert.deepStrictEqual(yield* ask(store, [run]), ["stopped"])
        assert.deepStrictEqual(yield* ask(store, [other, alone]), ["running", "running"])
      }).pipe(Effect.scoped)
    )
  }

  it.live("has the time of the first of two", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const [watched, one, two] = [0, 1, 2].map(() => add({ responseTurnId: "turn_1" }))
      assert.isDefined(watched)
      assert.isDefined(one)
      assert.isDefined(two)
      platform.patchState(idOf(one), { userAbortedAt: "2026-11-29T12:00:02.000Z" })
      platform.patchState(idOf(two), { userAbortedAt: "2026-11-29T12:00:01.000Z" })
      const { requests } = yield* store.stopRequests([watched])
      assert.deepStrictEqual(
        requests.map(({ request }) => request.userAbortedAt),
        [Date.parse("2026-11-29T12:00:01.000Z")]
      )
      // Its own counts before those of others.
      platform.patchState(idOf(watched), { userAbortedAt: "2026-11-29T12:00:03.000Z" })
      const own = yield* store.stopRequests([watched])
      assert.strictEqual(
        own.requests[0]?.request.userAbortedAt,
        Date.parse("2026-11-29T12:00:03.000Z")
      )
    }).pipe(Effect.scoped)
  )

  it.live("is none of a person's message, of another role, turn or chat, or without a turn", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const watched = add({ responseTurnId: "turn_1" })
      const noTurn = add()
      const emptyTurn = add({ responseTurnId: "" })
      for (const other of [
        { role: "USER", responseTurnId: "turn_1" },
        { role: "SYSTEM", responseTurnId: "turn_1" },
        { responseTurnId: "turn_2" },
        { chatId: "other", responseTurnId: "turn_1" },
        { responseTurnId: "" },
        {}
      ] as const) {
        platform.stopMessage(idOf(add(other)))
      }
      const unknown = idOf(add({ responseTurnId: "turn_1" }))
      platform.patchState(unknown, { role: "TOOL" })
      platform.stopMessage(unknown)
      assert.deepStrictEqual(yield* ask(store, [watched, noTurn, emptyTurn]), [
        "running",
        "running",
        "running"
      ])
    }).pipe(Effect.scoped)
  )

  for (const role of [undefined, null]) {
    it.live(`counts if it is not said whose that is: ${role}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const [watched, other] = [
          add({ responseTurnId: "turn_1" }),
          add({ responseTurnId: "turn_1" })
        ]
        platform.patchState(idOf(other), { role })
        platform.stopMessage(idOf(other))
        assert.deepStrictEqual(yield* ask(store, [watched]), ["stopped"])
      }).pipe(Effect.scoped)
    )
  }

  it.live("puts the whole turn in doubt if it is malformed, but no stop", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const watched = add({ responseTurnId: "turn_1" })
      const odd = idOf(add({ responseTurnId: "turn_1" }))
      const other = add({ responseTurnId: "turn_2" })
      platform.patchState(odd, { userAbortedAt: "yes" })
      assert.deepStrictEqual(yield* ask(store, [watched, other]), ["failed", "running"])
      platform.stopMessage(idOf(add({ responseTurnId: "turn_1" })))
      assert.deepStrictEqual(yield* ask(store, [watched, other]), ["stopped", "running"])
      // A person's message is no segment, whatever it says.
      platform.patchState(idOf(add({ role: "USER", responseTurnId: "turn_2" })), {
        userAbortedAt: "yes"
      })
      assert.deepStrictEqual(yield* ask(store, [other]), ["running"])
    }).pipe(Effect.scoped)
  )

  it.live("counts for a segment that the list leaves out", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const watched = add({ responseTurnId: "turn_1" })
      const mate = add({ responseTurnId: "turn_1" })
      platform.stopMessage(idOf(mate))
      platform.respond((request) =>
        isList(request)
          ? json(200, {
              object: "list",
              data: platform.messagesOf("chat").filter(({ id }) => id !== idOf(watched))
            })
          : undefined
      )
      const look = yield* store.stopRequests([watched, mate])
      assert.deepStrictEqual(
        look.requests.map(({ run }) => run),
        [mate, watched]
      )
    }).pipe(Effect.scoped)
  )
})

describe("after retarget", () => {
  for (const which of ["old", "new", "unwatched"] as const) {
    it.live(`a stop of the ${which} segment ends the run, and the event names it`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const repo = yield* openRepo(store)
        const segments = {
          old: add({ responseTurnId: "turn_1", segmentIndex: 0 }),
          new: add({ responseTurnId: "turn_1", segmentIndex: 1 }),
          unwatched: add({ responseTurnId: "turn_1", segmentIndex: 2 })
        }
        const { fiber, watcher } = yield* begin(repo, {
          ref: segments.old.ref,
          pollInterval: "20 millis"
        })
        yield* watcher.retarget(idOf(segments.new))
        assert.isFalse(yield* watcher.check)
        platform.stopMessage(idOf(segments[which]))
        assert.strictEqual(yield* Fiber.join(fiber), "stopped")
        const { request, run } = yield* watcher.cancellation
        assert.strictEqual(request.reason, "user")
        // What is not watched has no run: the event names one of the turn.
        if (which !== "unwatched") assert.strictEqual(idOf(run), idOf(segments[which]))
        assert.isTrue([segments.old, segments.new].map(idOf).includes(idOf(run)))
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
    )

    if (which === "unwatched") continue
    it.live(`the same without turns on the platform: ${which}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const repo = yield* openRepo(store)
        const segments = { old: add(), new: add() }
        const { fiber, watcher } = yield* begin(repo, {
          ref: segments.old.ref,
          pollInterval: "20 millis"
        })
        yield* watcher.retarget(idOf(segments.new))
        platform.stopMessage(idOf(segments[which]))
        assert.strictEqual(yield* Fiber.join(fiber), "stopped")
        assert.strictEqual(idOf((yield* watcher.cancellation).run), idOf(segments[which]))
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
    )
  }
})
