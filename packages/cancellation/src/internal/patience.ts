/**
 * Waiting for at most a time that is the same for all, with one timer for all who wait.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

export interface Patience {
  /** Waits for these; those that take longer than the limit are done by it. A step. */
  readonly await: (all: ReadonlyArray<Deferred.Deferred<void>>, now: number) => Effect.Effect<void>
}

interface Wait {
  readonly all: ReadonlyArray<Deferred.Deferred<void>>
  readonly until: number
}

export const makePatience = (options: {
  readonly scope: Scope.Scope
  readonly context: Context.Context<never>
  readonly limit: Duration.Duration
}): Patience => {
  const limit = Duration.toMillis(options.limit)
  // Who came first waits no longer than who came after.
  let waits: Array<Wait> = []
  let waiting = 0
  let isTimed = false
  let timer: Fiber.Fiber<void> | undefined

  const isDone = ({ all }: Wait): boolean => all.every(Deferred.isDoneUnsafe)

  const endWaits = Effect.gen(function* () {
    for (;;) {
      const now = yield* Clock.currentTimeMillis
      for (const { all, until } of waits) {
        if (until > now) break
        for (const deferred of all) Deferred.doneUnsafe(deferred, Effect.void)
      }
      waits = waits.filter((wait) => !isDone(wait))
      const [next] = waits
      if (next === undefined) return
      yield* Effect.sleep(next.until - now)
    }
  }).pipe(Effect.updateContext((_: Context.Context<never>) => options.context))

  const start = Effect.map(Effect.forkIn(endWaits, options.scope), (fiber) => {
    timer = fiber
    // Not a finalizer of its own: interrupted before its first step it would run none.
    fiber.addObserver(() => {
      timer = undefined
      isTimed = false
    })
  })

  return {
    await: (all, now) => {
      const wait = { all, until: now + limit }
      if (isDone(wait)) return Effect.void
      waits.push(wait)
      waiting++
      const awaited = Effect.forEach(all, Deferred.await, { discard: true }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            // The last to go puts out the light: a timer keeps a process alive.
            if (--waiting > 0) return
            waits = []
            timer?.interruptUnsafe()
          })
        )
      )
      if (isTimed) return awaited
      isTimed = true
      return Effect.andThen(start, awaited)
    }
  }
}
