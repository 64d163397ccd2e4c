/**
 * Small things done very often: how long each takes, in rounds in which all have their turn.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Figure, PartOptions } from "./Part.ts"

/** Something to measure: does the thing so often, and answers when it is done. */
export interface Contender {
  readonly name: string
  readonly repeat: (times: number) => Promise<unknown>
}

/** Runs an effect so often, one after the other, with these services. */
export const repeatedIn =
  <R>(services: Context.Context<R>) =>
  (effect: Effect.Effect<unknown, unknown, R>) =>
  (times: number): Promise<unknown> =>
    Effect.runPromiseWith(services)(
      Effect.gen(function* () {
        for (let i = 0; i < times; i++) yield* effect
      })
    )

/**
 * Nanoseconds of one, for each contender, round by round: of the processor's time, garbage collection
 * included, because nothing here waits and other programs must not count. The order changes from
 * round to round, so that none always pays for the garbage of another.
 */
export const interleaved = async (
  contenders: ReadonlyArray<Contender>,
  { quick }: Pick<PartOptions, "quick">
): Promise<ReadonlyArray<Figure>> => {
  const rounds = 7
  // In shorter turns it is seen how code is compiled, differently in each process.
  const millis = quick ? 15 : 120
  const times: Array<number> = []
  for (const contender of contenders) times.push(await timesFor(contender, millis))
  const all = contenders.map((): Array<number> => [])
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (round + turn) % contenders.length
      const contender = contenders[index]
      const count = times[index]
      if (contender === undefined || count === undefined) continue
      all[index]?.push(await nanosOfOne(contender, count))
    }
  }
  return contenders.map(({ name }, index) => ({ name, unit: "ns", rounds: all[index] ?? [] }))
}

// So often that a turn lasts about as long as wanted, found out when it is warm: the first calls are
// a thousand times slower than the rest.
const timesFor = async (contender: Contender, millis: number): Promise<number> => {
  let times = 1
  let total = 0
  for (;;) {
    const taken = ((await nanosOfOne(contender, times)) * times) / 1e6
    total += taken
    if (total >= 2 * millis && taken >= millis / 4) {
      return Math.max(1, Math.round((times * millis) / taken))
    }
    if (taken < millis / 2) times *= 2
  }
}

const nanosOfOne = async ({ repeat }: Contender, times: number): Promise<number> => {
  globalThis.gc?.()
  const before = process.cpuUsage()
  await repeat(times)
  const { system, user } = process.cpuUsage(before)
  return ((user + system) * 1000) / times
}
