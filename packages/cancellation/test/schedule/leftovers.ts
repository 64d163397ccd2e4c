/**
 * What is left when all runs have ended.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { CancellationMetrics, CancellationWatcher, MessageRef, StopHint } from "../../src/index.ts"
import type { Aim } from "./aim.ts"
import type { Process } from "./process.ts"
import type { Leftovers, SessionTrace } from "./trace.ts"
import type { VirtualTime } from "./virtualTime.ts"

/** Stops counted by the library, whichever way they were detected. */
export const countDetected = (time: VirtualTime): number =>
  (["check", "poll", "hint", "start", "local"] as const).reduce(
    (sum, way) =>
      sum +
      time.run(
        Metric.value(Metric.withAttributes(CancellationMetrics.stopsDetected, { detected_by: way }))
      ).count,
    0
  )

const gauges = {
  runsWatched: CancellationMetrics.runsWatched,
  blindRuns: CancellationMetrics.blindRuns,
  abandonedWork: CancellationMetrics.abandonedWork
}

/** Hints for all runs there ever were. */
export const tempt = (processes: ReadonlyArray<Process>, aim: Aim, time: VirtualTime): void => {
  for (const { signal } of processes) {
    for (const { run } of aim.runs()) time.run(signal.emit(StopHint.cases.Hint.make({ run })))
  }
  time.turn()
}

interface Baseline {
  readonly fibers: number
  readonly sleepers: number
}

const countLeft = (time: VirtualTime, baseline: Baseline) => ({
  fibers: time.liveFibers() - baseline.fibers,
  sleepers: time.sleepers() - baseline.sleepers
})

/** Handlers may outlive the run in a scope of their own, and work that was given up may resist. */
export const findAtOnce = (
  time: VirtualTime,
  sessions: ReadonlyArray<SessionTrace>,
  baseline: Baseline
): Leftovers["atOnce"] => {
  const mayStay = sessions
    .flatMap(({ handlers }) => handlers)
    .some(({ ran, spec }) => ran !== undefined && (spec.kind === "slow" || spec.kind === "hang"))
  const abandoned = time.run(Metric.value(CancellationMetrics.abandonedWork)).value
  return mayStay || abandoned > 0 ? undefined : countLeft(time, baseline)
}

// An interval that somebody wanted and nobody gave back would make this run be polled more often.
const countReadsOfNext = (process: Process, time: VirtualTime): number => {
  const before = process.reads().length
  const scope = time.run(Scope.make())
  const ref = MessageRef.of({ chatId: "chat-c", messageId: `next-${process.index}` })
  CancellationWatcher.layer({ ref, pollInterval: 2000 }).pipe(
    Layer.buildWithScope(scope),
    Effect.provideContext(process.context),
    time.run
  )
  time.advance(4500)
  time.run(Scope.close(scope, Exit.void))
  return process.reads().length - before
}

/** Tempts the repos once more, waits, then closes them. */
export const findLeftovers = (world: {
  readonly time: VirtualTime
  readonly aim: Aim
  readonly processes: ReadonlyArray<Process>
  readonly scope: Scope.Closeable
  readonly baseline: Baseline
}): Omit<Leftovers, "atOnce"> => {
  const { aim, baseline, processes, scope, time } = world
  const calls = () => processes.reduce((sum, process) => sum + process.calls(), 0)
  const before = calls()
  tempt(processes, aim, time)
  for (const { signal } of processes) time.run(signal.reconnected)
  time.advance(3000)
  const left = {
    ...countLeft(time, baseline),
    storeCalls: calls() - before,
    gauges: Object.fromEntries(
      Object.entries(gauges).map(([name, gauge]) => [name, time.run(Metric.value(gauge)).value])
    )
  }
  const readsOfNext = processes.map((process) => countReadsOfNext(process, time))
  time.run(Scope.close(scope, Exit.void))
  return {
    ...left,
    readsOfNext,
    fibersAfterClose: time.liveFibers(),
    sleepersAfterClose: time.sleepers()
  }
}
