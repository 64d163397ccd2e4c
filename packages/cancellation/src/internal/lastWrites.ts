/**
 * What is said of last writes that the store has not taken: while they are waited for, and when they
 * are given up.
 *
 * A line names what follows for the runs, and nothing that is not known: a start may never have
 * reached the store, and not every store has leases.
 */
import type * as Cause from "effect/Cause"
import { runKey } from "../Message.ts"
import type { RunChange } from "../MessageStore.ts"
import type { MessageStoreError } from "../MessageStoreError.ts"
import type { Chronicle } from "./chronicle.ts"
import { lasting, listed, plural, whatFailed } from "./words.ts"

/** A last write, as far as it matters here. */
export interface LastWrite {
  readonly chronicle: Chronicle
  readonly to: RunChange["to"]
}

/** The line of a repo that closes while the store takes no last writes. */
export const waitingFor = (
  writes: ReadonlyArray<LastWrite>,
  limit: number,
  cause: Cause.Cause<MessageStoreError>
): string =>
  `Waiting at most ${lasting(limit)} for ${counted(writes)}, which the store has not taken yet (${whatFailed(cause)})`

/** The line of last writes that are not tried any more. */
export const givenUp = (
  writes: ReadonlyArray<LastWrite>,
  options: {
    readonly cause: Cause.Cause<MessageStoreError> | undefined
    /** What there is to say if the store has not failed. */
    readonly otherwise: string
    readonly hasLeases: boolean
  }
): string => {
  const why = options.cause === undefined ? options.otherwise : whatFailed(options.cause)
  const were = writes.length === 1 ? "was" : "were"
  const over = runsOf(writes.filter(({ to }) => to !== "observed"))
  const unstored = runsOf(writes.filter(({ chronicle }) => chronicle.start !== "known"))
  const stored = Array.from(runsOf(writes)).filter(([key]) => !unstored.has(key))
  const lost = options.hasLeases
    ? "marked lost by another process once this one's lease has ended"
    : "left as running in the store, which has no leases to tell that nobody writes them"
  const unseen = "shown as not having seen their stop until their end is stored"
  const follow = (runs: typeof stored, inWords: (what: string) => string) => [
    said(
      inWords(lost),
      runs.filter(([key]) => over.has(key))
    ),
    said(
      inWords(unseen),
      runs.filter(([key]) => !over.has(key))
    )
  ]
  const follows = [
    ...follow(stored, (what) => what.charAt(0).toUpperCase() + what.slice(1)),
    ...follow(
      Array.from(unstored),
      // An answer that was lost may have been a yes.
      (what) =>
        `Perhaps without a trace in the store, which has not confirmed their start; if it has them, ${what}`
    )
  ]
  return [`Given up: ${counted(writes)} ${were} not stored (${why})`, ...follows.flat()].join(". ")
}

const counted = (writes: ReadonlyArray<LastWrite>): string =>
  `${plural(writes.length, "last write")} of ${plural(runsOf(writes).size, "run")}`

/** The id of each run, by its key: attempts at different messages may share an id. */
const runsOf = (writes: ReadonlyArray<LastWrite>): ReadonlyMap<string, string> =>
  new Map(writes.map(({ chronicle: { run } }) => [runKey(run), run.runId]))

const said = (
  what: string,
  runs: ReadonlyArray<readonly [key: string, runId: string]>
): ReadonlyArray<string> =>
  runs.length === 0 ? [] : [`${what}: ${listed(runs.map(([, runId]) => runId))}`]
