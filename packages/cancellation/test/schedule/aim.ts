/**
 * Who a stop is meant for, told a second time and independently of the library: which runs must have
 * a stop after what reached the store, and no others.
 */
import type { Run, StopTarget } from "../../src/index.ts"

interface Known {
  readonly run: Run
  readonly order: number
  current: boolean
  ended: boolean
  endedAt: number
  stopped: boolean
}

interface Waiting {
  readonly isFor: (run: Run) => boolean
  readonly until: number
}

export interface Aim {
  readonly started: (run: Run, now: number) => void
  readonly ended: (run: Run, now: number) => void
  readonly requested: (target: StopTarget, now: number) => void
  readonly isStopped: (run: Run) => boolean
  readonly runs: () => ReadonlyArray<{ readonly run: Run; readonly stopped: boolean }>
  /** How a run began: anew, again (same attempt), or in place of another attempt. */
  readonly counts: { redelivered: number; regenerated: number; superseded: number; tooLate: number }
}

type Where = { readonly companyId?: string; readonly userId?: string; readonly chatId: string }

const sameChat = (a: Where, b: Where): boolean =>
  (a.companyId ?? "default") === (b.companyId ?? "default") &&
  (a.userId ?? "default") === (b.userId ?? "default") &&
  a.chatId === b.chatId

const sameMessage = (a: Run["ref"], b: Run["ref"]): boolean =>
  sameChat(a, b) && a.messageId === b.messageId

/** The same attempt at the same message. */
export const sameRun = (a: Run, b: Run): boolean => sameMessage(a.ref, b.ref) && a.runId === b.runId

// How long the store keeps a stop for a run that has not begun.
const tombstoneTtl = 30_000

export const makeAim = (): Aim => {
  const known: Array<Known> = []
  let waiting: Array<Waiting> = []
  const counts = { redelivered: 0, regenerated: 0, superseded: 0, tooLate: 0 }
  const find = (run: Run) => known.find((other) => sameRun(other.run, run))

  const wait = (isFor: (run: Run) => boolean, now: number) => {
    waiting.push({ isFor, until: now + tombstoneTtl })
  }

  const stop = (run: Known) => {
    if (run.stopped) return
    if (run.ended) counts.tooLate++
    else if (!run.current) counts.superseded++
    else run.stopped = true
  }

  return {
    started: (run, now) => {
      if (find(run) !== undefined) {
        counts.redelivered++
        return
      }
      for (const other of known) {
        if (!sameMessage(other.run.ref, run.ref) || !other.current) continue
        other.current = false
        counts.regenerated++
      }
      const meant = waiting.filter(({ isFor }) => isFor(run))
      waiting = waiting.filter((one) => !meant.includes(one))
      known.push({
        run,
        order: known.length,
        current: true,
        ended: false,
        endedAt: 0,
        stopped: meant.some(({ until }) => until > now)
      })
    },
    ended: (run, now) => {
      const found = find(run)
      if (found === undefined || found.ended) return
      found.ended = true
      found.endedAt = now
    },
    requested: (target, now) => {
      switch (target._tag) {
        case "Run": {
          const found = find(target.run)
          if (found === undefined) wait((run) => sameRun(run, target.run), now)
          else stop(found)
          break
        }
        case "Message": {
          const found = known.find(
            ({ current, run }) => current && sameMessage(run.ref, target.ref)
          )
          if (found === undefined) wait((run) => sameMessage(run.ref, target.ref), now)
          else stop(found)
          break
        }
        case "Chat": {
          const here = known.filter(({ current, run }) => current && sameChat(run.ref, target))
          const running = here.filter(({ ended }) => !ended)
          const recent = here.some(({ ended, endedAt }) => ended && endedAt > now - tombstoneTtl)
          if (running.length > 0) running.forEach(stop)
          else if (recent) counts.tooLate++
          else wait((run) => sameChat(run.ref, target), now)
          break
        }
        default:
          break
      }
    },
    isStopped: (run) => find(run)?.stopped === true,
    runs: () => known,
    counts
  }
}
