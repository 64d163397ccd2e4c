/**
 * Plays a schedule: one store, two processes with a repo each, and what happens to them.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  type CancellationWatcher,
  MessageStore,
  type Run,
  StopHint,
  StopIntent,
  StopSignal,
  StopTarget
} from "../../src/index.ts"
import { type Act, gates, type Schedule, type SessionSpec } from "../schedule.ts"
import { makeAim, sameRun } from "./aim.ts"
import { countDetected, findAtOnce, findLeftovers, tempt } from "./leftovers.ts"
import { makeProcess, type Process } from "./process.ts"
import { type Session, startSession } from "./sessions.ts"
import { findAll, messageIds, runOf, tapped, targetOf } from "./store.ts"
import { type HintTrace, isFlagged, type Moment, type SessionTrace, type Trace } from "./trace.ts"
import { makeVirtualTime } from "./virtualTime.ts"
import { cancel, check, register, retarget, type Surroundings } from "./watching.ts"

const handlerLimit = 5000
// A poll of the slowest, a time-out, and the longest pause before a write is tried again.
const quietTime = 2000 + 1000 + 2000 + 1000

export const play = (schedule: Schedule): Trace => {
  const time = makeVirtualTime(schedule.order, schedule.budget)
  const aim = makeAim()
  const scope = time.run(Scope.make())
  const shared = time.run(
    Layer.buildWithScope(Layer.merge(MessageStore.layerMemory(), StopSignal.layerMemory), scope)
  )
  const store = tapped(Context.get(shared, MessageStore), aim)
  const signal: Layer.Layer<never> = Layer.succeed(StopSignal, Context.get(shared, StopSignal))
  const sessions: Array<SessionTrace> = []
  const playing: Array<Session> = []
  const wasFlagged = new Set<number>()
  const unset = new Set<number>()
  const hints: Array<HintTrace> = []
  const gateOf = Array.from({ length: gates }, () => Deferred.makeUnsafe<void, string>())
  let seq = 0

  const moment = (flag: boolean): Moment => ({ seq: seq++, time: time.now(), flag })
  const around: Surroundings = {
    gate: (index) => gateOf[index] ?? Deferred.makeUnsafe(),
    messageId: (index) => messageIds[index],
    moment
  }
  const isWatchedBy = (process: 0 | 1, run: Run, session: SessionTrace): boolean =>
    !session.closing &&
    session.spec.process === process &&
    session.segments.some((segment) => sameRun(segment, run))
  const isWatched = (process: 0 | 1, run: Run): boolean =>
    sessions.some((session) => isWatchedBy(process, run, session) && !isFlagged(session))

  const common = { store, signal, scope, chunkSize: schedule.chunkSize, isWatched }
  const processes = [
    time.run(makeProcess({ ...common, index: 0 })),
    time.run(makeProcess({ ...common, index: 1 }))
  ] as const
  time.turn()
  const baseline = { fibers: time.liveFibers(), sleepers: time.sleepers() }

  const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.runForkWith(time.context)(effect)

  const start = (spec: SessionSpec): void => {
    const process = processes[spec.process]
    playing.push(
      startSession(sessions.length, spec, process, time, around, (session) => {
        sessions.push(session)
      })
    )
  }

  const openGate = (index: number, fails: boolean): void => {
    const gate = gateOf[index]
    if (gate === undefined) return
    gateOf[index] = Deferred.makeUnsafe()
    Deferred.doneUnsafe(gate, fails ? Effect.fail("gate") : Effect.void)
  }

  /** Watches what a hint leads to, if it comes when nothing else is under way. */
  const observingHint = (
    process: Process,
    about: HintTrace["about"],
    times: number,
    tell: () => void
  ): void => {
    time.turn()
    if (!process.isQuiet()) return tell()
    const means = (run: Run) => about === "everything" || sameRun(run, about)
    const watching = sessions.filter(
      (one) =>
        !one.closing &&
        one.watcher !== undefined &&
        one.spec.process === process.index &&
        !isFlagged(one)
    )
    const watched = watching.flatMap(({ segments }) => segments.filter(means)).length
    const stopped = watching.filter((one) =>
      one.segments.some((run) => means(run) && aim.isStopped(run))
    )
    const before = process.reads().length
    tell()
    time.turn()
    const reads = process.reads().slice(before)
    hints.push({
      process: process.index,
      about,
      watched,
      reads: reads.length,
      rows: reads.reduce((sum, rows) => sum + rows, 0),
      // One look may be under way when the others come; they join into the next.
      allowedRows: watched * Math.min(2, times),
      undetected: stopped.filter((one) => !one.closing && !isFlagged(one)).map(({ index }) => index)
    })
  }

  const withSession = (
    index: number,
    use: (one: Session, watcher: CancellationWatcher["Service"]) => void
  ): void => {
    const one = playing[index % Math.max(1, playing.length)]
    if (one?.trace.watcher !== undefined) use(one, one.trace.watcher)
  }

  const perform = (act: Act): void => {
    switch (act.act) {
      case "start":
        return start(act.session)
      case "stop": {
        const target = targetOf(act)
        const intent = StopIntent.make({ reason: "user" })
        const stop =
          act.via === "store"
            ? store.requestStop(target, intent)
            : processes[act.via].requestStop(target, intent)
        fork(stop)
        return
      }
      case "stopNow":
        return withSession(act.session, ({ trace }, watcher) => {
          const [run] = trace.segments
          if (run === undefined) return
          fork(
            store.requestStop(
              StopTarget.cases.Run.make({ run }),
              StopIntent.make({ reason: "user" })
            )
          )
          fork(check(trace, watcher, around))
        })
      case "hint": {
        const run = runOf(act.message, act.attempt)
        const process = processes[act.process]
        return observingHint(process, run, act.times, () => {
          for (let n = 0; n < act.times; n++) {
            time.run(process.signal.emit(StopHint.cases.Hint.make({ run })))
          }
        })
      }
      case "signal": {
        const process = processes[act.process]
        if (act.event === "reconnected") {
          return observingHint(process, "everything", 1, () => {
            time.run(process.signal.reconnected)
          })
        }
        return process.disturbSignal(act.event)
      }
      case "fault":
        return processes[act.process].disturbStore(act.operations, act.fault)
      case "heal":
        return processes[act.process].heal()
      case "advance":
        return time.advance(act.ms)
      case "check":
        return withSession(act.session, ({ trace }, watcher) => {
          fork(check(trace, watcher, around))
        })
      case "subscribe":
        return withSession(act.session, ({ trace }, watcher) => {
          const subscriber = { events: [], ended: false } as SessionTrace["subscribers"][number]
          trace.subscribers.push(subscriber)
          fork(
            Effect.ensuring(
              Stream.runForEach(watcher.events, (event) =>
                Effect.sync(() => void subscriber.events.push(event))
              ),
              Effect.sync(() => {
                subscriber.ended = true
              })
            )
          )
        })
      case "handler":
        return withSession(act.session, ({ scope, trace }, watcher) => {
          if (scope.state._tag === "Closed") return
          fork(
            Effect.provideService(register(trace, watcher, around, act.handler), Scope.Scope, scope)
          )
        })
      case "dropHandlers":
        return withSession(act.session, ({ scope }) => {
          fork(Scope.close(scope, Exit.void))
        })
      case "cancel":
        return withSession(act.session, ({ trace }, watcher) => {
          fork(cancel(trace, watcher))
        })
      case "retarget":
        return withSession(act.session, ({ trace }, watcher) => {
          fork(retarget(trace, watcher, around, act.message))
        })
      case "open":
        return openGate(act.gate, act.fails)
      case "interrupt":
      default:
        playing[act.session % Math.max(1, playing.length)]?.interrupt()
    }
  }

  const noteFlags = (): void => {
    for (const session of sessions) {
      if (isFlagged(session)) wasFlagged.add(session.index)
      else if (wasFlagged.has(session.index)) unset.add(session.index)
    }
  }

  for (const step of schedule.steps) {
    perform(step.do)
    time.turn(step.turns < 0 ? undefined : step.turns)
    noteFlags()
  }

  // All is well again: now whatever was stopped must be found.
  for (const process of processes) process.heal()
  time.advance(quietTime)
  noteFlags()
  const overlooked = sessions
    .filter(
      (session) =>
        !session.closing &&
        session.watcher !== undefined &&
        !isFlagged(session) &&
        session.segments.some(aim.isStopped)
    )
    .map(({ index }) => index)

  // Everybody may go home, also with a hint just received.
  const ended = () => sessions.every((session) => session.ended !== undefined)
  for (let round = 0; round < 12 && !ended(); round++) {
    tempt(processes, aim, time)
    gateOf.forEach((_, index) => openGate(index, false))
    time.turn()
    if (!ended()) time.advance(1000)
  }
  const atOnce = ended() ? findAtOnce(time, sessions, baseline) : undefined
  for (const session of playing) session.interrupt()
  time.advance(2 * handlerLimit)
  for (const { scope } of playing) fork(Scope.close(scope, Exit.void))
  // A scope waits for its handlers one after the other.
  const handlers = Math.max(1, ...sessions.map((session) => session.handlers.length))
  time.advance((handlers + 1) * handlerLimit)
  noteFlags()
  const endless = sessions.filter(({ ended }) => ended === undefined).map(({ index }) => index)

  const stored = time.run(findAll(store))
  const reads = processes.reduce((sum, process) => sum + process.reads().length, 0)
  const stopsDetected = countDetected(time)
  const needlessReads = processes.flatMap((process) => process.needlessReads())
  const leftovers = findLeftovers({ time, aim, processes, scope, baseline })

  return {
    sessions,
    aim,
    stored,
    needlessReads,
    reads,
    hints,
    overlooked,
    unset: Array.from(unset),
    endless,
    stopsDetected,
    logged: time.logged,
    leftovers: { ...leftovers, atOnce }
  }
}
