/**
 * PostgreSQL's LISTEN and NOTIFY as the `StopSignal` of `effect-cancellation`.
 *
 * One connection of its own listens, outside the client's pool, so that a pooler in front of the
 * store does no harm. Whether notifications arrive is tried out again and again; while they do not,
 * stops are found by polling.
 *
 * @since 0.1.0
 */
import { PgClient, type PgConnection } from "@effect/sql-pg"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  InvalidSetting,
  type Run,
  type StopHint,
  StopSignal,
  StopSignalError
} from "effect-cancellation"
import { lineOf, plainly } from "./internal/errors.ts"
import { checkUrl } from "./internal/postgresUrl.ts"
import { defaultChannel as sharedChannel } from "./internal/settings.ts"
import { type HintInbox, makeHintInbox } from "./internal/hintInbox.ts"
import { listenerConfig, openListener } from "./internal/stopListener.ts"
import { decodeStop, encodeStop } from "./internal/stopNotification.ts"
import { makeProbe } from "./internal/stopProbe.ts"

/**
 * Settings of the signal. A value that cannot work kills the layer with `InvalidSetting`.
 *
 * @category models
 * @since 0.1.0
 */
export interface PgStopSignalOptions {
  /**
   * Where to listen: the store's own server and database, past any pooler. What it leaves open is as
   * for the client, by its settings or its own URL: database, user, `application_name`,
   * `connect_timeout`; the password, unless it names another user; and the encryption (`ssl`,
   * `sslmode`), unless it leads to a Unix socket, where PostgreSQL has none. Host and port are its
   * own. Default: where the client connects, and as it does.
   */
  readonly listenUrl?: Redacted.Redacted<string> | undefined
  /**
   * The channel of the hints, 1 to 63 bytes; the same in all processes and in the store. Default
   * {@link defaultChannel}.
   */
  readonly channel?: string | undefined
  /** How often it is tried whether notifications arrive. Default 10 seconds. */
  readonly probeInterval?: Duration.Input | undefined
}

/**
 * The channel that stops are announced on if no other is set: `effect_cancellation`.
 *
 * ```ts
 * import * as PgStopSignal from "effect-cancellation-sql/PgStopSignal"
 *
 * const statement = `LISTEN ${PgStopSignal.defaultChannel}`
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export const defaultChannel: string = sharedChannel

/**
 * Provides the `StopSignal` that a `MessageRepo` listens to, on the client's database.
 *
 * It never fails and never waits for the database: a server that is away is tried again, after 100
 * milliseconds at first and 5 seconds at most, with one warning when hints stop and one line when they
 * come again; then everything that is watched is looked at. While somebody subscribes, a notification
 * is sent through the client every `probeInterval`, and must arrive at the listening connection within
 * 5 seconds. Settings that cannot work kill the layer with `InvalidSetting`.
 *
 * ```ts
 * import { PgClient } from "@effect/sql-pg"
 * import { MessageRepo } from "effect-cancellation"
 * import { SqlMessageStore } from "effect-cancellation-sql"
 * import * as PgStopSignal from "effect-cancellation-sql/PgStopSignal"
 * import { Layer, Redacted } from "effect"
 *
 * const Client = PgClient.layer({ url: Redacted.make("postgres://app@pooler:6432/app") })
 * const Signal = PgStopSignal.layer({
 *   listenUrl: Redacted.make("postgres://app@database:5432/app")
 * })
 *
 * const Repo = MessageRepo.layer().pipe(
 *   Layer.provide([SqlMessageStore.layer(), Signal]),
 *   Layer.provide(Client)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: PgStopSignalOptions = {}
): Layer.Layer<never, never, PgClient.PgClient> =>
  Layer.effect(
    StopSignal,
    Effect.suspend(() => make(options))
  )

const make = Effect.fnUntraced(function* (options: PgStopSignalOptions) {
  const client = yield* PgClient.PgClient
  const channel = yield* channelOf(options.channel ?? defaultChannel)
  const probeInterval = yield* intervalOf(options.probeInterval ?? "10 seconds")
  const soon = Duration.min(probeInterval, Duration.seconds(1))
  if (options.listenUrl !== undefined) yield* checkUrl("listenUrl", options.listenUrl)
  const config = listenerConfig(client.config, options.listenUrl)
  // Of this process alone, so that the others are not woken.
  const probeChannel = `effect_cancellation_probe_${globalThis.crypto.randomUUID().replaceAll("-", "")}`

  const wanted = yield* Latch.make(false)
  const inboxes = yield* Effect.acquireRelease(
    Effect.sync(() => new Set<HintInbox>()),
    (all) => Effect.sync(() => all.forEach((inbox) => inbox.end()))
  )
  let listening = false
  // Whether a subscriber was there while nothing listened.
  let missed = false
  // Whether a probe has arrived on the present connection, and since when that listens.
  let works = false
  let listeningSince = 0n
  let warnedAt: bigint | undefined
  let warnedOfNonsense = false

  const subscribed = Effect.acquireRelease(
    Effect.sync(() => {
      const inbox = makeHintInbox()
      inboxes.add(inbox)
      missed = missed || !listening
      wanted.openUnsafe()
      return inbox
    }),
    (inbox) =>
      Effect.sync(() => {
        inboxes.delete(inbox)
        if (inboxes.size > 0) return
        missed = false
        wanted.closeUnsafe()
      })
  )

  const tell = (hints: ReadonlyArray<StopHint>) => inboxes.forEach((inbox) => inbox.offer(hints))

  // Together what has come together: of a chat that is stopped, one look reaches all runs.
  const hear = (notifications: ReadonlyArray<PgConnection.Notification>) => {
    const runs = Arr.getSomes(notifications.map(({ payload }) => decodeStop(payload)))
    tell(runs.map((run) => ({ _tag: "Hint", run })))
    if (warnedOfNonsense || runs.length === notifications.length) return Effect.void
    warnedOfNonsense = true
    return Effect.logWarning(
      `Ignored a notification on the channel ${channel} that names no run, and will ignore further ones silently; does another program use this channel?`
    )
  }

  const probe = yield* makeProbe((payload) => client.notify(probeChannel, payload))

  const arrived = Effect.gen(function* () {
    if (works) return
    works = true
    if (warnedAt !== undefined) {
      const took = Duration.millis(Math.round(Number(listeningSince - warnedAt) / 1e6))
      warnedAt = undefined
      yield* Effect.logInfo(`Hints of stops come again, after ${Duration.format(took)}`)
    }
    if (!missed) return
    missed = false
    tell([{ _tag: "Reconnected" }])
  })

  const watch = Effect.gen(function* () {
    yield* wanted.await
    const outcome = yield* probe.send
    if (outcome === "lost") return yield* new ProbeLost()
    if (outcome === "arrived") yield* arrived
    yield* Effect.sleep(outcome === "unsent" ? soon : probeInterval)
  }).pipe(Effect.forever)

  const session = Effect.gen(function* () {
    const queues = yield* openListener(config, channel, probeChannel)
    listening = true
    listeningSince = yield* Clock.monotonicTimeNanos
    return yield* Effect.raceAllFirst([
      Effect.forever(Effect.flatMap(Queue.takeAll(queues.hints), hear)),
      Effect.forever(Effect.flatMap(Queue.take(queues.probes), probe.received)),
      watch
    ])
  }).pipe(Effect.scoped)

  const ended = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
    const lasted = works && (yield* Clock.monotonicTimeNanos) - listeningSince >= enough
    works = false
    listening = false
    missed = inboxes.size > 0
    if (warnedAt === undefined) {
      warnedAt = yield* Clock.monotonicTimeNanos
      yield* Effect.logWarning(
        `Hints of stops do not arrive; until they do, stops are found by polling. ${lineOf(Cause.squash(cause))}`
      )
    }
    return lasted
  })

  yield* Effect.exit(session).pipe(
    Effect.flatMap(Exit.match({ onFailure: ended, onSuccess: Effect.succeed })),
    // One that never worked, or not for long, is tried again later and later; after one that did, it
    // begins anew.
    Effect.filterOrFail((lasted) => lasted),
    Effect.retry(backOff),
    Effect.repeat(Schedule.jittered(Schedule.spaced("100 millis"))),
    Effect.forkScoped
  )

  return {
    publish: (run: Run) =>
      Effect.suspend(() => client`SELECT pg_notify(${channel}, ${encodeStop(run)})`).pipe(
        Effect.mapError((cause) => new StopSignalError({ cause: plainly(cause) })),
        Effect.asVoid
      ),
    hints: Stream.unwrap(Effect.map(subscribed, ({ hints }) => hints))
  }
})

class ProbeLost extends Schema.TaggedError<ProbeLost>("effect-cancellation-sql/ProbeLost")(
  "ProbeLost",
  {}
) {
  override get message(): string {
    return "A notification sent through the client did not arrive within 5 seconds. The listening connection may be frozen; or it leads to another server or database, or through a pooler that forgets LISTEN: then set listenUrl to the store's own server and database, past the pooler."
  }
}

// In nanoseconds: as long as the longest pause.
const enough = 5_000_000_000n

const backOff = Schedule.min([
  Schedule.exponential("100 millis"),
  Schedule.spaced("5 seconds")
]).pipe(Schedule.jittered)

const invalid = (option: string, value: string, range: string) =>
  Effect.die(new InvalidSetting({ option, value, range }))

const intervalOf = (input: Duration.Input): Effect.Effect<Duration.Duration> => {
  // A number that is none has become zero by then.
  const interval = Option.getOrElse(Duration.fromInput(input), () => Duration.zero)
  return Duration.isFinite(interval) && Duration.isPositive(interval)
    ? Effect.succeed(interval)
    : invalid("probeInterval", Duration.format(interval), "a finite time above zero")
}

const channelOf = (channel: string): Effect.Effect<string> => {
  const bytes = new TextEncoder().encode(channel).byteLength
  return bytes > 0 && bytes <= 63 && !channel.includes("\0")
    ? Effect.succeed(channel)
    : invalid("channel", JSON.stringify(channel), "a name of 1 to 63 bytes")
}
