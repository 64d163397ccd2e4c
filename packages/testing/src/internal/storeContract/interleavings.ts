import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  type MessageStoreError,
  type Run,
  RunOutcome,
  runKey,
  RunQuery,
  type RunRecord,
  type StopReceipt
} from "effect-cancellation"
import { seededRandom } from "../seededRandom.ts"
import { aims, by, type Contract, freshRun, runOf, start, type Store } from "./contract.ts"

/** What one answer says of one run; what it does not say is undefined. */
type View = { readonly run: Run } & Partial<
  Pick<RunRecord, "request" | "observedAt" | "endedAt" | "outcome">
> & { readonly current?: boolean }

/** What one of the concurrent callers did, and what it was told. */
interface Step {
  readonly what: string
  readonly views: ReadonlyArray<View>
}

type Action = Effect.Effect<Step, MessageStoreError>

const viewOf = (receipt: StopReceipt): ReadonlyArray<View> => {
  if (receipt._tag === "Pending") return assert.fail("there is a run, so nothing is pending")
  return [receipt._tag === "Superseded" ? { run: receipt.run, current: false } : receipt]
}

const stopping = (store: Store, actor: string, run: Run, aim: number): Action => {
  const [what, target] = aims[aim % aims.length] ?? assert.fail("there are aims")
  return Effect.map(store.requestStop(target(run), by(actor)), (receipts) => ({
    what: `${actor}: stop of the ${what}`,
    views: receipts.flatMap(viewOf)
  }))
}

const advancing = (store: Store, run: Run, to: "observed" | RunOutcome): Action =>
  Effect.map(store.advanceRuns([{ run, to }]), (records) => {
    assert.strictEqual(records.length, 1)
    assert.isTrue(to === "observed" || records[0]?.outcome !== undefined, "an end is an end")
    return { what: to, views: records }
  })

const restarting = (store: Store, run: Run): Action =>
  Effect.map(start(store, run), (record) => ({ what: "start", views: [record] }))

/** Fifty things that may happen to a run, in an order that the seed decides. */
const chaos = (store: Store, run: Run, seed: number): ReadonlyArray<Action> => {
  const random = seededRandom(seed)
  const among = (n: number) => Math.floor(random() * n)
  return Array.from({ length: 50 }, (_, index): Action => {
    const kind = random()
    const action =
      kind < 0.4
        ? stopping(store, `actor-${index}`, run, among(3))
        : kind < 0.6
          ? advancing(store, run, "observed")
          : kind < 0.7
            ? advancing(store, run, RunOutcome.literals[among(6)] ?? "completed")
            : kind < 0.9
              ? restarting(store, run)
              : restarting(store, runOf(run.ref))
    const pauses = Array.from({ length: among(5) }, () => Effect.yieldNow)
    return Effect.andThen(Effect.all(pauses), action)
  })
}

/** Whatever an answer says is what the record says in the end: it was set once, for all to see. */
const agrees = (view: View, final: RunRecord, what: string) => {
  const says = { ...view.request }
  if (view.request !== undefined) assert.deepStrictEqual(says, { ...final.request }, what)
  for (const field of ["observedAt", "endedAt", "outcome"] as const) {
    if (view[field] !== undefined) assert.strictEqual(view[field], final[field], what)
  }
  // The one thing that changes: a run that is current now may be superseded later, never the reverse.
  if (view.current === false) assert.isFalse(final.current, what)
}

const isInOrder = ({ endedAt, observedAt, request, startedAt }: RunRecord) => {
  const times = [startedAt, request?.userAbortedAt, observedAt, endedAt].filter(
    (time) => time !== undefined
  )
  assert.deepStrictEqual(
    times,
    times.toSorted((left, right) => left - right)
  )
}

const agreesInTheEnd = Effect.fnUntraced(function* (store: Store, run: Run, seed: number) {
  yield* start(store, run)
  const steps = yield* Effect.all(chaos(store, run, seed), { concurrency: "unbounded" })
  const query = RunQuery.cases.Refs.make({ refs: [run.ref] })
  const finals = new Map(
    (yield* store.findRuns(query)).map((record) => [runKey(record.run), record])
  )
  assert.strictEqual(Array.from(finals.values()).filter(({ current }) => current).length, 1)
  const views = steps.flatMap((step) => step.views.map((view) => ({ ...step, view })))
  for (const { view, what } of views) {
    const final = finals.get(runKey(view.run)) ?? assert.fail(`${what}: no such run in the end`)
    agrees(view, final, what)
  }
  for (const final of finals.values()) {
    isInOrder(final)
    const { observedAt, request } = final
    if (request === undefined) {
      assert.isUndefined(observedAt)
      continue
    }
    const winner = views.some(
      ({ view, what }) =>
        what.startsWith(`${request.requestedBy}:`) &&
        runKey(view.run) === runKey(final.run) &&
        view.request !== undefined
    )
    assert.isTrue(winner, "whose stop it is was told so")
  }
})

export const interleavings = ({ group }: Contract, seed: number) =>
  group("at the same time", (test) => {
    for (const nth of [0, 1, 2, 3, 4, 5, 6, 7]) {
      const seedNow = (seed + nth) >>> 0
      test(
        ["runs", "stops", "find"],
        `50 stops, ends and restarts of one run happen in one order that all answers agree on (${nth + 1})`,
        (store) =>
          agreesInTheEnd(store, freshRun(), seedNow).pipe(
            Effect.tapCause(() => Effect.logError(`to see it again: { seed: ${seed} }`))
          )
      )
    }
  })
