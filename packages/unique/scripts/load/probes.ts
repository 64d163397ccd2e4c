/** How the process fares: its event loop, its collector and its processor time. */
import { constants, monitorEventLoopDelay, performance, PerformanceObserver } from "node:perf_hooks"
import * as Effect from "effect/Effect"

/** In milliseconds. */
export interface ProbeFigures {
  /** Of a timer of 1 ms, which is in it. */
  readonly delay: { readonly p99: number; readonly max: number }
  /** The longest pauses of a timer of 1 ms. */
  readonly late: ReadonlyArray<Pause>
  /** The longest turns of a loop that never rests; none if it was not asked for. */
  readonly turns: ReadonlyArray<Pause>
  readonly collections: { readonly major: Collections; readonly minor: Collections }
  /** Processor time for each millisecond, and the part of it in which the loop was busy. */
  readonly cpu: number
  readonly busy: number
}

export interface Pause {
  /** Seconds from the begin of the probe. */
  readonly at: number
  readonly took: number
  /**
   * Of it this thread had the processor, as the system counts it, which may be in steps of 4 ms. The
   * rest went to other processes of the machine.
   */
  readonly own: number
  /** Collections took so much of it, by their own account, which leaves out the marking in steps. */
  readonly collecting: number
  /** The whole heap was being collected, or was about to be. */
  readonly major: boolean
}

interface Collections {
  readonly count: number
  readonly longest: number
}

/**
 * Looks on: for so many seconds with nothing but the collector's own account, as long again with timers
 * of 1 ms, and, if it is asked for, as long again in a loop that never rests.
 */
export const probe = Effect.fnUntraced(function* (seconds: number, withTurns: boolean) {
  const entries: Array<PerformanceEntry> = []
  const observer = new PerformanceObserver((list) => entries.push(...list.getEntries()))
  observer.observe({ entryTypes: ["gc"] })
  const begun = performance.now()
  const [cpuBefore, busyBefore] = [process.cpuUsage(), performance.eventLoopUtilization()]
  yield* Effect.sleep(seconds * 1000)
  const { system, user } = process.cpuUsage(cpuBefore)
  const busy = performance.eventLoopUtilization(busyBefore).utilization
  const passed = performance.now() - begun

  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const late = makePauses()
  const timer = setInterval(late.mark, 1)
  yield* Effect.sleep(seconds * 1000)
  clearInterval(timer)
  delay.disable()

  const turns = makePauses()
  if (withTurns) yield* turnFor(seconds, turns.mark)
  // Its entries come a turn late.
  yield* Effect.sleep(20)
  observer.disconnect()
  const ofKind = (kind: number) => entries.filter((entry) => kindOf(entry) === kind)
  const major = ofKind(constants.NODE_PERFORMANCE_GC_MAJOR)
  const cycles = major.map(({ duration, startTime }) => ({
    from: startTime - marking,
    to: startTime + duration
  }))
  const pausesOf = ({ longest }: ReturnType<typeof makePauses>) =>
    longest().map(({ from, own, took }): Pause => {
      const collecting = entries.map(
        ({ duration, startTime }) =>
          Math.min(startTime + duration, from + took) - Math.max(startTime, from)
      )
      return {
        at: (from - begun) / 1000,
        took,
        own,
        collecting: collecting.reduce((sum, millis) => sum + Math.max(0, millis), 0),
        major: cycles.some((cycle) => cycle.from < from + took && cycle.to > from)
      }
    })
  const figures: ProbeFigures = {
    delay: { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 },
    late: pausesOf(late),
    turns: pausesOf(turns),
    collections: {
      major: collections(major),
      minor: collections(ofKind(constants.NODE_PERFORMANCE_GC_MINOR))
    },
    cpu: (system + user) / 1000 / passed,
    busy
  }
  return figures
})

// The whole heap is marked in steps before it is collected. They have no entries of their own, and
// Node may do many of them in one turn.
const marking = 300

const turnFor = (seconds: number, mark: () => void) =>
  Effect.callback<void>((resume) => {
    const end = performance.now() + seconds * 1000
    const turn = () => {
      mark()
      if (performance.now() < end) setImmediate(turn)
      else resume(Effect.void)
    }
    setImmediate(turn)
  })

/** The longest times from one mark to the next. */
const makePauses = () => {
  let longest: ReadonlyArray<{ from: number; took: number; own: number }> = []
  let before = 0
  let cpu = 0
  let cpuAt = 0
  return {
    longest: () => longest,
    mark: () => {
      const here = performance.now()
      const took = before === 0 ? 0 : here - before
      // What is made here is collected too, by those who are looked at: seldom more than numbers.
      if (took > 1 || here - cpuAt > 1) {
        const all = threadCpu()
        if (took > (longest[kept - 1]?.took ?? 2)) {
          longest = [...longest, { from: before, took, own: all - cpu }]
            .toSorted((one, other) => other.took - one.took)
            .slice(0, kept)
        }
        cpu = all
        cpuAt = here
      }
      before = here
    }
  }
}

const kept = 50

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
