/**
 * What it means that a look finds no row of a run.
 *
 * A single look may miss a row (a replica, a table being rewritten); two running do not. If the row
 * was there before, it has been deleted. If it was never there, it may still come; where no start of
 * ours makes it, somebody must be told that no stop reaches the run until then.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { runKey } from "../Message.ts"
import type { StopLook } from "../MessageStore.ts"
import type { Segment } from "./feed.ts"
import { annotations } from "./words.ts"

export interface Absence {
  /** Taken before a look, and given back with its answer. */
  readonly began: (asked: ReadonlyArray<Segment>) => LookBegan
  /** Whether a look in which none of these is missing is no news. */
  readonly isNone: (asked: ReadonlyArray<Segment>) => boolean
  /** Cancels what is gone in two looks running. */
  readonly apply: (
    asked: ReadonlyArray<Segment>,
    look: StopLook,
    began: LookBegan
  ) => Effect.Effect<void>
  /** These are watched no more. */
  readonly remove: (segment: Segment) => void
}

/** What was known when a look began. */
export interface LookBegan {
  /** Those that were seen: what is seen only while a look is under way may be missing from it. */
  readonly seen: ReadonlyArray<Segment>
  readonly answers: number
}

const isSeen = ({ seen }: Segment): boolean => seen

// A row that somebody writes just now is not worth a warning.
const writingMillis = 1000

export const makeAbsence = (knowsRuns: boolean): Absence => {
  /** The answer in which a segment was missing for the first time, and when it came. */
  const missing = new Map<Segment, { readonly answer: number; readonly at: number }>()
  const warned = new WeakSet<Segment>()
  let answers = 0

  // A row that no start of ours makes: somebody else must have written it.
  const isAwaited = ({ seen }: Segment): boolean => !knowsRuns && !seen

  const warn = Effect.fnUntraced(function* ({ run }: Segment) {
    yield* Effect.logWarning(
      `The store has no row of message ${run.ref.messageId}, so a stop cannot reach its run ${run.runId} until there is one. Is it written, with the same company, user and chat?`
    ).pipe(Effect.annotateLogs(annotations(run)))
  })

  return {
    began: (asked) => ({ seen: asked.every(isSeen) ? asked : asked.filter(isSeen), answers }),
    isNone: (asked) => missing.size === 0 && (knowsRuns || asked.every(isSeen)),
    apply: (asked, look, began) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (look.gone.length === 0 && missing.size === 0 && knowsRuns) return Effect.void
        const gone = new Set(look.gone.map(runKey))
        const wasSeen = new Set(began.seen)
        const failed = new Set(look.failures.map(({ run }) => runKey(run)))
        const deleted: Array<Segment> = []
        const unwritten: Array<Segment> = []
        for (const segment of asked) {
          // Ended by what else this look found: nothing would forget it again.
          if (!segment.isWatched) continue
          if (gone.size === 0 || !gone.has(segment.key)) {
            missing.delete(segment)
            if (!knowsRuns && (failed.size === 0 || !failed.has(segment.key))) segment.seen = true
            continue
          }
          const first = missing.get(segment)
          if (first === undefined) {
            if (!wasSeen.has(segment) && !isAwaited(segment)) continue
            missing.set(segment, { answer: ++answers, at: now })
            // Two looks running: the second began when the first had answered.
          } else if (first.answer <= began.answers) {
            if (segment.seen) deleted.push(segment)
            else if (now - first.at >= writingMillis && !warned.has(segment)) {
              unwritten.push(segment)
            }
          }
        }
        for (const segment of unwritten) warned.add(segment)
        return Effect.andThen(
          Effect.forEach(deleted, (segment) => segment.detect("deleted", "local"), {
            discard: true
          }),
          Effect.forEach(unwritten, warn, { discard: true })
        )
      }),
    remove: (segment) => missing.delete(segment)
  }
}
