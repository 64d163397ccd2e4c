/**
 * Runs on PostgreSQL whose work never ends, and the statements that they cost.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { CancellationWatcher, MessageRef, MessageRepo } from "effect-cancellation"
import { Migrations } from "effect-cancellation-sql"
import * as Postgres from "effect-cancellation-sql/Postgres"
import { SqlClient } from "effect/sql"

/**
 * Runs a part in a process that ends with it: to end what is left is not waited for, a hundred
 * thousand runs would take ten seconds.
 */
export const runInProcess = <A, E>(part: Effect.Effect<A, E, Scope.Scope>): Promise<A> =>
  part.pipe(
    Effect.provideService(Scope.Scope, Scope.makeUnsafe()),
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    Effect.runPromise
  )

/** Milliseconds of a clock that all processes of this machine share. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

/** A hundred messages to a chat, in chats of the group. */
const messageOf = (group: string, index: number): MessageRef =>
  MessageRef.of({
    chatId: `${group}-${Math.floor(index / 100)}`,
    messageId: `${group}-${index}`
  })

/** The ports on a pool of connections, with the tables made. */
export const storesOn = (url: string, options: Omit<Postgres.PostgresOptions, "url"> = {}) =>
  Migrations.layer.pipe(Layer.provideMerge(Postgres.layer({ ...options, url: Redacted.make(url) })))

/** The same, with a repo. */
export const repoOn = (url: string, options?: Omit<Postgres.PostgresOptions, "url">) =>
  MessageRepo.layer().pipe(Layer.provideMerge(storesOn(url, options)))

/** Work that never ends by itself, and says when it is interrupted. */
export const workOf = (ref: MessageRef, onInterrupt: (ref: MessageRef) => void) =>
  Effect.onInterrupt(Effect.never, () => Effect.sync(() => onInterrupt(ref)))

/** Notes when the work of each message was interrupted. */
export const noteInterrupts = () => {
  const moments = new Map<string, number>()
  return {
    /** By message. */
    moments,
    onInterrupt: ({ messageId }: MessageRef) => void moments.set(messageId, now())
  }
}

/**
 * Starts runs, each a fiber of the scope that ends with the last write of the run; calls back when
 * one's work was interrupted.
 */
export const startAgents = (
  refs: ReadonlyArray<MessageRef>,
  {
    onInterrupt = () => {},
    pollInterval
  }: {
    readonly onInterrupt?: (ref: MessageRef) => void
    readonly pollInterval?: Duration.Input
  } = {}
) =>
  forkAll(
    refs.map((ref) =>
      workOf(ref, onInterrupt).pipe(
        CancellationWatcher.runWithCancellation({ cancelResult: undefined }),
        Effect.provide(CancellationWatcher.layer({ ref, pollInterval }), { local: true })
      )
    )
  )

/**
 * Runs each in a fiber until the scope closes, and then ends them all at once, as the end of a process
 * does: `forkScoped` would end one after the other.
 */
export const forkAll = <A, E, R>(effects: ReadonlyArray<Effect.Effect<A, E, R>>) =>
  Effect.acquireRelease(
    Effect.forEach(effects, (effect) => Effect.forkDetach(effect)),
    Fiber.interruptAll
  )

export const messagesOf = (group: string, count: number, from = 0): ReadonlyArray<MessageRef> =>
  Array.from({ length: count }, (_, index) => messageOf(group, from + index))

/** Waits until so many runs of the group are known to the store and have not ended. */
export const untilRunning = (group: string, accept: (running: number) => boolean) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql<{ readonly running: number }>`
      SELECT CAST(count(*) AS integer) AS running FROM agent_runs
      WHERE outcome IS NULL AND chat_id LIKE ${`${group}-%`}`.pipe(
      Effect.map(([row]) => row?.running ?? 0),
      Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: accept }),
      Effect.withTracerEnabled(false)
    )
  )

/** Starts runs, and waits until the store knows them all: a few thousand at a time. */
export const startKnown = Effect.fnUntraced(function* (
  group: string,
  refs: ReadonlyArray<MessageRef>,
  options?: Parameters<typeof startAgents>[1]
) {
  const agents: Array<Fiber.Fiber<void>> = []
  while (agents.length < refs.length) {
    const some = yield* startAgents(refs.slice(agents.length, agents.length + 5000), options)
    agents.push(...some)
    yield* untilRunning(group, (running) => running >= agents.length)
  }
  return agents
})

/** What a repo asks of its database. */
export interface Statements {
  /** The statements of each tick that is over, one number a tick. */
  readonly ofTicks: () => ReadonlyArray<number>
  /** The texts of all that were not a tick's. */
  readonly others: ReadonlyArray<string>
}

/** A tracer that counts statements as the driver sends them: each has a span. */
export const countStatements = (): { readonly tracer: Tracer.Tracer } & Statements => {
  const ticks = new Map<Tracer.Span, number>()
  const others: Array<string> = []
  const noted = (span: Tracer.Span, key: string, value: unknown) => {
    if (key === "effect_cancellation.by" && value === "poll") ticks.set(span, 0)
    if (key !== "db.query.text") return
    const tick = rootOf(span)
    const before = ticks.get(tick)
    if (before === undefined) others.push(String(value))
    else ticks.set(tick, before + 1)
  }
  return {
    tracer: Tracer.make({ span: (options) => new NotedSpan(options, noted) }),
    ofTicks: () =>
      Array.from(ticks).flatMap(([{ status }, count]) => (status._tag === "Ended" ? [count] : [])),
    others
  }
}

const rootOf = (span: Tracer.Span): Tracer.Span =>
  Option.isSome(span.parent) && span.parent.value._tag === "Span" ? rootOf(span.parent.value) : span

class NotedSpan extends Tracer.NativeSpan {
  readonly #noted: (span: Tracer.Span, key: string, value: unknown) => void
  constructor(
    options: ConstructorParameters<typeof Tracer.NativeSpan>[0],
    noted: (span: Tracer.Span, key: string, value: unknown) => void
  ) {
    super(options)
    this.#noted = noted
  }
  override attribute(key: string, value: unknown): void {
    super.attribute(key, value)
    this.#noted(this, key, value)
  }
}
