/**
 * What a look found, handed to the runs meant.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { DetectedBy } from "../CancellationEvent.ts"
import { requestToDetection } from "../CancellationMetrics.ts"
import { type Run, runKey } from "../Message.ts"
import type { MessageStore, StopLook } from "../MessageStore.ts"
import type { MessageStoreError } from "../MessageStoreError.ts"
import type { Absence, LookBegan } from "./absence.ts"
import type { Segment } from "./feed.ts"
import type { Outage } from "./outage.ts"

export interface Findings {
  /** The answer to most looks: nobody is stopped, nobody is missing, and there was no trouble before. */
  readonly isNone: (asked: ReadonlyArray<Segment>, look: StopLook) => boolean
  /** Hands out what was found of these. Call it uninterruptibly: cut in the middle it would be lost. */
  readonly apply: (
    asked: ReadonlyArray<Segment>,
    look: StopLook,
    by: DetectedBy,
    began: LookBegan
  ) => Effect.Effect<void>
}

export const makeFindings = (options: {
  readonly store: MessageStore["Service"]
  readonly context: Context.Context<never>
  readonly outage: Outage<Segment>
  readonly absence: Absence
  /** Those that are watched. */
  readonly segmentsOf: (run: Run) => ReadonlyArray<Segment>
}): Findings => {
  const { absence, context, outage, segmentsOf } = options
  const knowsRuns = options.store.supports.runs

  // All are interrupted before anything else is done for one of them.
  const stop = Effect.fnUntraced(function* (
    { now, requests }: StopLook,
    asked: ReadonlySet<string>,
    by: DetectedBy
  ) {
    if (requests.length === 0) return
    const detectedAt = yield* Clock.currentTimeMillis
    const rest: Array<Effect.Effect<void>> = []
    for (const { request, run } of requests) {
      const watched = asked.has(runKey(run)) ? segmentsOf(run) : []
      if (watched.length === 0) continue
      for (const segment of watched) rest.push(segment.stepUnsafe(request, by, detectedAt))
      // Both times are the store's, so that no duration is taken across two clocks.
      requestToDetection.updateUnsafe(Math.max(0, now - request.userAbortedAt), context)
    }
    yield* Effect.forEach(rest, (effect) => effect, { discard: true })
  })

  const apply = Effect.fnUntraced(function* (
    asked: ReadonlyArray<Segment>,
    look: StopLook,
    by: DetectedBy,
    began: LookBegan
  ) {
    const isNews = look.requests.length + look.lost.length + look.failures.length > 0
    const keys = new Set(isNews ? asked.map((segment) => segment.key) : [])
    // Stops first: nothing else that a look brings is in a hurry.
    yield* stop(look, keys, by)
    for (const run of look.lost) {
      for (const segment of keys.has(runKey(run)) ? segmentsOf(run) : []) {
        if (segment.seen && !segment.stale) yield* segment.detect("unreachable", "local")
      }
    }
    const failed = new Set<Segment>()
    const unreached: Array<Segment> = []
    let cause: Cause.Cause<MessageStoreError> | undefined
    for (const { error, run } of look.failures) {
      for (const segment of keys.has(runKey(run)) ? segmentsOf(run) : []) {
        failed.add(segment)
        if (error.reason._tag !== "StoreUnavailable") {
          yield* outage.malformed(segment, error)
          continue
        }
        // A store of many parts, of which some did not answer.
        unreached.push(segment)
        cause ??= Cause.fail(error)
      }
    }
    if (cause !== undefined) yield* outage.failed(unreached, cause, true)
    if (!outage.isOver()) {
      // A look that finds no row of a run whose start has not arrived says nothing of its stops.
      const gone = new Set(knowsRuns ? look.gone.map(runKey) : [])
      yield* outage.reached(
        asked.filter((one) => !failed.has(one) && (one.seen || !gone.has(one.key)))
      )
    }
    yield* absence.apply(asked, look, began)
  })

  return {
    isNone: (asked, look) =>
      look.requests.length === 0 &&
      look.gone.length === 0 &&
      look.lost.length === 0 &&
      look.failures.length === 0 &&
      outage.isOver() &&
      absence.isNone(asked),
    apply
  }
}
