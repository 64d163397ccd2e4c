/**
 * Plays the work of a session: real programs on the library, with an observer at every joint.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CancellationWatcher } from "../../src/index.ts"
import type { End, Op, SessionSpec, WrapSpec } from "../schedule.ts"
import {
  isFlagged,
  type Moment,
  type SessionTrace,
  type StreamTrace,
  type WrapTrace
} from "./trace.ts"
import { cancel, check, register, retarget, type Surroundings } from "./watching.ts"

/** What runs in one fiber, for when it is told to end. */
export interface Owner {
  readonly open: Set<{ interrupted: Moment | undefined }>
}

export const noteInterrupt = (owner: Owner, moment: Moment): void => {
  for (const one of owner.open) one.interrupted ??= moment
}

interface Place {
  readonly session: SessionTrace
  readonly watcher: CancellationWatcher["Service"]
  readonly around: Surroundings
  readonly owner: Owner
  readonly parent: WrapTrace | undefined
}

type Body = Effect.Effect<void, string, Scope.Scope>

/** The program of a session, from the moment it has its watcher. */
export const program = (
  session: SessionTrace,
  watcher: CancellationWatcher["Service"],
  around: Surroundings,
  owner: Owner
): Effect.Effect<string, string> => {
  const { end, ops }: SessionSpec = session.spec
  const place: Place = { session, watcher, around, owner, parent: undefined }
  return Effect.scoped(
    Effect.andThen(Effect.forEach(ops, playIn(place), { discard: true }), ending(end, "session"))
  )
}

const now = ({ around, session }: Place): Moment => around.moment(isFlagged(session))

const ending = (end: End, id: string): Effect.Effect<string, string> => {
  switch (end) {
    case "succeed":
      return Effect.succeed(`done ${id}`)
    case "fail":
      return Effect.fail(`failed ${id}`)
    case "die":
      return Effect.die(`died ${id}`)
    case "killed":
      return Effect.andThen(
        Effect.withFiber((fiber) => Effect.sync(() => fiber.interruptUnsafe())),
        Effect.never
      )
    case "interrupt":
    default:
      return Effect.interrupt
  }
}

const playIn =
  (place: Place) =>
  (op: Op): Body => {
    const { around, owner, parent, session, watcher } = place
    switch (op.op) {
      case "sleep":
        return Effect.sleep(op.ms)
      case "gate":
        return Effect.suspend(() => Deferred.await(around.gate(op.gate)))
      case "check":
        return check(session, watcher, around)
      case "handler":
        return register(session, watcher, around, op.handler)
      case "cancel":
        return cancel(session, watcher)
      case "retarget":
        return retarget(session, watcher, around, op.message)
      case "resist":
        return Effect.uninterruptible(Effect.sleep(op.ms))
      case "cleanup":
        return Effect.addFinalizer(() => Effect.sleep(op.ms))
      case "wrap":
        return survived(wrap(place, op.wrap))
      case "deadline":
        return withDeadline(place, op.ms, (inChild) => wrap(inChild, op.wrap))
      case "stream":
      default:
        return survived(pull({ session, watcher, around, owner, parent }, op))
    }
  }

// A wrap that fails is not the end of what contains it; one that is interrupted is.
const survived = (effect: Effect.Effect<unknown, string>): Effect.Effect<void> =>
  Effect.catchCause(Effect.asVoid(effect), (cause) =>
    Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.void
  )

const wrap = (place: Place, spec: WrapSpec): Effect.Effect<unknown, string> =>
  Effect.suspend(() => {
    const { owner, parent, session, watcher } = place
    const id = `${session.index}.${session.wraps.length}`
    const trace: WrapTrace = {
      id,
      spec,
      grace: spec.grace ?? session.spec.grace,
      parent,
      began: now(place),
      workBegan: undefined,
      workEnded: undefined,
      returned: undefined,
      interrupted: undefined
    }
    session.wraps.push(trace)
    owner.open.add(trace)
    const inside = playIn({ ...place, owner: { open: new Set() }, parent: trace })
    const work = Effect.suspend(() => {
      trace.workBegan = now(place)
      return Effect.andThen(
        Effect.forEach(spec.ops, inside, { discard: true }),
        ending(spec.end, id)
      )
    }).pipe(
      Effect.scoped,
      Effect.onExit((exit) =>
        Effect.sync(() => {
          trace.workEnded = { exit, ...now(place) }
        })
      )
    )
    return Effect.onExit(wrapped(work, watcher, spec, id), (exit) =>
      Effect.sync(() => {
        owner.open.delete(trace)
        trace.returned = { exit, ...now(place) }
      })
    )
  })

const wrapped = (
  work: Effect.Effect<string, string>,
  watcher: CancellationWatcher["Service"],
  { form, grace, poll }: WrapSpec,
  id: string
): Effect.Effect<unknown, string> => {
  const timing = {
    ...(grace === undefined ? {} : { gracePeriod: grace }),
    ...(poll === undefined ? {} : { pollInterval: poll })
  }
  switch (form) {
    case "undefined":
      return watcher.runWithCancellation(work, { ...timing, cancelResult: undefined })
    case "option":
      return work.pipe(watcher.runWithCancellation(timing))
    case "onCancelled":
      return watcher.runWithCancellation(work, {
        ...timing,
        onCancelled: () => Effect.as(Effect.yieldNow, `cancelled ${id}`)
      })
    case "value":
    default:
      return watcher.runWithCancellation(work, { ...timing, cancelResult: `cancelled ${id}` })
  }
}

// Like a time-out, but it notes the very step in which it tells the fiber to end.
const withDeadline = (
  place: Place,
  ms: number,
  inChild: (place: Place) => Effect.Effect<unknown, string>
): Effect.Effect<void> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const owner: Owner = { open: new Set() }
      const child = yield* Effect.forkChild(Effect.interruptible(inChild({ ...place, owner })), {
        startImmediately: true
      })
      const end = Effect.sync(() => {
        noteInterrupt(owner, now(place))
        child.interruptUnsafe()
      })
      const timer = yield* Effect.forkChild(Effect.andThen(Effect.sleep(ms), end))
      yield* Effect.onInterrupt(restore(Fiber.await(child)), () =>
        Effect.andThen(end, Fiber.await(child))
      ).pipe(Effect.ensuring(Fiber.interrupt(timer)))
    })
  )

const pull = (
  place: Place,
  { grace, items, pause }: Extract<Op, { op: "stream" }>
): Effect.Effect<void, string> =>
  Effect.suspend(() => {
    const trace: StreamTrace = {
      began: now(place),
      parent: place.parent,
      produced: [],
      passed: [],
      opened: false,
      closed: undefined,
      returned: undefined,
      interrupted: undefined
    }
    place.session.streams.push(trace)
    place.owner.open.add(trace)
    const source = Stream.fromIterable(Array.from({ length: items }, (_, index) => index)).pipe(
      Stream.onStart(
        Effect.sync(() => {
          trace.opened = true
        })
      ),
      Stream.mapEffect((item) =>
        Effect.andThen(
          pause === 0 ? Effect.void : Effect.sleep(pause),
          Effect.sync(() => {
            trace.produced.push(now(place))
            return item
          })
        )
      ),
      Stream.ensuring(
        Effect.sync(() => {
          trace.closed = now(place)
        })
      )
    )
    return source.pipe(
      place.watcher.streamWithCancellation(grace === undefined ? {} : { gracePeriod: grace }),
      Stream.runForEach((item) => Effect.sync(() => void trace.passed.push(item))),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          place.owner.open.delete(trace)
          trace.returned = { exit, ...now(place) }
        })
      )
    )
  })
