/**
 * The laws marked P, as what must hold of everything that was observed. Each answers what it found
 * wrong; nothing is as it should be.
 */
import { getEventListeners } from "node:events"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { runKey } from "../../src/index.ts"
import { sameRun } from "./aim.ts"
import {
  eventOf,
  type HandlerTrace,
  isFlagged,
  type SessionTrace,
  type StreamTrace,
  type Trace,
  type WrapTrace
} from "./trace.ts"

export type Law = (trace: Trace) => ReadonlyArray<string>

const perSession =
  (judge: (session: SessionTrace, trace: Trace) => Array<string>): Law =>
  (trace) =>
    trace.sessions.flatMap((session) =>
      judge(session, trace).map((wrong) => `session ${session.index}: ${wrong}`)
    )

const all =
  (...laws: ReadonlyArray<Law>): Law =>
  (trace) =>
    laws.flatMap((law) => law(trace))

/** 1. Once cancelled, always cancelled; no read of the store for it after that. */
export const sticky: Law = all(
  ({ unset }) => unset.map((index) => `session ${index} was cancelled and is not any more`),
  ({ needlessReads }) =>
    needlessReads.map((key) => `read of ${key.replaceAll("\0", "/")}, that nobody waits for`),
  perSession(({ checks }) =>
    checks.flatMap(({ began, ended, exit }) => {
      if (Exit.isFailure(exit)) {
        return Cause.hasInterruptsOnly(exit.cause)
          ? []
          : [`check failed: ${Cause.pretty(exit.cause)}`]
      }
      const wrong: Array<string> = []
      if (exit.value !== ended.flag) {
        wrong.push(`check said ${exit.value} when the flag was ${ended.flag}`)
      }
      if (began.flag && began.time !== ended.time) wrong.push("a check waited though all was known")
      return wrong
    })
  )
)

/** 2. One event is published and each handler runs once, however many see the stop. */
export const once: Law = all(
  perSession((session) => {
    const event = eventOf(session)
    const wrong: Array<string> = []
    for (const { ended, events } of session.subscribers) {
      if (events.length !== (event === undefined ? 0 : 1) || events[0] !== event) {
        wrong.push(`a subscriber got ${events.length} events`)
      }
      if (!ended) wrong.push("a subscriber's stream never ended")
    }
    if (session.aborts !== (event !== undefined && session.spec.signal ? 1 : 0)) {
      wrong.push(`the signal was aborted ${session.aborts} times`)
    }
    return wrong.concat(session.handlers.flatMap((handler) => handled(handler, session)))
  }),
  ({ logged, sessions, stopsDetected }) => {
    const cancelled = sessions.filter(isFlagged).length
    const announced = logged.get("Run cancelled") ?? 0
    return stopsDetected === cancelled && announced === cancelled
      ? []
      : [`${cancelled} sessions were cancelled, ${stopsDetected} counted, ${announced} announced`]
  }
)

const handled = (handler: HandlerTrace, session: SessionTrace): Array<string> => {
  const { events, registered, removed, spec } = handler
  const due = registered.flag || (removed === undefined ? isFlagged(session) : removed.flag)
  const event = eventOf(session)
  if (events.length !== (due ? 1 : 0)) {
    return [`a ${spec.kind} handler that ${due ? "was" : "was not"} due ran ${events.length} times`]
  }
  if (!due || event === undefined) return []
  if (events[0] !== event) return ["a handler got another event"]
  return handler.ran?.time === Math.max(event.detectedAt, registered.time)
    ? []
    : [`a ${spec.kind} handler ran late`]
}

/** 7. The flag in the step in which the work ends decides who wins. */
export const oneWinner: Law = perSession((session) => [
  ...session.wraps.flatMap((wrap) => judgeWrap(wrap).map((wrong) => `wrap ${wrap.id}: ${wrong}`)),
  ...session.streams.flatMap(judgeStream)
])

const judgeWrap = (wrap: WrapTrace): Array<string> => {
  const { began, interrupted, returned, workBegan, workEnded } = wrap
  if (returned === undefined) return ["never returned"]
  if (began.flag && workBegan !== undefined) return ["began though the run was cancelled"]
  if (interrupted !== undefined && interrupted.seq < returned.seq) {
    if (!isInterrupted(returned.exit)) return [`an outer interrupt became ${show(returned.exit)}`]
    const over =
      workBegan === undefined || (workEnded !== undefined && workEnded.seq < returned.seq)
    return over || (returned.flag && wrap.grace !== undefined)
      ? []
      : ["an outer interrupt did not wait for the work"]
  }
  // A wrap within a wrap is interrupted, when the outer one is: by a stop, or from outside.
  if (wrap.parent !== undefined && isEnding(wrap.parent) && isInterrupted(returned.exit)) return []
  if (workEnded !== undefined && workEnded.seq < returned.seq && !workEnded.flag) {
    return sameExit(ownOf(wrap, workEnded.exit), returned.exit)
      ? []
      : [`${show(workEnded.exit)} became ${show(returned.exit)} though the flag was not set`]
  }
  if (!returned.flag) return ["returned before its work ended, and was not cancelled"]
  if (workEnded === undefined || workEnded.seq > returned.seq) {
    const waited = workBegan === undefined ? Infinity : returned.time - workBegan.time
    if (workBegan !== undefined && (wrap.grace === undefined || waited < wrap.grace)) {
      return ["returned before its work ended, and before its grace period did"]
    }
  }
  return sameExit(cancelResultOf(wrap), returned.exit)
    ? []
    : [`the cancel result was ${show(returned.exit)}`]
}

const isEnding = (wrap: WrapTrace): boolean =>
  wrap.interrupted !== undefined ||
  wrap.returned?.flag === true ||
  (wrap.parent !== undefined && isEnding(wrap.parent))

const isInterrupted = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)

const ownOf = ({ spec }: WrapTrace, exit: Exit.Exit<unknown, unknown>) =>
  spec.form === "option" ? Exit.map(exit, Option.some) : exit

const cancelResultOf = ({ id, spec }: WrapTrace): Exit.Exit<unknown> => {
  if (spec.form === "undefined") return Exit.succeed(undefined)
  return Exit.succeed(spec.form === "option" ? Option.none() : `cancelled ${id}`)
}

const sameExit = (a: Exit.Exit<unknown, unknown>, b: Exit.Exit<unknown, unknown>): boolean =>
  show(a) === show(b)

const show = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? `success ${Option.isOption(exit.value) ? JSON.stringify(exit.value) : String(exit.value)}`
    : exit.cause.reasons
        .map((reason) =>
          Cause.isFailReason(reason)
            ? `failure ${String(reason.error)}`
            : Cause.isDieReason(reason)
              ? `defect ${String(reason.defect)}`
              : "interrupt"
        )
        .join(", ")

const judgeStream = (stream: StreamTrace): Array<string> => {
  const { began, interrupted, opened, passed, produced, returned } = stream
  if (returned === undefined) return ["a stream never ended"]
  if (began.flag && opened) return ["a stream was opened though the run was cancelled"]
  const before = produced.filter(({ flag }) => !flag).length
  const outer =
    interrupted !== undefined || (stream.parent !== undefined && isEnding(stream.parent))
  if (passed.length > before)
    return [`passed ${passed.length} items, ${before} came before the stop`]
  if (outer) {
    return interrupted === undefined ||
      interrupted.seq > returned.seq ||
      isInterrupted(returned.exit)
      ? []
      : [`an outer interrupt became ${show(returned.exit)}`]
  }
  if (passed.length < before) return [`passed ${passed.length} items of ${before} before the stop`]
  return Exit.isSuccess(returned.exit) ? [] : [`a stream ended with ${show(returned.exit)}`]
}

/** 11. After the runs: no fiber, no query, nothing in the gauges, nothing asleep. */
export const nothingLeaks: Law = ({ endless, leftovers, sessions }) => {
  const wrong = endless.map((index) => `session ${index} never ended`)
  const { atOnce, fibers, fibersAfterClose, gauges, sleepers, sleepersAfterClose, storeCalls } =
    leftovers
  if (atOnce !== undefined && atOnce.fibers !== 0) {
    wrong.push(`${atOnce.fibers} fibers outlive the runs`)
  }
  if (atOnce !== undefined && atOnce.sleepers !== 0) {
    wrong.push(`${atOnce.sleepers} sleepers outlive the runs`)
  }
  if (fibers !== 0) wrong.push(`${fibers} fibers are left`)
  if (sleepers !== 0) wrong.push(`${sleepers} sleeping fibers are left`)
  for (const reads of leftovers.readsOfNext) {
    if (reads !== 2) wrong.push(`the next run was read for ${reads} times, not twice`)
  }
  if (storeCalls !== 0) wrong.push(`${storeCalls} calls to the store though nothing runs`)
  if (fibersAfterClose !== 0) wrong.push(`${fibersAfterClose} fibers outlive the repos`)
  if (sleepersAfterClose !== 0) wrong.push(`${sleepersAfterClose} sleepers outlive the repos`)
  for (const [gauge, value] of Object.entries(gauges)) {
    if (value !== 0) wrong.push(`${gauge} stands at ${value}`)
  }
  for (const { index, signal } of sessions) {
    // One is the session's own.
    const listeners = signal === undefined ? 1 : getEventListeners(signal, "abort").length
    if (listeners !== 1) wrong.push(`session ${index} has ${listeners} abort listeners`)
  }
  return wrong
}

/** 13. A hint makes the feed look, and nothing more; without hints polls find everything. */
export const hintsAreHints: Law = all(
  ({ hints, sessions }) =>
    hints.flatMap((hint) => {
      const wrong: Array<string> = []
      const what =
        hint.about === "everything" ? "a reconnection" : `a hint for ${runKey(hint.about)}`
      if (hint.watched === 0 && hint.reads > 0) wrong.push("was read for though unwatched")
      if (hint.rows > hint.allowedRows) wrong.push(`read ${hint.rows} rows for ${hint.watched}`)
      if (hint.watched > 0 && hint.rows === 0) wrong.push("made nobody look")
      if (hint.undetected.length > 0) wrong.push(`left ${hint.undetected.join()} undetected`)
      return wrong.map((text) => `${what.replaceAll("\0", "/")} ${text} (${sessions.length})`)
    }),
  ({ overlooked }) =>
    overlooked.map((index) => `session ${index} was not stopped, by poll or by hint`),
  perSession((session, { aim }) => onlyWhatIsStored(session, aim.isStopped))
)

/** 16. Exactly those runs are cancelled whose stop was recorded. */
export const aim: Law = all(
  ({ aim: oracle, stored }) =>
    stored.flatMap(({ run, stopped }) =>
      oracle.isStopped(run) === stopped
        ? []
        : [
            `the store ${stopped ? "holds" : "lacks"} a stop for ${runKey(run).replaceAll("\0", "/")}`
          ]
    ),
  ({ overlooked }) => overlooked.map((index) => `session ${index} was never stopped`),
  perSession((session, { aim: oracle }) => onlyWhatIsStored(session, oracle.isStopped)),
  perSession((session) => {
    const event = eventOf(session)
    return event === undefined || session.segments.some((run) => sameRun(run, event.run))
      ? []
      : [`its event names another run: ${runKey(event.run)}`]
  })
)

const onlyWhatIsStored = (
  session: SessionTrace,
  isStopped: Trace["aim"]["isStopped"]
): Array<string> => {
  const event = eventOf(session)
  if (event === undefined) return []
  if (event.detectedBy === "local") {
    return event.request.reason === "parent" && session.localCancels > 0
      ? []
      : [`was cancelled from inside for no reason: ${event.request.reason}`]
  }
  return isStopped(event.run) ? [] : [`was cancelled (${event.detectedBy}) without a stop`]
}
