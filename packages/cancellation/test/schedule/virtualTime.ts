/**
 * Effects without a wall clock and without the event loop: a scheduler and a clock that move only
 * when they are told to.
 *
 * So a schedule can put its next action between any two steps of the fibers, thousands of schedules
 * take seconds, and the same seed gives the same interleaving.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"

export interface VirtualTime {
  /** What fibers must run with to be under control. */
  readonly context: Context.Context<never>
  readonly now: () => number
  /** Runs ready tasks, at most so many; answers how many were run. */
  readonly turn: (limit?: number) => number
  /** Lets so much time pass, waking what sleeps until then; runs everything that is ready. */
  readonly advance: (millis: number) => void
  /** Runs an effect that needs no time to its end. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => A
  readonly isQuiet: () => boolean
  readonly liveFibers: () => number
  readonly sleepers: () => number
  /** Texts that were logged, with the number of times. */
  readonly logged: ReadonlyMap<string, number>
}

interface Sleeper {
  readonly until: number
  readonly wake: () => void
}

interface Lane {
  readonly tasks: Array<{ readonly task: () => void; readonly priority: number }>
}

// More steps than any schedule needs: beyond it something spins.
const mostSteps = 50_000

/**
 * @param order 0 wakes and runs everything in the order it came; any other number seeds another
 *   order among fibers of different trees, whose order Effect does not promise.
 */
export const makeVirtualTime = (order: number, budget: number): VirtualTime => {
  const lanes: Array<Lane> = []
  const sleepers: Array<Sleeper> = []
  const logged = new Map<string, number>()
  let now = 0
  let live = 0
  let state = order

  // xorshift: 0 stays 0, so that order 0 is the order of arrival.
  const choose = (count: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % count
  }

  const scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount >= budget,
    makeDispatcher: () => {
      const lane: Lane = { tasks: [] }
      return {
        scheduleTask: (task, priority) => {
          if (lane.tasks.length === 0) lanes.push(lane)
          const after = lane.tasks.findIndex((other) => other.priority > priority)
          lane.tasks.splice(after === -1 ? lane.tasks.length : after, 0, { task, priority })
        },
        flush: () => {
          turn()
        }
      }
    }
  }

  const turn = (limit = Number.POSITIVE_INFINITY): number => {
    let steps = 0
    while (lanes.length > 0 && steps < limit) {
      if (steps++ > mostSteps) throw new Error("The fibers do not come to rest")
      const [lane] = lanes.splice(choose(lanes.length), 1)
      const next = lane?.tasks.shift()
      if (lane !== undefined && lane.tasks.length > 0) lanes.push(lane)
      next?.task()
    }
    return steps
  }

  const advance = (millis: number): void => {
    turn()
    const end = now + millis
    let steps = 0
    for (let next = sleepers[0]; next !== undefined && next.until <= end; next = sleepers[0]) {
      if (steps++ > mostSteps) throw new Error("The sleepers do not come to rest")
      sleepers.shift()
      now = next.until
      next.wake()
      // What wakes at the same time may do so in one go, or each after the other has done its work.
      if (choose(2) === 0 || sleepers[0]?.until !== now) turn()
    }
    now = end
    turn()
  }

  const sleep = (duration: Duration.Duration): Effect.Effect<void> => {
    const millis = Duration.toMillis(duration)
    if (!(millis > 0)) return Effect.yieldNow
    return Effect.callback<void>((resume) => {
      const sleeper: Sleeper = { until: now + millis, wake: () => resume(Effect.void) }
      const after = sleepers.findIndex((other) => other.until > sleeper.until)
      sleepers.splice(after === -1 ? sleepers.length : after, 0, sleeper)
      return Effect.sync(() => {
        const index = sleepers.indexOf(sleeper)
        if (index !== -1) sleepers.splice(index, 1)
      })
    })
  }

  const nanos = () => BigInt(Math.round(now * 1_000_000))
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => now,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep
  }

  const logger = Logger.make<unknown, void>(({ message }) => {
    const text = String(Array.isArray(message) ? message[0] : message)
    logged.set(text, (logged.get(text) ?? 0) + 1)
  })

  const context = Context.empty().pipe(
    Context.add(Clock.Clock, clock),
    Context.add(Scheduler.Scheduler, scheduler),
    Context.add(Logger.CurrentLoggers, new Set([logger])),
    // Spans would take a fifth of the time, and no law P is about them.
    Context.add(References.TracerEnabled, false),
    Context.add(Metric.MetricRegistry, new Map()),
    Context.add(Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => {
        live++
      },
      recordFiberEnd: () => {
        live--
      }
    })
  )

  return {
    context,
    now: () => now,
    turn,
    advance,
    run: <A, E>(effect: Effect.Effect<A, E>): A => {
      const fiber = Effect.runForkWith(context)(effect)
      if (fiber.pollUnsafe() === undefined) turn()
      const exit = fiber.pollUnsafe()
      if (exit === undefined) throw new Error("This effect waits for something")
      if (Exit.isFailure(exit)) throw new Error("This effect failed", { cause: exit.cause })
      return exit.value
    },
    isQuiet: () => lanes.length === 0,
    liveFibers: () => live,
    sleepers: () => sleepers.length,
    logged
  }
}
