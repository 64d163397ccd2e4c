/** Law 16, where the answer to a look comes after the runs that it asked about. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { ForgetQuery, MessageRepo } from "../src/index.ts"
import { forkNow, inLab, open, openKnown, settle, stopElsewhere } from "./fixture-1.ts"

describe("Law 16: An answer that comes late", () => {
  it.effect("does not stop the run that was begun anew since it was asked for", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* MessageRepo
      const first = yield* openKnown()
      yield* stopElsewhere(first.run)
      yield* faults.set({ stopRequests: Fault.late("1 second") })
      yield* forkNow(first.watcher.check)
      yield* repo.forget(ForgetQuery.cases.Chat.make({ chatId: first.run.ref.chatId }))
      yield* first.close()
      const again = yield* open()
      yield* settle
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(yield* again.watcher.isCancelled)
    }).pipe(inLab())
  )

  it.effect("that calls the first lost does not cancel the run that was begun anew", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* MessageRepo
      const first = yield* openKnown({ pollInterval: "1 hour" })
      yield* faults.set({ leases: Fault.fail })
      yield* TestClock.adjust("31 seconds")
      yield* Effect.orDie(faults.store.sweepLost)
      yield* faults.set({ stopRequests: Fault.late("1 second") })
      yield* forkNow(first.watcher.check)
      yield* repo.forget(ForgetQuery.cases.Chat.make({ chatId: first.run.ref.chatId }))
      yield* first.close()
      const again = yield* open({ pollInterval: "1 hour" })
      yield* settle
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(yield* again.watcher.isCancelled)
    }).pipe(inLab())
  )
})
