/** What the trials come to. */
import type { Timed } from "./Orders.ts"
import type { Trial } from "./trial.ts"

export const percentile = (values: ReadonlyArray<number>, percent: number): number => {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? NaN
}

const within = (from: number, to: number) => (timed: Timed) => timed.at >= from && timed.at < to

/** Requests that come together; the pause between two ticks is longer than any within one. */
export const ticksOf = ({ from, platform, to }: Trial) => {
  const ticks: Array<Array<string>> = []
  let last = Number.NEGATIVE_INFINITY
  for (const { at, chat } of platform.requests.filter(within(from, to))) {
    if (at - last > 1000) ticks.push([])
    ticks.at(-1)?.push(chat)
    last = at
  }
  // The first and the last may be cut in two.
  return ticks.slice(1, -1).map((chats) => ({
    requests: chats.length,
    ofOneChat: mostOfOne(chats)
  }))
}

/** Where there are no ticks: requests in windows of one poll interval. */
export const windowsOf = ({ from, platform, to }: Trial, millis: number) =>
  Array.from({ length: Math.floor((to - from) / millis) }, (_, n) => {
    const begin = from + n * millis
    const chats = platform.requests.filter(within(begin, begin + millis)).map(({ chat }) => chat)
    return { requests: chats.length, ofOneChat: mostOfOne(chats) }
  })

const mostOfOne = (chats: ReadonlyArray<string>): number =>
  Math.max(0, ...Array.from(Map.groupBy(chats, (chat) => chat).values(), (one) => one.length))

/** From the stop to the interrupt, of each stop that was pressed at such a time. */
export const delaysOf = ({ platform, watch }: Trial, from = -Infinity, to = Infinity) => {
  const interruptedAt = new Map(watch.interrupts.map(({ at, index }) => [index, at]))
  return platform.stops
    .filter(within(from, to))
    .map(({ at, index }) => ({ pressed: at, found: interruptedAt.get(index) ?? NaN }))
}

/** Messages that were interrupted without a stop, and stopped without an interrupt. */
export const mistakesOf = ({ platform, watch }: Trial): number => {
  const stopped = new Set(platform.stops.map(({ index }) => index))
  const interrupted = new Set(watch.interrupts.map(({ index }) => index))
  return (
    Array.from(stopped).filter((index) => !interrupted.has(index)).length +
    Array.from(interrupted).filter((index) => !stopped.has(index)).length
  )
}
