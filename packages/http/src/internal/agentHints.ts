/**
 * The hints of the server's own signal as server-sent events, to each agent those of its runs.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type Run, StopHint, type StopSignalService } from "effect-cancellation"
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
    const hear = (hint: StopHint) => {
      failures = 0
      return Effect.flatMap(eventOf(hint), tell)
    }
    return Stream.runForEach(signal.hints, hear).pipe(
      Effect.catchCause((cause) =>
        Effect.logWarning("The signal of the server failed; subscribing again", cause)
      ),
      Effect.andThen(tell(missed)),
      Effect.andThen(Effect.suspend(() => Effect.sleep(Math.min(100 * 2 ** failures++, 5000)))),
      Effect.forever
    )
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
