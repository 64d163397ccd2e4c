/**
 * What the tests of the laws share: a store and a signal with switches, and eyes on the logs, spans,
 * metrics and fibers of what they test.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { TestClock } from "effect/testing"
import { StoreFaults, SignalFaults } from "effect-cancellation-testing"
import {
  type CancellationEvent,
  CancellationMetrics,
  CancellationWatcher,
  type CancellationWatcherOptions,
  MessageRef,
  MessageRepo,
  type MessageRepoOptions,
  MessageStore,
  type Run,
  RunId,
  StopHint,
  StopIntent,
  StopTarget
} from "../src/index.ts"

/** A line that was logged. */
export interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** What was logged and traced since the test began, and how many fibers live now. */
export class Eyes extends Context.Service<
  Eyes,
  {
    readonly lines: Array<Line>
    readonly spans: Array<Tracer.Span>
    readonly fibers: { alive: number }
  }
>()("effect-cancellation/test/Eyes") {}

const eyes = Layer.unwrap(
  Effect.sync(() => {
    const lines: Array<Line> = []
    const spans: Array<Tracer.Span> = []
    const fibers = { alive: 0 }
    const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
      const parts = Array.isArray(message) ? message : [message]
      const text = [
        ...parts.map(String),
        ...(cause.reasons.length > 0 ? [Cause.pretty(cause)] : [])
      ]
      lines.push({
        level: logLevel,
        text: text.join(" "),
        annotations: fiber.getRef(References.CurrentLogAnnotations)
      })
    })
    return Layer.mergeAll(
      Layer.succeed(Eyes, { lines, spans, fibers }),
      Logger.layer([logger]),
      // A registry of its own: metrics are the process's, and tests must not see each other's.
      Layer.succeed(Metric.MetricRegistry, new Map()),
      Layer.succeed(
        Tracer.Tracer,
        Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            spans.push(span)
            return span
          }
        })
      ),
      Layer.succeed(Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => {
          fibers.alive++
        },
        recordFiberEnd: () => {
          fibers.alive--
        }
      })
    )
  })
)

/** A repo on a store and a signal with switches. */
export const lab = (
  options: MessageRepoOptions = {},
  store: Layer.Layer<MessageStore> = MessageStore.layerMemory()
) =>
  MessageRepo.layer(options).pipe(
    Layer.provideMerge(StoreFaults.layer(store)),
    Layer.provideMerge(SignalFaults.layer()),
    Layer.provideMerge(eyes)
  )

/** For a test: `.pipe(inLab())`. */
export const inLab = (...args: Parameters<typeof lab>) => Effect.provide(lab(...args))

export const refOf = (name: string) => MessageRef.of({ chatId: "chat", messageId: name })

export type Opened = Effect.Success<ReturnType<typeof open>>

/** Opens a run of the message of this name; it stays open until it is closed. */
export const open = Effect.fnUntraced(function* (
  options: Partial<CancellationWatcherOptions> & { readonly name?: string } = {}
) {
  const { name = "message", ...rest } = options
  const scope = yield* Scope.make()
  const layer = CancellationWatcher.layer({
    ref: refOf(name),
    runId: RunId.make(`${name}-run`),
    ...rest
  })
  const watcher = Context.get(yield* Layer.buildWithScope(layer, scope), CancellationWatcher)
  return {
    watcher,
    run: yield* watcher.run,
    close: (exit: Exit.Exit<unknown, unknown> = Exit.void) => Scope.close(scope, exit)
  }
})

/** Opens a run and waits until the store knows it. */
export const openKnown = Effect.fnUntraced(function* (options: Parameters<typeof open>[0] = {}) {
  const faults = yield* StoreFaults
  const { ended } = (yield* faults.counts).startRuns
  const opened = yield* open(options)
  yield* faults.ended("startRuns", ended + 1)
  yield* settle
  return opened
})

/** Lets every fiber go as far as it can while no time passes. */
export const settle = Effect.forEach(Array.from({ length: 40 }), () => Effect.yieldNow, {
  discard: true
})

/** A stop asked on another machine: it is in the store, and nobody has said so here. */
export const stopElsewhere = Effect.fnUntraced(function* (run: Run, note?: string) {
  const { store } = yield* StoreFaults
  return yield* Effect.orDie(
    store.requestStop(
      StopTarget.cases.Run.make({ run }),
      StopIntent.make({ reason: "user", ...(note === undefined ? {} : { note }) })
    )
  )
})

/** Tells this process what another one may have done. */
export const hintOf = (run: Run) =>
  SignalFaults.use((signal) =>
    Effect.andThen(signal.emit(StopHint.cases.Hint.make({ run })), settle)
  )

/** The ways in which a run is found to be cancelled, each from a healthy start. */
export const ways = {
  poll: ({ run }: Opened) => Effect.andThen(stopElsewhere(run), TestClock.adjust("2 seconds")),
  hint: ({ run }: Opened) => Effect.andThen(stopElsewhere(run), hintOf(run)),
  check: ({ run, watcher }: Opened) =>
    Effect.andThen(
      stopElsewhere(run),
      Effect.andThen(Effect.forkDetach(watcher.check, { startImmediately: true }), settle)
    ),
  cancel: ({ watcher }: Opened) => Effect.andThen(watcher.cancel("deadline"), settle)
}

export const wayNames = ["poll", "hint", "check", "cancel"] as const

/** Work that never ends by itself, and what became of it. */
export const makeWork = Effect.sync(() => {
  const started = Deferred.makeUnsafe<void>()
  const state = { started: 0, interrupted: 0 }
  const work = Effect.suspend(() => {
    state.started++
    Deferred.doneUnsafe(started, Effect.void)
    return Effect.never
  }).pipe(
    Effect.onInterrupt(() =>
      Effect.sync(() => {
        state.interrupted++
      })
    )
  )
  return { work, state, started: Deferred.await(started) }
})

/** Forks and waits until the fiber has gone as far as it can. */
export const forkNow = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.tap(Effect.forkChild(effect, { startImmediately: true }), () => settle)

/** What a fiber has come to so far; a test never waits for what may not come. */
export const exitOf = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.sync(() => fiber.pollUnsafe()).pipe(
    Effect.map((exit) =>
      exit === undefined ? "running" : Exit.isSuccess(exit) ? exit.value : Cause.squash(exit.cause)
    )
  )

/** Collects a watcher's events from now on. */
export const collect = (watcher: CancellationWatcher["Service"]) =>
  Effect.gen(function* () {
    const seen: Array<CancellationEvent> = []
    const fiber = yield* forkNow(
      Stream.runForEach(watcher.events, (event) =>
        Effect.sync(() => {
          seen.push(event)
        })
      )
    )
    return { seen, fiber }
  })

/** How often the store was asked for stops. */
export const looks = StoreFaults.use((faults) =>
  Effect.map(faults.counts, ({ stopRequests }) => stopRequests.calls)
)

/** How the store has the run now. */
export const recordOf = (run: Run) =>
  StoreFaults.use(({ store }) =>
    Effect.map(Effect.orDie(store.findRuns({ _tag: "Refs", refs: [run.ref] })), (records) =>
      records.find((record) => record.run.runId === run.runId)
    )
  )

/** The stops detected so far, by way of detection; ways that found none are left out. */
export const detections = Effect.map(
  Effect.forEach(["check", "poll", "hint", "start", "local"], (by) =>
    Effect.map(
      Metric.value(Metric.withAttributes(CancellationMetrics.stopsDetected, { detected_by: by })),
      ({ count }) => [by, count] as const
    )
  ),
  (counts) => Object.fromEntries(counts.filter(([, count]) => count > 0))
)

/** The lines logged at this level. */
export const linesAt = (level: string) =>
  Eyes.useSync(({ lines }) => lines.filter((line) => line.level === level))

/** Registers a handler in a scope that no test closes unless it wants to: closing waits for it. */
export const register = Effect.fnUntraced(function* <X, E, R>(
  watcher: CancellationWatcher["Service"],
  handler: (event: CancellationEvent) => Effect.Effect<X, E, R>
) {
  const scope = yield* Scope.make()
  yield* Scope.provide(watcher.onCancellation(handler), scope)
  return { unregister: Scope.close(scope, Exit.void) }
})
