// A process of agents, each on a message of its own, that work until they are stopped or told to end.
import { createInterface } from "node:readline"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import { CancellationWatcher, MessageRepo, type Run, runKey } from "effect-cancellation"
import * as Postgres from "../../src/Postgres.ts"
import {
  type Command,
  decodeCommand,
  decodeSettings,
  encodeReport,
  Report,
  settingsVariable
} from "./messages.ts"

const settings = decodeSettings(process.env[settingsVariable])

const report = (told: Report) =>
  Effect.sync(() => void process.stdout.write(`${encodeReport(told)}\n`))

// Said of every stop, and reported anyway
const isRoutine = (text: string) => text === "Run cancelled"

const logger = Logger.make(({ cause, logLevel, message }) => {
  const text = Array.isArray(message) ? message.join(" ") : String(message)
  if (isRoutine(text)) return
  const why = cause.reasons.length === 0 ? "" : ` ${Cause.pretty(cause).split("\n", 1).join()}`
  process.stdout.write(
    `${encodeReport(Report.cases.Said.make({ level: logLevel, text: text + why }))}\n`
  )
})

const commands = Effect.gen(function* () {
  const queue = yield* Queue.unbounded<Command>()
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const lines = createInterface({ input: process.stdin })
      lines.on("line", (line) => Queue.offerUnsafe(queue, decodeCommand(line)))
      // The test has gone: nobody else would end this process.
      lines.once("close", () => process.exit(1))
      return lines
    }),
    (lines) =>
      Effect.sync(() => {
        lines.removeAllListeners("close").close()
        process.stdin.destroy()
      })
  )
  return queue
})

const agent = (run: Run, over: Deferred.Deferred<void>) =>
  Effect.gen(function* () {
    const watcher = yield* CancellationWatcher
    yield* watcher.onCancellation(() => report(Report.cases.Handled.make({ run })))
    yield* watcher.runWithCancellation(Deferred.await(over), {
      onCancelled: (event) =>
        report(
          Report.cases.Detected.make({
            run: event.run,
            by: event.detectedBy,
            reason: event.request.reason,
            at: event.detectedAt
          })
        )
    })
  }).pipe(
    Effect.scoped,
    Effect.provide(
      CancellationWatcher.layer({
        ref: run.ref,
        runId: run.runId,
        pollInterval: settings.pollInterval
      })
    ),
    Effect.andThen(report(Report.cases.Ended.make({ run })))
  )

const main = Effect.gen(function* () {
  const repo = yield* MessageRepo
  const queue = yield* commands
  const works = new Map<string, Deferred.Deferred<void>>()
  yield* report(Report.cases.Ready.make({}))
  while (true) {
    const command = yield* Queue.take(queue)
    switch (command._tag) {
      case "Start":
        for (const run of command.runs) {
          const over = Deferred.makeUnsafe<void>()
          works.set(runKey(run), over)
          yield* Effect.forkDetach(agent(run, over))
        }
        break
      case "Complete":
        for (const run of command.runs) {
          const over = works.get(runKey(run))
          if (over !== undefined) yield* Deferred.succeed(over, undefined)
        }
        break
      case "Drain":
        return yield* repo.drain({ timeout: 0 })
    }
  }
}).pipe(Effect.scoped)

const { finalWriteTimeout, leaseTtl, listenUrl, pollTimeout, url, ...pool } = settings

const Repo = MessageRepo.layer({
  leaseTtl,
  pollTimeout,
  finalWriteTimeout
}).pipe(
  Layer.provide(
    Postgres.layer({
      prepare: pool.prepare,
      maxConnections: pool.maxConnections,
      url: Redacted.make(url),
      ...(listenUrl === undefined ? {} : { listenUrl: Redacted.make(listenUrl) })
    })
  )
)

// It ends when nothing is left to do: a socket that somebody forgot would keep it.
await Effect.runPromise(Effect.provide(main, Layer.provideMerge(Repo, Logger.layer([logger]))))
