// Whatever a chat lists, in whatever order: what can be read is read, and nothing else is said.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { ada, ask, isList, json, open, runOf } from "./store.fixture.ts"

const seed = Number(process.env["SEED"] ?? Date.now() % 0x7fffffff)
const runs = 150

const times = ["2026-11-29T12:00:00.000Z", "2026-11-29T12:00:01Z"]
const oddTimes = ["", false, 0, 17, "yes", "0001-01-01T00:00:00Z", {}, [], "2026-11-29"]

/** A message as the list has it, which of those that are watched. */
const message = fc.record({
  index: fc.integer({ min: 0, max: 5 }),
  role: fc.constantFrom("ASSISTANT", "ASSISTANT", "USER", "TOOL", undefined, null),
  responseTurnId: fc.constantFrom("turn_1", "turn_2", "", undefined, null),
  userAbortedAt: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(undefined, null) },
    { weight: 2, arbitrary: fc.constantFrom(...times) },
    { weight: 1, arbitrary: fc.constantFrom(...oddTimes) }
  )
})
type Listed = typeof message extends fc.Arbitrary<infer A> ? A : never

/** What nobody can read, and of which turn it may be. */
const junk = fc.constantFrom<{ readonly row: unknown; readonly turn?: string }>(
  { row: null },
  { row: "msg_0" },
  { row: 17 },
  { row: [] },
  { row: {} },
  { row: { role: "ASSISTANT", userAbortedAt: times[0] } },
  { row: { id: "x", chatId: "other", userAbortedAt: times[0] } },
  { row: { id: 5, responseTurnId: "turn_1", userAbortedAt: times[0] }, turn: "turn_1" }
)

const cases = fc.record({
  listed: fc.uniqueArray(message, { selector: ({ index }) => index, maxLength: 6 }),
  junk: fc.array(junk, { maxLength: 2 }),
  order: fc.array(fc.nat(), { minLength: 8, maxLength: 8 }),
  /** Who stands behind the back of the list: what is not listed is asked for alone. */
  alone: fc.array(fc.constantFrom("running", "stopped", "gone", "failed"), {
    minLength: 6,
    maxLength: 6
  })
})
type Case = typeof cases extends fc.Arbitrary<infer A> ? A : never

const isStop = ({ userAbortedAt }: Listed): boolean =>
  typeof userAbortedAt === "string" && times.includes(userAbortedAt)
const isOdd = (one: Listed): boolean =>
  one.userAbortedAt !== undefined && one.userAbortedAt !== null && !isStop(one)

/** What is to be said of a message, in the words of the task and not of the code. */
const expectedOf = ({ alone, junk, listed }: Case, index: number): string => {
  const own = listed.find((one) => one.index === index)
  if (own === undefined) return alone[index] ?? ""
  const turn = own.responseTurnId
  const hasTurn = turn === "turn_1" || turn === "turn_2"
  const mates = listed.filter(
    (one) =>
      one !== own &&
      hasTurn &&
      one.responseTurnId === turn &&
      // Not to say whose it is makes it nobody else's.
      ["ASSISTANT", undefined, null].includes(one.role)
  )
  if ([own, ...mates].some(isStop)) return "stopped"
  if ([own, ...mates].some(isOdd)) return "failed"
  return hasTurn && junk.some((one) => (one.turn ?? turn) === turn) ? "failed" : "running"
}

describe(`random lists (seed ${seed}, ${runs} of them)`, () => {
  it("say of each message what can be read of it", async () => {
    const met = new Map<string, number>()
    const ids = [0, 1, 2, 3, 4, 5].map((index) => `msg_${index}`)
    const watched = ids.map((id) => runOf({ ...ada, chatId: "chat", id }))
    const program = Effect.gen(function* () {
      const { platform, store } = yield* open()
      const run = Effect.runPromiseWith(yield* Effect.context())
      let now: Case | undefined
      platform.respond((request) => {
        if (now === undefined) return undefined
        if (isList(request)) {
          const rows = [
            ...now.listed.map(({ index, ...fields }) => ({ id: ids[index], ...fields })),
            ...now.junk.map(({ row }) => row)
          ]
          const { order } = now
          const data = rows
            .map((row, at) => [order[at] ?? 0, row] as const)
            .toSorted(([one], [other]) => one - other)
            .map(([, row]) => row)
          return json(200, { object: "list", data })
        }
        const id = request.path.slice(request.path.lastIndexOf("/") + 1)
        const alone = now.alone[ids.indexOf(id)]
        if (alone === "gone") return json(404, { error: { message: "Not found" } })
        return alone === "failed"
          ? json(200, { error: "half of it" })
          : json(200, { id, chatId: "chat", userAbortedAt: alone === "stopped" ? times[0] : null })
      })
      const property = fc.asyncProperty(cases, async (one) => {
        now = one
        const expected = ids.map((_, index) => expectedOf(one, index))
        const said = await run(ask(store, watched))
        assert.deepStrictEqual(said, expected)
        for (const word of said) met.set(word, (met.get(word) ?? 0) + 1)
      })
      yield* Effect.promise(() => fc.assert(property, { numRuns: runs, seed }))
    })
    await Effect.runPromise(Effect.scoped(program))
    // What never met what it is about has shown nothing.
    for (const word of ["running", "stopped", "gone", "failed"]) {
      assert.isAbove(met.get(word) ?? 0, runs / 10, word)
    }
  })
})
