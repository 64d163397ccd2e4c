/** Processes of agents with stops arriving all the time, and an account of them at the end. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import {
  ChatId,
  MessageId,
  MessageRef,
  MessageRepo,
  Run,
  RunId,
  StopTarget
} from "effect-cancellation"
import { Migrations } from "../../src/index.ts"
import * as Postgres from "../../src/Postgres.ts"
import { until } from "../support/until.ts"
import * as AgentProcess from "./AgentProcess.ts"
import * as Figures from "./Figures.ts"
import { type Entry, makeJournal, stopsOf } from "./Journal.ts"
import * as Ledger from "./Ledger.ts"
import { Command, type Settings } from "./messages.ts"

export interface TrialOptions {
  /** The store, past whatever the test breaks. */
  readonly direct: Redacted.Redacted
  /** The store as the agents reach it. Default: directly. */
  readonly url?: Redacted.Redacted
  readonly listenUrl?: Redacted.Redacted
  /** The store as the process that takes the stops reaches it. Default: directly. */
  readonly stopsUrl?: Redacted.Redacted
  readonly settings?: Partial<Settings>
  /** Agents of each process. */
  readonly agents?: number
  readonly processes?: ReadonlyArray<string>
  /** The process that takes the stops holds a lease too, and buries the dead. */
  readonly sweeps?: boolean
}

const defaults = {
  pollInterval: 2000,
  pollTimeout: 1000,
  leaseTtl: 2000,
  finalWriteTimeout: 60_000
}

export const make = Effect.fn("Trial.make")(function* ({
  agents = 200,
  direct,
  listenUrl,
  processes: names = ["one", "two"],
  stopsUrl = direct,
  sweeps = false,
  url = direct,
  ...options
}: TrialOptions) {
  const settings: Settings = {
    ...defaults,
    ...options.settings,
    url: Redacted.value(url),
    ...(listenUrl === undefined ? {} : { listenUrl: Redacted.value(listenUrl) })
  }
  const journal = makeJournal()
  const faults: Array<Figures.Fault> = []
  let number = 0

  yield* migrate(direct)
  const repo = yield* repoOf(stopsUrl, settings)
  if (sweeps) yield* repo.sweepLost

  const processes = yield* Effect.forEach(
    names,
    (name) =>
      AgentProcess.start(name, settings, (report) => {
        journal.hear(name, report)
        if (report._tag === "Ended") replace(name)
      }),
    { concurrency: "unbounded" }
  )
  const processOf = (name: string) => processes.filter((one) => one.name === name)

  // Eight messages a chat, so that a stop has neighbours which it must not touch.
  const freshRun = (process: string) => {
    const id = ++number
    const run = Run.make({
      ref: MessageRef.make({
        chatId: ChatId.make(`chat-${id >> 3}`),
        messageId: MessageId.make(`message-${id}`)
      }),
      runId: RunId.make(`run-${id}`)
    })
    journal.begin(run, process)
    return run
  }

  let replacing = true
  const replace = (name: string) => {
    if (!replacing) return
    const runs = [freshRun(name)]
    for (const process of processOf(name)) process.sendUnsafe(Command.cases.Start.make({ runs }))
  }

  const entries = () => Array.from(journal.entries.values())
  const watched = () => entries().filter(({ ended, isDead }) => ended === 0 && !isDead)

  /** Asks for a stop until the store has answered. */
  const stop = Effect.fnUntraced(function* (entry: Entry, target: StopTarget) {
    entry.isAimed = true
    const [receipt] = yield* repo
      .requestStop(target)
      .pipe(Effect.retry(Schedule.spaced("200 millis")), Effect.orDie)
    entry.answeredAt = yield* Clock.currentTimeMillis
    entry.receipt = receipt?._tag
  })

  const aim = ({ run }: Entry) =>
    Math.random() < 0.5
      ? StopTarget.cases.Message.make({ ref: run.ref })
      : StopTarget.cases.Run.make({ run })

  const asking = new Set<Fiber.Fiber<void>>()
  const stopSome = Effect.gen(function* () {
    const open = watched().filter(({ isAimed, completing }) => !isAimed && !completing)
    const entry = open[Math.floor(Math.random() * open.length)]
    // While the store is away they queue up, as people would.
    if (entry === undefined || asking.size >= 100) return
    const fiber = yield* Effect.forkDetach(stop(entry, aim(entry)))
    asking.add(fiber)
    fiber.addObserver(() => asking.delete(fiber))
  })

  for (const name of names)
    yield* until(
      Effect.sync(() => journal.ready.has(name)),
      Boolean
    )
  const startOn = Effect.fnUntraced(function* (process: AgentProcess.AgentProcess, count: number) {
    const runs = Array.from({ length: count }, () => freshRun(process.name))
    yield* process.send(Command.cases.Start.make({ runs }))
    return runs
  })
  yield* Effect.forEach(processes, (process) => startOn(process, agents))
  yield* until(
    Ledger.read(direct),
    (rows) => rows.filter(({ outcome }) => outcome === null).length >= agents * names.length
  )

  const detected = Effect.sync(() => entries().filter((entry) => stopsOf(entry).length > 0).length)
  // A stop that came before its run was stored waits for it, for 30 seconds at most.
  const isSettled = (entry: Entry, rows: ReadonlyArray<Ledger.Row>) =>
    entry.isDead ||
    stopsOf(entry).length > 0 ||
    (entry.receipt === "Pending" &&
      rows.some(({ run_id, stopped }) => run_id === entry.run.runId && !stopped))
  const settled = until(
    Effect.suspend(() => {
      const left = entries().filter((entry) => entry.isAimed && !isSettled(entry, []))
      if (left.every(({ receipt }) => receipt !== "Pending")) return Effect.succeed(left.length)
      return Effect.map(
        Ledger.read(direct),
        (rows) => left.filter((entry) => !isSettled(entry, rows)).length
      )
    }),
    (left) => left === 0,
    "20 seconds"
  ).pipe(
    // What is left is counted as lost.
    Effect.catchDefect(() => Effect.void)
  )

  return {
    direct,
    repo,
    journal,
    processes,
    entries,
    stopRun: (entry: Entry) => stop(entry, StopTarget.cases.Run.make({ run: entry.run })),
    startOn,
    settled,
    /** Stops arrive while this is under way. */
    underStops: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const stream = yield* Effect.forkChild(
          Effect.repeat(stopSome, Schedule.spaced("40 millis"))
        )
        const result = yield* effect
        yield* Fiber.interrupt(stream)
        return result
      }),
    /** A fault begins with this and ends with it. */
    fault: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const from = yield* Clock.currentTimeMillis
        const result = yield* effect
        faults.push({ from, to: yield* Clock.currentTimeMillis })
        return result
      }),
    /** Waits until so many more stops have been detected. */
    moreDetected: Effect.fnUntraced(function* (more: number) {
      const before = yield* detected
      yield* until(detected, (count) => count >= before + more)
    }),
    /** Waits until the processes have said this so many times in all. */
    said: (pattern: RegExp, times: number) =>
      until(
        Effect.sync(() => journal.said(pattern).length),
        (count) => count >= times
      ),
    /** Of these runs the process was dead for all that anybody could know. */
    bury: (runIds: ReadonlyArray<string>) =>
      Effect.sync(() =>
        runIds.flatMap((runId) => {
          const entry = journal.entries.get(runId)
          if (entry === undefined) return []
          entry.isDead = true
          return [entry]
        })
      ),
    /** Ends some that nobody wants to stop. */
    complete: Effect.fnUntraced(function* (count: number) {
      const open = watched().filter(({ isAimed, completing }) => !isAimed && !completing)
      for (const entry of open.slice(0, count)) {
        entry.completing = true
        const command = Command.cases.Complete.make({ runs: [entry.run] })
        for (const process of processOf(entry.process)) yield* process.send(command)
      }
      return open.slice(0, count)
    }),
    /** Waits for what was asked, ends the processes, and counts. */
    finish: Effect.fnUntraced(function* (title: string) {
      yield* until(
        Effect.sync(() => asking.size),
        (count) => count === 0
      )
      yield* settled
      replacing = false
      const codes = yield* Effect.forEach(processes, ({ drained }) => drained, {
        concurrency: "unbounded"
      })
      const rows = yield* Ledger.read(direct)
      const figures = Figures.figuresOf(journal, rows, faults)
      yield* Figures.print(title, figures)
      const lost = Figures.lostOf(journal, rows)
      if (lost.length > 0) {
        const said = journal.lines.map(({ process, text }) => `${process}: ${text}`)
        yield* Effect.logError([...lost, ...said].join("\n"))
      }
      assert.deepStrictEqual(
        codes,
        names.map(() => 0)
      )
      return { figures, rows }
    })
  }
})

export const { leaseTtl } = defaults

const limit = defaults.pollInterval + defaults.pollTimeout + 1000

/** What holds for every fault. */
export const assertKept = (figures: Figures.Figures, leastStops: number) => {
  const {
    detected,
    requested,
    runs: _runs,
    slowestAfter: _after,
    slowestElse: _else,
    ...none
  } = figures
  for (const [name, count] of Object.entries(none)) {
    if (name !== "detected" && name !== "requested") assert.strictEqual(count, 0, name)
  }
  assert.isAtLeast(requested, leastStops)
  assert.strictEqual(detected, requested)
  assert.isAtMost(figures.slowestAfter, limit)
  assert.isAtMost(figures.slowestElse, limit)
}

const migrate = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  yield* Layer.build(Layer.provide(Migrations.layer, Postgres.layer({ url })))
  yield* Ledger.keep(url)
}, Effect.scoped)

const repoOf = Effect.fnUntraced(function* (url: Redacted.Redacted, settings: Settings) {
  const { leaseTtl, pollTimeout, prepare } = settings
  const layer = MessageRepo.layer({ leaseTtl, pollTimeout }).pipe(
    Layer.provide(Postgres.layer({ url, prepare })),
    Layer.provide(Logger.layer([]))
  )
  return Context.get(yield* Layer.build(layer), MessageRepo)
})
