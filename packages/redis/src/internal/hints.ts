/**
 * The hints of a process: subscribes while somebody wants them, again and again while Redis is away,
 * and tells when they stop and when they come again.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { StopHint } from "effect-cancellation"
import { connect } from "./connection.ts"
import { decodeStop } from "./payload.ts"
import { makeProbe, type ProbeLost } from "./probe.ts"
import type { Publish } from "./publisher.ts"
import type { RedisServer } from "./redisServer.ts"
import { RedisTrouble } from "./trouble.ts"

export const makeHints = Effect.fnUntraced(function* (options: {
  readonly server: RedisServer
  readonly channel: string
  readonly probeInterval: Duration.Duration
  readonly publish: Publish
}) {
  const { channel, probeInterval, publish, server } = options
  const soon = Duration.min(probeInterval, Duration.seconds(1))
  // Of this process alone, so that the others are not woken.
  const probeChannel = `${channel}:probe:${globalThis.crypto.randomUUID()}`
  const probe = makeProbe((payload) => publish(probeChannel, payload))

  const hints = yield* Effect.acquireRelease(PubSub.unbounded<StopHint>(), PubSub.shutdown)
  const wanted = yield* Latch.make(false)
  const unwanted = yield* Latch.make(true)
  let subscribers = 0
  let listening = false
  // Whether a subscriber was there while nothing listened, or nobody knew whether hints arrive.
  let missed = false
  // Whether the last probe arrived.
  let works = false
  // Since when the present connection listens, if a probe has arrived on it.
  let listeningSince = 0n
  let worked = false
  let warnedAt: bigint | undefined
  let warnedOfNonsense = false

  const subscriber = Effect.acquireRelease(
    Effect.sync(() => {
      subscribers++
      missed = missed || !listening || !works
      unwanted.closeUnsafe()
      wanted.openUnsafe()
    }),
    () =>
      Effect.sync(() => {
        if (--subscribers > 0) return
        missed = false
        wanted.closeUnsafe()
        unwanted.openUnsafe()
      })
  )

  const hear = (payload: string) => {
    const run = decodeStop(payload)
    if (Option.isSome(run)) {
      return Effect.asVoid(PubSub.publish(hints, StopHint.cases.Hint.make({ run: run.value })))
    }
    if (warnedOfNonsense) return Effect.void
    warnedOfNonsense = true
    return Effect.logWarning(
      `Ignored a message on the channel ${channel} that names no run, and will ignore further ones silently; does another program use this channel?`
    )
  }

  const lookAtAll = PubSub.publish(hints, StopHint.cases.Reconnected.make({}))

  const arrived = Effect.gen(function* () {
    works = true
    worked = true
    if (warnedAt !== undefined) {
      const took = Number((yield* Clock.monotonicTimeNanos) - warnedAt) / 1e6
      warnedAt = undefined
      yield* Effect.logInfo(`Hints of stops come again, after ${lasting(took)}`)
    }
    if (!missed) return
    missed = false
    yield* lookAtAll
  })

  const warn = Effect.fnUntraced(function* (what: string, why: string) {
    if (warnedAt !== undefined) return
    warnedAt = yield* Clock.monotonicTimeNanos
    yield* Effect.logWarning(`${what} ${why}`)
  })

  // Hints of others may still arrive: who listens goes on.
  const unsent = Effect.fnUntraced(function* (why: RedisTrouble, isFirst: boolean) {
    if (isFirst && missed) yield* lookAtAll
    missed = missed || works
    works = false
    yield* warn(
      "Whether hints of stops arrive cannot be tried out; stops are found by polling all the same.",
      why.message
    )
  })

  const watch = Effect.gen(function* () {
    let isFirst = true
    while (true) {
      const exit = yield* Effect.result(probe.send)
      if (exit._tag === "Success") yield* arrived
      else if (exit.failure instanceof RedisTrouble) yield* unsent(exit.failure, isFirst)
      else return yield* exit.failure
      isFirst = false
      yield* Effect.sleep(works ? probeInterval : soon)
    }
  })

  const session: Effect.Effect<never, RedisTrouble | ProbeLost> = Effect.gen(function* () {
    const { ask, broken, client } = yield* connect(server, "effect-cancellation-listen")
    const messages = yield* Queue.unbounded<readonly [channel: string, payload: string]>()
    yield* ask(() =>
      client.subscribe([channel, probeChannel], (payload, from) => {
        Queue.offerUnsafe(messages, [from, payload])
      })
    ).pipe(
      Effect.timeoutOrElse({
        duration: "5 seconds",
        orElse: () => Effect.fail(new RedisTrouble({ reason: "SUBSCRIBE is not answered" }))
      })
    )
    listening = true
    listeningSince = yield* Clock.monotonicTimeNanos
    return yield* Effect.raceAllFirst([
      broken,
      Effect.forever(
        Effect.flatMap(Queue.take(messages), ([from, payload]) =>
          from === probeChannel ? probe.received(payload) : hear(payload)
        )
      ),
      watch
    ])
  }).pipe(Effect.scoped)

  const ended = Effect.fnUntraced(function* (
    exit: Option.Option<Exit.Exit<never, RedisTrouble | ProbeLost>>
  ) {
    const lasted = worked && (yield* Clock.monotonicTimeNanos) - listeningSince >= enough
    works = false
    worked = false
    listening = false
    missed = subscribers > 0
    // Nobody wants them any more.
    if (Option.isNone(exit) || !Exit.isFailure(exit.value)) return true
    const error = Cause.squash(exit.value.cause)
    yield* warn(
      "Hints of stops do not arrive; until they do, stops are found by polling.",
      error instanceof Error ? error.message : String(error)
    )
    return lasted
  })

  yield* wanted.await.pipe(
    Effect.andThen(
      Effect.raceFirst(
        Effect.asSome(Effect.exit(session)),
        Effect.as(unwanted.await, Option.none())
      )
    ),
    Effect.flatMap(ended),
    // One that never worked, or not for long, is tried again later and later; after one that did, it
    // begins anew.
    Effect.filterOrFail((lasted) => lasted),
    Effect.retry(backOff),
    Effect.repeat(Schedule.jittered(Schedule.spaced("100 millis"))),
    Effect.forkScoped
  )

  return Stream.unwrap(
    Effect.gen(function* () {
      const subscription = yield* PubSub.subscribe(hints)
      yield* subscriber
      return Stream.fromSubscription(subscription)
    })
  )
})

// In nanoseconds: as long as the longest pause.
const enough = 5_000_000_000n

const backOff = Schedule.min([
  Schedule.exponential("100 millis"),
  Schedule.spaced("5 seconds")
]).pipe(Schedule.jittered)

// As a person reads it: whole seconds from ten on, whole milliseconds below.
const lasting = (millis: number): string =>
  Duration.format(
    Duration.millis(millis < 10_000 ? Math.round(millis) : Math.round(millis / 1000) * 1000)
  )
