/**
 * The hints of a server, on one connection for all who want them: made while somebody does, again and
 * again while the server is away.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import * as Sse from "effect/encoding/Sse"
import * as Stream from "effect/Stream"
import { StopHint } from "effect-cancellation"
import type { AgentClient } from "./agentClient.ts"
import { makeFanOut } from "./agentFanOut.ts"
import { AgentTrouble, troubleOf } from "./agentTrouble.ts"

export const makeAgentListener = Effect.fnUntraced(function* (options: {
  readonly client: AgentClient
  readonly baseUrl: string
  readonly requestTimeout: Duration.Duration
  readonly keepAlive: Duration.Duration
}) {
  const { baseUrl, client, keepAlive, requestTimeout } = options
  const silence = Duration.times(keepAlive, 3)
  let warnedAt: number | undefined

  const isBack = Effect.gen(function* () {
    if (warnedAt === undefined) return
    const took = Duration.millis((yield* Clock.currentTimeMillis) - warnedAt)
    warnedAt = undefined
    yield* Effect.logInfo(`Hints of stops come again, after ${Duration.format(took)}`)
  })

  const isAway = Effect.fnUntraced(function* (why: AgentTrouble) {
    if (warnedAt !== undefined) return
    warnedAt = yield* Clock.currentTimeMillis
    yield* Effect.logWarning(
      `Hints of stops do not arrive; until they do, stops are found by polling. ${why.message}`
    )
  })

  const open = Effect.timeoutOrElse(
    client.hints.open.pipe(
      Effect.filterOrFail(
        ({ headers, status }) =>
          status === 200 && /^text\/event-stream\s*(;|$)/i.test(headers["content-type"] ?? ""),
        ({ status }) =>
          new AgentTrouble({ reason: `${baseUrl} answered ${status}, and no stream of hints` })
      )
    ),
    {
      duration: requestTimeout,
      orElse: () => Effect.fail(new AgentTrouble({ reason: `${baseUrl} did not answer in time` }))
    }
  )

  /**
   * Ends when the server ends the stream, or the token is not the present one any more; `heard` with
   * the first that comes.
   */
  const session = (heard: Effect.Effect<void>, tell: (hint: StopHint) => Effect.Effect<void>) =>
    Effect.gen(function* () {
      const response = yield* Effect.andThen(client.gate.pass, open)
      let isFirst = true
      return yield* response.stream.pipe(
        Stream.timeoutOrElse({
          duration: silence,
          orElse: () =>
            Stream.fail(
              new AgentTrouble({
                reason: `${baseUrl} has said nothing for ${Duration.format(silence)}`
              })
            )
        }),
        Stream.tap(() => {
          if (!isFirst) return Effect.void
          isFirst = false
          return heard
        }),
        Stream.decodeText,
        Stream.pipeThroughChannel(Sse.decodeDataSchema(StopHint)),
        Stream.runForEach(({ data }) => tell(data)),
        Effect.as("ended" as const),
        Effect.raceFirst(Effect.as(client.hints.outdated, "outdated" as const))
      )
    }).pipe(
      Effect.scoped,
      Effect.mapError((error) => troubleOf(baseUrl, error))
    )

  const source = (tell: (hint: StopHint) => Effect.Effect<void>) => {
    let failures = 0

    const once = Effect.gen(function* () {
      const beganAt = yield* Clock.currentTimeMillis
      let works = false
      const heard = Effect.gen(function* () {
        works = true
        yield* isBack
        // Whatever was published since the last connection, or since somebody listens, was missed.
        yield* tell(reconnected)
      })
      const exit = yield* Effect.exit(session(heard, tell))
      if (Exit.isFailure(exit)) {
        yield* isAway(troubleOf(baseUrl, Cause.squash(exit.cause)))
      } else if (!works && exit.value === "ended") {
        yield* isAway(new AgentTrouble({ reason: `${baseUrl} ended the stream at once` }))
      }
      // A server that ends every stream soon is asked later and later as well.
      if (works && (yield* Clock.currentTimeMillis) - beganAt >= longestPause) failures = 0
      yield* Effect.sleep(Math.min(shortestPause * 2 ** failures++, longestPause))
    })
    return Effect.forever(once)
  }

  return yield* makeFanOut<StopHint>({ source, missed: reconnected, capacity: 1000 })
})

const shortestPause = 100
const longestPause = 5000

const reconnected = StopHint.cases.Reconnected.make({})
