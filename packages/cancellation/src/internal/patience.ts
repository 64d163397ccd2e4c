/**
 * Waiting for at most a time that is the same for all, with one timer for all who wait.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

export interface Patience {
  /** Waits for these; those that take longer than the limit are done by it. A step. */
  readonly await: (all: ReadonlyArray<Deferred.Deferred<void>>) => Effect.Effect<void>
}

interface Wait {
  readonly all: ReadonlyArray<Deferred.Deferred<void>>
  readonly until: number
}

interface Timer {
  fiber: Fiber.Fiber<void> | undefined
}

export const makePatience = (options: {
  readonly scope: Scope.Scope
  readonly context: Context.Context<never>
  readonly limit: Duration.Duration
}): Patience => {
  const { context, scope } = options
  const clock = Context.get(context, Clock.Clock)
  const limit = Duration.toMillis(options.limit)
  // Who came first waits no longer than who came after.
  let waits: Array<Wait> = []
  let waiting = 0
  let timer: Timer | undefined

  const isDone = ({ all }: Wait): boolean => all.every(Deferred.isDoneUnsafe)

  const end = (some: ReadonlyArray<Wait>): void => {
    for (const { all } of some) {
      for (const deferred of all) Deferred.doneUnsafe(deferred, Effect.void)
    }
  }

  // Who waited goes on within `end`, and may wait again there: then another timer has begun by the
  // time that it returns.
  const endWaits = (own: Timer) =>
    Effect.gen(function* () {
      for (;;) {
        const now = clock.currentTimeMillisUnsafe()
        // Nobody can have longer to wait than the limit: then the clock was set back.
        end(waits.filter(({ until }) => until <= now || until > now + limit))
        waits = waits.filter((wait) => !isDone(wait))
        const [next] = waits
        if (timer !== own) return
        if (next === undefined) {
          timer = undefined
          return
        }
        yield* Effect.sleep(next.until - now)
      }
    }).pipe(Effect.updateContext((_: Context.Context<never>) => context))

  const start = (own: Timer) =>
    Effect.map(Effect.forkIn(endWaits(own), scope), (fiber) => {
      own.fiber = fiber
      // Not a finalizer of its own: interrupted before its first step it would run none.
      fiber.addObserver(() => {
        if (timer === own) timer = undefined
        // Nobody else is left who could end them.
        if (scope.state._tag === "Closed") end(waits)
      })
    })

  return {
    await: (all) => {
      const wait = { all, until: clock.currentTimeMillisUnsafe() + limit }
      if (isDone(wait)) return Effect.void
      waits.push(wait)
      waiting++
      const awaited = Effect.forEach(all, Deferred.await, { discard: true }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            // The last to go puts out the light: a timer keeps a process alive.
            if (--waiting > 0) return
            waits = []
            const last = timer
            timer = undefined
            last?.fiber?.interruptUnsafe()
          })
        )
      )
      if (timer !== undefined) return awaited
      timer = { fiber: undefined }
      return Effect.andThen(start(timer), awaited)
    }
  }
}
