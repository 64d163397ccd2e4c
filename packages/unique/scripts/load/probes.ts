/** How the process fares: its event loop, its collector and its processor time. */
import { constants, monitorEventLoopDelay, performance, PerformanceObserver } from "node:perf_hooks"
import * as Effect from "effect/Effect"

/** In milliseconds. */
export interface ProbeFigures {
  /** Of a timer of 1 ms, which is in it. */
  readonly delay: { readonly p99: number; readonly max: number }
  /** The longest turns of a loop that never rests; none if it was not asked for. */
  readonly turns: ReadonlyArray<Turn>
  readonly collections: { readonly major: Collections; readonly minor: Collections }
  /** Processor time for each second, and the part of it in which the loop was busy. */
  readonly cpu: number
  readonly busy: number
}

interface Turn {
  readonly took: number
  /** Of it this thread had the processor. The rest went to other processes of the machine. */
  readonly own: number
  /** A collection of the whole heap was part of it. */
  readonly withMajor: boolean
}

interface Collections {
  readonly count: number
  readonly longest: number
}

/** Looks on for so many seconds; for more seconds in a loop that never rests, if there are any. */
export const probe = Effect.fnUntraced(function* (seconds: number, turnSeconds: number) {
  const entries: Array<PerformanceEntry> = []
  const observer = new PerformanceObserver((list) => entries.push(...list.getEntries()))
  observer.observe({ entryTypes: ["gc"] })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const [cpuBefore, busyBefore, begun] = [
    process.cpuUsage(),
    performance.eventLoopUtilization(),
    performance.now()
  ]
  yield* Effect.sleep(seconds * 1000)
  const { system, user } = process.cpuUsage(cpuBefore)
  const busy = performance.eventLoopUtilization(busyBefore).utilization
  const passed = performance.now() - begun
  delay.disable()
  const turns = turnSeconds === 0 ? [] : yield* longestTurns(turnSeconds)
  // Its entries come a turn late.
  yield* Effect.sleep(20)
  observer.disconnect()
  const ofKind = (kind: number) => entries.filter((entry) => kindOf(entry) === kind)
  const major = ofKind(constants.NODE_PERFORMANCE_GC_MAJOR)
  const figures: ProbeFigures = {
    delay: { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 },
    turns: turns.map(({ from, own, took }) => ({
      took,
      own,
      withMajor: major.some(
        ({ duration, startTime }) => startTime < from + took && startTime + duration > from
      )
    })),
    collections: {
      major: collections(major),
      minor: collections(ofKind(constants.NODE_PERFORMANCE_GC_MINOR))
    },
    cpu: (system + user) / 1000 / passed,
    busy
  }
  return figures
})

const longestTurns = (seconds: number) =>
  Effect.callback<ReadonlyArray<{ from: number; took: number; own: number }>>((resume) => {
    const end = performance.now() + seconds * 1000
    let longest: ReadonlyArray<{ from: number; took: number; own: number }> = []
    let from = performance.now()
    let cpu = threadCpu()
    const turn = () => {
      const [at, cpuAt] = [performance.now(), threadCpu()]
      const took = at - from
      if (took > (longest[4]?.took ?? 0)) {
        longest = [...longest, { from, took, own: cpuAt - cpu }]
          .toSorted((one, other) => other.took - one.took)
          .slice(0, 5)
      }
      ;[from, cpu] = [at, cpuAt]
      if (at < end) setImmediate(turn)
      else resume(Effect.succeed(longest))
    }
    setImmediate(turn)
  })

const threadCpu = () => {
  const { system, user } = process.threadCpuUsage()
  return (system + user) / 1000
}

// The types of Node's `perf_hooks` give way to those of the web, which have no details.
const kindOf = (entry: PerformanceEntry): unknown => {
  const { detail } = entry as PerformanceEntry & { readonly detail?: { readonly kind?: unknown } }
  return detail?.kind
}

const collections = (entries: ReadonlyArray<PerformanceEntry>): Collections => ({
  count: entries.length,
  longest: Math.max(0, ...entries.map(({ duration }) => duration))
})
