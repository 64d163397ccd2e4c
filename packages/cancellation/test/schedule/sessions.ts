/**
 * Begins a session: a run with its watcher and its work, in a fiber of its own.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { CancellationWatcher } from "../../src/index.ts"
import type { SessionSpec } from "../schedule.ts"
import type { Process } from "./process.ts"
import { runOf } from "./store.ts"
import { isFlagged, type SessionTrace } from "./trace.ts"
import type { VirtualTime } from "./virtualTime.ts"
import type { Surroundings } from "./watching.ts"
import { noteInterrupt, type Owner, program } from "./work.ts"

export interface Session {
  readonly trace: SessionTrace
  /** Of the handlers that are registered from outside the work. */
  readonly scope: Scope.Closeable
  readonly interrupt: () => void
}

const untouched = (index: number, spec: SessionSpec): SessionTrace => ({
  index,
  spec,
  segments: [runOf(spec.message, spec.attempt)],
  wraps: [],
  handlers: [],
  streams: [],
  checks: [],
  subscribers: [],
  watcher: undefined,
  localCancels: 0,
  aborts: 0,
  signal: undefined,
  interrupted: false,
  closing: false,
  ended: undefined
})

/** `noted` is told of the session before its first step. */
export const startSession = (
  index: number,
  spec: SessionSpec,
  process: Process,
  time: VirtualTime,
  around: Surroundings,
  noted: (session: SessionTrace) => void
): Session => {
  const session = untouched(index, spec)
  noted(session)
  const run = runOf(spec.message, spec.attempt)
  const owner: Owner = { open: new Set() }
  const work = Effect.gen(function* () {
    const watcher = yield* CancellationWatcher
    session.watcher = watcher
    if (spec.signal) {
      const signal = yield* watcher.abortSignal
      session.signal = signal
      signal.addEventListener("abort", () => session.aborts++)
      if (signal.aborted) session.aborts++
    }
    return yield* Effect.onExit(program(session, watcher, around, owner), () =>
      Effect.sync(() => {
        session.closing = true
      })
    )
  })
  const fiber: Fiber.Fiber<string, string> = work.pipe(
    Effect.provide(
      CancellationWatcher.layer({
        ref: run.ref,
        runId: run.runId,
        pollInterval: spec.poll,
        handlerTimeout: spec.handlerTimeout,
        gracePeriod: spec.grace
      })
    ),
    Effect.provideContext(process.context),
    Effect.onExit((exit) =>
      Effect.sync(() => {
        session.ended = exit
      })
    ),
    Effect.runForkWith(time.context)
  )
  return {
    trace: session,
    scope: time.run(Scope.make()),
    interrupt: () => {
      if (session.ended !== undefined) return
      session.interrupted = true
      noteInterrupt(owner, around.moment(isFlagged(session)))
      fiber.interruptUnsafe()
    }
  }
}
