/** Law 11, for what a look found of runs that it ended itself. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MessageStore, Run, RunId, StopRequest } from "../src/index.ts"
import { makeAbsence } from "../src/internal/absence.ts"
import type { Segment } from "../src/internal/feed.ts"
import { makeFindings } from "../src/internal/findings.ts"
import { makeOutage } from "../src/internal/outage.ts"
import { runKey } from "../src/Message.ts"
import { refOf } from "./fixture-1.ts"

describe("Law 11: What a look found", () => {
  it.effect("does not remember as missing what its stop has ended", () =>
    Effect.gen(function* () {
      const segments: Array<Segment> = []
      const absence = makeAbsence(true)
      const outage = makeOutage<Segment>({
        scope: yield* Effect.scope,
        maxBlind: undefined,
        isWatched: ({ isWatched }) => isWatched,
        unreachable: () => Effect.void
      })
      const segmentOf = (name: string): Segment => {
        const run = Run.make({ ref: refOf(name), runId: RunId.make("run") })
        return {
          run,
          key: runKey(run),
          address: runKey(run),
          seen: true,
          stale: false,
          isWatched: true,
          isAnnounced: false,
          recheck: undefined,
          // Both are of one turn, and its run closes as it is stopped.
          stepUnsafe: () =>
            Effect.sync(() => {
              for (const segment of segments) {
                segment.isWatched = false
                absence.remove(segment)
              }
            }),
          detect: () => Effect.void
        }
      }
      const [stopped, missing] = [segmentOf("stopped"), segmentOf("missing")]
      segments.push(stopped, missing)
      const findings = makeFindings({
        store: yield* MessageStore,
        context: yield* Effect.context<never>(),
        outage,
        absence,
        segmentsOf: (run) => segments.filter((one) => one.isWatched && one.key === runKey(run))
      })
      const request = StopRequest.make({ userAbortedAt: 1, reason: "user" })
      const look = {
        requests: [{ run: stopped.run, request }],
        gone: [missing.run],
        lost: [],
        failures: [],
        now: 1
      }
      yield* findings.apply(segments.slice(), look, "poll", absence.began(segments))
      assert.isTrue(absence.isNone([]))
    }).pipe(Effect.scoped, Effect.provide(MessageStore.layerMemory()))
  )
})
