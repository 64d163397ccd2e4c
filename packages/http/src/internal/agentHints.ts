/**
 * The hints of the server's own signal as server-sent events, to each agent those of its runs.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type Run, StopHint, type StopSignalService } from "effect-cancellation"
import { elapsed } from "./agentClock.ts"
import { makeFanOut } from "./agentFanOut.ts"
import type { IsWithin } from "./agentScope.ts"
import { alive } from "./eventStream.ts"

/** What is sent to whoever listens, rendered once; about a run, or for all. */
interface Told {
  readonly run: Run | undefined
  readonly bytes: Uint8Array
}

/** The events of one agent, until it must show its credentials again. */
type AgentHints = (isWithin: IsWithin) => Stream.Stream<Uint8Array>

export const makeAgentHints = Effect.fnUntraced(function* (options: {
  readonly signal: StopSignalService
  readonly keepAlive: Duration.Duration
  readonly maxHints: Duration.Duration
  readonly capacity: number
}) {
  const { capacity, keepAlive, maxHints, signal } = options

  const hearing = (tell: (told: Told) => Effect.Effect<void>) => {
    let failures = 0
    const hear = (hint: StopHint) => Effect.flatMap(eventOf(hint), tell)

    const subscribe = (isAgain: boolean) =>
      Effect.gen(function* () {
        const beganAt = yield* elapsed
        const hearing = yield* Effect.forkChild(Stream.runForEach(signal.hints, hear), {
          startImmediately: true
        })
        const isOpen = hearing.pollUnsafe() === undefined
        // What was published before this was missed, also by those who have come since.
        if (isAgain && isOpen) yield* tell(missed)
        const exit = yield* Fiber.await(hearing)
        // For how long it heard nothing is not known.
        if (isOpen) yield* tell(missed)
        if (Exit.isFailure(exit)) {
          yield* Effect.logWarning("The signal of the server failed; subscribing again", exit.cause)
        }
        // One that ends again and again is asked for later and later.
        if ((yield* elapsed) - beganAt >= longestPause) failures = 0
        yield* Effect.sleep(Math.min(shortestPause * 2 ** failures++, longestPause))
      })
    return Effect.andThen(subscribe(false), Effect.forever(subscribe(true)))
  }

  const listen = yield* makeFanOut<Told>({
    source: (tell) =>
      Effect.raceFirst(
        hearing(tell),
        Effect.forever(Effect.andThen(Effect.sleep(keepAlive), tell(living)))
      ),
    missed,
    capacity
  })

  const hints: AgentHints = (isWithin) =>
    listen(({ run }) => run === undefined || isWithin(run), living).pipe(
      Stream.map(({ bytes }) => bytes),
      Stream.interruptWhen(Effect.sleep(maxHints))
    )
  return hints
})

/** In milliseconds, between two subscriptions. */
const shortestPause = 100
const longestPause = 5000

const encode = Schema.encodeEffect(Schema.fromJsonString(StopHint))
const encoder = new TextEncoder()

const eventOf = (hint: StopHint) =>
  Effect.map(Effect.orDie(encode(hint)), (data): Told => ({
    run: hint._tag === "Hint" ? hint.run : undefined,
    bytes: encoder.encode(`data: ${data}\n\n`)
  }))

const missed: Told = {
  run: undefined,
  bytes: encoder.encode(`data: {"_tag":"Reconnected"}\n\n`)
}

const living: Told = { run: undefined, bytes: encoder.encode(alive) }
