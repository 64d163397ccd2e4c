/** The texts of a chat in memory, in a store that misbehaves when it is told to, and tells what it was asked. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  ContentUnavailable,
  type Message,
  type MessageChange,
  MessageContent,
  MessageContentError,
  MessageRepo,
  MessageStore,
  NewMessage
} from "effect-cancellation"
import { ref, runId } from "./chat.ts"

/**
 * `fail`: does nothing and fails as unavailable. `loseAnswer`: does it, then fails so. `die`: does
 * nothing and dies. `hang`: waits to be released or interrupted. `resist`: waits to be released, whoever
 * interrupts it. What was released does what it was asked.
 */
export type Mood =
  | "steady"
  | "fail"
  | "loseAnswer"
  | "die"
  | "hang"
  | "resist"
  | { readonly slow: Duration.Input }
  | { readonly refuse: MessageContentError["reason"] }

interface Accepted {
  /** When, in milliseconds of the test's clock. */
  readonly at: number
  readonly change: MessageChange
  readonly message: Message
}

export class Unsteady extends Context.Service<
  Unsteady,
  {
    /** What the next calls do, until told otherwise; those under way are left alone. */
    readonly modify: (mood: Mood) => Effect.Effect<void>
    readonly create: (mood: Mood) => Effect.Effect<void>
    /** Lets everything go on that hangs. */
    readonly release: Effect.Effect<void>
    /** Waits until the n-th call (from 1) of `modify` has begun. */
    readonly asked: (nth: number) => Effect.Effect<void>
    /** The same of `create`, not counting the message that is there from the start. */
    readonly askedToCreate: (nth: number) => Effect.Effect<void>
    /** What calls of `modify` asked for, in the order in which they began. */
    readonly changes: ReadonlyArray<MessageChange>
    /** What of it was interrupted while it hung. */
    readonly interrupted: ReadonlyArray<MessageChange>
    /** What of it was written, in the order in which it was. */
    readonly accepted: ReadonlyArray<Accepted>
  }
>()("test/Unsteady") {}

const makeCounter = () => {
  const waiting: Array<Deferred.Deferred<void>> = []
  const nth = (n: number) => (waiting[n - 1] ??= Deferred.makeUnsafe())
  let count = 0
  return {
    next: () => void Deferred.doneUnsafe(nth(++count), Effect.void),
    // The waiter is woken from within the call: let that go as far as it can first.
    reached: (n: number) =>
      Effect.suspend(() => {
        for (let i = 1; i <= n; i++) nth(i)
        return Effect.andThen(Deferred.await(nth(n)), Effect.yieldNow)
      })
  }
}

const make = Effect.gen(function* () {
  const content = yield* MessageContent
  const changes: Array<MessageChange> = []
  const interrupted: Array<MessageChange> = []
  const accepted: Array<Accepted> = []
  const modified = makeCounter()
  const created = makeCounter()
  let gate = Deferred.makeUnsafe<void>()
  let modifyMood: Mood = "steady"
  let createMood: Mood = "steady"

  const inMood = <A>(
    mood: Mood,
    operation: string,
    call: Effect.Effect<A, MessageContentError>
  ) => {
    const unavailable = Effect.suspend(() =>
      Effect.fail(
        new MessageContentError({
          reason: new ContentUnavailable({ operation, cause: new Error("told to fail") })
        })
      )
    )
    const released = Effect.suspend(() => Deferred.await(gate))
    switch (mood) {
      case "steady":
        return call
      case "fail":
        return unavailable
      case "loseAnswer":
        return Effect.andThen(call, unavailable)
      case "die":
        return Effect.die(new Error(`${operation} was told to die`))
      case "hang":
        return Effect.andThen(released, call)
      case "resist":
        return Effect.uninterruptible(Effect.andThen(released, call))
      default:
        return "slow" in mood
          ? Effect.andThen(Effect.sleep(mood.slow), call)
          : Effect.fail(new MessageContentError({ reason: mood.refuse }))
    }
  }

  const unsteady = MessageContent.of({
    supports: content.supports,
    find: content.find,
    create: (message) =>
      Effect.suspend(() => {
        created.next()
        return inMood(createMood, "create", content.create(message))
      }),
    modify: (change) =>
      Effect.suspend(() => {
        changes.push(change)
        modified.next()
        const written = Effect.tap(content.modify(change), (message) =>
          Effect.map(Clock.currentTimeMillis, (at) => void accepted.push({ at, change, message }))
        )
        return Effect.onInterrupt(inMood(modifyMood, "modify", written), () =>
          Effect.sync(() => void interrupted.push(change))
        )
      })
  })

  yield* content.create(NewMessage.make({ ref, role: "assistant", writer: runId }))
  return Context.make(MessageContent, unsteady).pipe(
    Context.add(
      Unsteady,
      Unsteady.of({
        modify: (mood) => Effect.sync(() => void (modifyMood = mood)),
        create: (mood) => Effect.sync(() => void (createMood = mood)),
        release: Effect.sync(() => {
          const opened = gate
          gate = Deferred.makeUnsafe()
          Deferred.doneUnsafe(opened, Effect.void)
        }),
        asked: modified.reached,
        askedToCreate: created.reached,
        changes,
        interrupted,
        accepted
      })
    )
  )
})

/** The repo and the unsteady texts, with the message that is to be written. */
export const layer: Layer.Layer<MessageRepo | MessageContent | Unsteady> = Layer.effectContext(
  Effect.orDie(make)
).pipe(
  Layer.provide(MessageContent.layerMemory),
  Layer.merge(Layer.provide(MessageRepo.layer(), MessageStore.layerMemory()))
)
