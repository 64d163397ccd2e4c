/** Waiting with one timer for all: nobody waits longer than the limit, and no timer is left behind. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { makePatience } from "../src/internal/patience.ts"
import { forkNow, settle } from "./fixture-1.ts"

const makeWaiting = Effect.gen(function* () {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const sleeping = { count: 0 }
  const clock = yield* Clock.Clock
  const counting: Clock.Clock = {
    ...clock,
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    sleep: (duration) =>
      Effect.suspend(() => {
        sleeping.count++
        return Effect.ensuring(
          clock.sleep(duration),
          Effect.sync(() => void sleeping.count--)
        )
      })
  }
  const context = yield* Effect.provideService(Effect.context<never>(), Clock.Clock, counting)
  const patience = makePatience({ scope, context, limit: Duration.seconds(5) })
  return {
    scope,
    timers: () => sleeping.count,
    await: patience.await,
    wait: (...all: ReadonlyArray<Deferred.Deferred<void>>) =>
      Effect.map(forkNow(Effect.suspend(() => patience.await(all))), (fiber) => ({
        isOver: () => fiber.pollUnsafe() !== undefined
      }))
  }
})

const make = Effect.sync(() => Deferred.makeUnsafe<void>())

describe("Patience", () => {
  it.effect("each waits for at most the limit, whoever else waits", () =>
    Effect.gen(function* () {
      const { wait } = yield* makeWaiting
      const one = yield* wait(yield* make)
      yield* TestClock.adjust("3 seconds")
      const other = yield* wait(yield* make)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual([one.isOver(), other.isOver()], [true, false])
      yield* TestClock.adjust("3 seconds")
      assert.isTrue(other.isOver())
    }).pipe(Effect.scoped)
  )

  it.effect("waits for all of them, and not for what is done", () =>
    Effect.gen(function* () {
      const { await: waitFor, wait } = yield* makeWaiting
      const [first, last] = [yield* make, yield* make]
      const both = yield* wait(first, last)
      yield* Deferred.succeed(first, undefined)
      yield* settle
      assert.isFalse(both.isOver())
      yield* Deferred.succeed(last, undefined)
      yield* settle
      assert.isTrue(both.isOver())
      assert.strictEqual(waitFor([first, last]), Effect.void)
    }).pipe(Effect.scoped)
  )

  it.effect("one timer for all, gone with the last who waits", () =>
    Effect.gen(function* () {
      const { timers, wait } = yield* makeWaiting
      const all = [yield* make, yield* make, yield* make]
      for (const one of all) yield* wait(one)
      assert.strictEqual(timers(), 1)
      for (const one of all) yield* Deferred.succeed(one, undefined)
      yield* settle
      assert.strictEqual(timers(), 0)
      const again = yield* wait(yield* make)
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(again.isOver())
      assert.strictEqual(timers(), 0)
    }).pipe(Effect.scoped)
  )

  it.effect("nobody waits on as the scope closes", () =>
    Effect.gen(function* () {
      const { scope, wait } = yield* makeWaiting
      const waiting = yield* wait(yield* make)
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.isTrue(waiting.isOver())
    }).pipe(Effect.scoped)
  )
})

describe("Patience where the clock is set back", () => {
  it.effect("waits no longer for that", () =>
    Effect.gen(function* () {
      const base = yield* Clock.Clock
      let offset = 0
      const millis = () => base.currentTimeMillisUnsafe() + offset
      const clock: Clock.Clock = {
        ...base,
        currentTimeMillisUnsafe: millis,
        currentTimeMillis: Effect.sync(millis),
        sleep: (duration) => base.sleep(duration)
      }
      const scope = yield* Scope.fork(yield* Effect.scope)
      const context = yield* Effect.provideService(Effect.context<never>(), Clock.Clock, clock)
      const patience = makePatience({ scope, context, limit: Duration.seconds(5) })
      const never = Deferred.makeUnsafe<void>()
      const waiting = yield* forkNow(Effect.suspend(() => patience.await([never])))
      yield* TestClock.adjust("1 second")
      offset = -3_600_000
      yield* TestClock.adjust("4 seconds")
      assert.isDefined(waiting.pollUnsafe())
    }).pipe(Effect.scoped)
  )
})
