/**
 * What the tests of child runs share: runs on a store with switches, children that say what befalls
 * them, and eyes on the logs and fibers.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import { TestClock } from "effect/testing"
import {
  CancellationWatcher,
  MessageRef,
  MessageRepo,
  type MessageRepoOptions,
  MessageStore,
  type RunRecord,
  RunId,
  RunQuery
} from "effect-cancellation"
import { StoreFaults } from "effect-cancellation-testing"
import { type ChildRunOptions, ChildRuns } from "../src/ChildRuns.ts"

export class Eyes extends Context.Service<
  Eyes,
  {
    readonly lines: Array<{
      readonly level: string
      readonly text: string
      readonly annotations: Readonly<Record<string, unknown>>
    }>
    readonly fibers: { alive: number; started: number }
  }
>()("effect-cancellation-chat/test/Eyes") {}

const eyes = Layer.unwrap(
  Effect.sync(() => {
    const lines: Eyes["Service"]["lines"] = []
    const fibers = { alive: 0, started: 0 }
    const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
      const text = [message, ...(cause.reasons.length > 0 ? [Cause.pretty(cause)] : [])].flat()
      const annotations = fiber.getRef(References.CurrentLogAnnotations)
      lines.push({ level: logLevel, text: text.join(" "), annotations })
    })
    return Layer.mergeAll(
      Layer.succeed(Eyes, { lines, fibers }),
      Logger.layer([logger]),
      Layer.succeed(Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => {
          fibers.alive++
          fibers.started++
        },
        recordFiberEnd: () => {
          fibers.alive--
        }
      })
    )
  })
)

/** A repo and its children on a store with switches. */
export const lab = (
  options: MessageRepoOptions = {},
  store: Layer.Layer<MessageStore> = MessageStore.layerMemory()
) =>
  ChildRuns.layer.pipe(
    Layer.provideMerge(MessageRepo.layer(options)),
    Layer.provideMerge(StoreFaults.layer(store)),
    Layer.provideMerge(eyes)
  )

/** For a test: `.pipe(inLab())`. */
export const inLab = (...args: Parameters<typeof lab>) => Effect.provide(lab(...args))

export const refOf = (name: string) => MessageRef.of({ chatId: "chat", messageId: name })
export const named = (name: string) => ({ ref: refOf(name), runId: RunId.make(`${name}-run`) })

/** A run of the message `parent`. */
export const asParent = Effect.provide(CancellationWatcher.layer(named("parent")))

/** What befalls a child, readable and awaited from outside. */
export const story = () => {
  const lines: Array<string> = []
  const begun = Deferred.makeUnsafe<void>()
  const over = Deferred.makeUnsafe<void>()
  return {
    lines,
    says: (line: string) => Effect.sync(() => void lines.push(line)),
    begun: Deferred.await(begun),
    over: Deferred.await(over),
    /** A child that works until it is cancelled, then saves for as long, and says what it was told. */
    works: (saving: `${number} seconds` = "0 seconds") =>
      Effect.gen(function* () {
        lines.push("begins")
        yield* Deferred.succeed(begun, undefined)
        const { request } = yield* CancellationWatcher.cancellation
        lines.push(`stopped: ${request.reason}`)
        yield* Effect.sleep(saving)
        lines.push("saved")
        return `partial, ${request.reason}`
      }).pipe(
        Effect.onInterrupt(() => Effect.sync(() => lines.push("interrupted"))),
        Effect.ensuring(Deferred.succeed(over, undefined))
      )
  }
}

/** A child of the run in the context, of the message of this name. */
export const childOf = (name: string, options: Partial<ChildRunOptions> = {}) =>
  ChildRuns.run({ ...named(name), ...options })

/** Lets every fiber go as far as it can while no time passes. */
export const settle = Effect.forEach(Array.from({ length: 200 }), () => Effect.yieldNow, {
  discard: true
})

/** Lets time pass, and what follows from it happen. */
export const pass = (duration: Duration.Input) =>
  settle.pipe(Effect.andThen(TestClock.adjust(duration)), Effect.andThen(settle))

/** Long enough for the store to hear of its run. */
export const slowly = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.andThen(settle, effect)

/** How the run of the message of this name stands, in the truth of the store. */
export const recordOf = Effect.fnUntraced(function* (name: string) {
  const { store } = yield* StoreFaults
  const records = yield* Effect.orDie(
    store.findRuns(RunQuery.cases.Refs.make({ refs: [refOf(name)] }))
  )
  return records.at(-1)
})

export const outcomeOf = (name: string) => Effect.map(recordOf(name), (record) => record?.outcome)

/** All runs, by the names of their messages. */
export const outcomes = Effect.gen(function* () {
  const { store } = yield* StoreFaults
  const records = yield* Effect.orDie(store.findRuns(RunQuery.cases.Company.make({})))
  return records.map(
    ({ outcome, run }: RunRecord) => `${run.ref.messageId}: ${outcome ?? "running"}`
  )
})

/** The lines from this level on. */
export const warnings = Effect.map(Eyes, ({ lines }) =>
  lines.filter(({ level }) => level === "Warn" || level === "Error")
)
