/**
 * How long this process's event loop stands still, and what for.
 */
import { constants, monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks"
import * as Predicate from "effect/Predicate"

/** What was seen between two calls. Milliseconds. */
export interface Stalls {
  readonly p99: number
  readonly max: number
  /** Of the pauses of major garbage collections; 0 if there were none. */
  readonly majorGc: number
  /** Processor time, in percent of one core. */
  readonly cpu: number
}

/** Delays of a timer that is due every millisecond. */
export const watchTimers = () => {
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  const collections = watchCollections()
  let began = performance.now()
  let cpu = process.cpuUsage()
  histogram.enable()
  return {
    /** What was seen since the last call. */
    take: (): Stalls => {
      const now = performance.now()
      const used = process.cpuUsage(cpu)
      const seen = {
        p99: histogram.percentile(99) / 1e6,
        max: histogram.max / 1e6,
        majorGc: Math.max(0, ...collections.take().map(({ duration }) => duration)),
        cpu: (used.user + used.system) / 10 / (now - began)
      }
      histogram.reset()
      began = now
      cpu = process.cpuUsage()
      return seen
    },
    stop: () => {
      histogram.disable()
      collections.stop()
    }
  }
}

/**
 * Each turn of the event loop, one after the other without a pause: the longest, and the longest in
 * which there was no major garbage collection. It takes all the time that is left, so that nothing
 * else can be measured meanwhile.
 */
export const watchTurns = () => {
  const collections = watchCollections()
  let turns: Array<{ readonly began: number; readonly ended: number }> = []
  let last = performance.now()
  let stopped = false
  const turn = () => {
    const now = performance.now()
    if (now - last > 2) turns.push({ began: last, ended: now })
    last = now
    if (!stopped) setImmediate(turn)
  }
  setImmediate(turn)
  return {
    take: () => {
      const major = collections.take()
      const without = turns.filter(
        ({ began, ended }) =>
          !major.some(
            ({ duration, startTime }) => startTime < ended && startTime + duration > began
          )
      )
      const longest = (some: typeof turns) =>
        Math.max(0, ...some.map(({ began, ended }) => ended - began))
      const seen = { max: longest(turns), maxWithoutGc: longest(without) }
      turns = []
      return seen
    },
    stop: () => {
      stopped = true
      collections.stop()
    }
  }
}

const watchCollections = () => {
  const seen: Array<{ readonly startTime: number; readonly duration: number }> = []
  const add = (entries: ReadonlyArray<PerformanceEntry>) => {
    for (const entry of entries) {
      const isMajor =
        Predicate.hasProperty(entry, "detail") &&
        Predicate.hasProperty(entry.detail, "kind") &&
        entry.detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR
      if (isMajor) seen.push({ startTime: entry.startTime, duration: entry.duration })
    }
  }
  const observer = new PerformanceObserver((list) => add(list.getEntries()))
  observer.observe({ entryTypes: ["gc"] })
  return {
    take: () => {
      add(observer.takeRecords())
      return seen.splice(0)
    },
    stop: () => observer.disconnect()
  }
}
