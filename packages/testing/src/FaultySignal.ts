/**
 * A signal that misbehaves when it is told to.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { type Run, StopHint, StopSignal, StopSignalError } from "effect-cancellation"
import { type CallCounts, makeCallLog } from "./internal/callLog.ts"
import { makeGate } from "./internal/gate.ts"
import { seededRandom } from "./internal/seededRandom.ts"

/**
 * One way a signal misbehaves, made by {@link SignalFault}. A subscriber has the fault from the next
 * hint on.
 *
 * @category models
 * @since 0.1.0
 */
export type HintFault =
  | { readonly _tag: "Healthy" }
  | { readonly _tag: "Lossy"; readonly loses: () => boolean }
  | { readonly _tag: "Doubling" }
  | { readonly _tag: "Delayed"; readonly duration: Duration.Duration }
  | { readonly _tag: "Down" }

/**
 * One way publishing misbehaves, made by {@link SignalFault}.
 *
 * @category models
 * @since 0.1.0
 */
export type PublishFault =
  | { readonly _tag: "Healthy" }
  | { readonly _tag: "Fail" }
  | { readonly _tag: "Die" }
  | { readonly _tag: "Hang" }

/**
 * The faults a signal can be given.
 *
 * ```ts
 * import { SignalFault } from "effect-cancellation-testing"
 *
 * const everyOtherHintIsLost = SignalFault.lossy(0.5, 42)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const SignalFault = {
  /** Publishes and delivers. */
  healthy: { _tag: "Healthy" } as { readonly _tag: "Healthy" },
  /** For `hints`: every hint is lost. */
  drop: { _tag: "Lossy", loses: () => true } as HintFault,
  /** For `hints`: each hint is lost with this probability (0 to 1), the same ones for the same seed. */
  lossy: (probability: number, seed: number): HintFault => {
    const random = seededRandom(seed)
    return { _tag: "Lossy", loses: () => random() < probability }
  },
  /** For `hints`: each hint arrives twice. */
  doubling: { _tag: "Doubling" } as HintFault,
  /** For `hints`: each hint arrives so much later. */
  delayed: (duration: Duration.Input): HintFault => ({
    _tag: "Delayed",
    duration: Duration.fromInputUnsafe(duration)
  }),
  /** For `hints`: whoever subscribes finds a stream that ends at once; see also `disconnect`. */
  down: { _tag: "Down" } as HintFault,
  /** For `publish`: nothing is published, and it fails with `StopSignalError`. */
  fail: { _tag: "Fail" } as PublishFault,
  /** For `publish`: nothing is published, and it dies. */
  die: { _tag: "Die" } as PublishFault,
  /** For `publish`: waits until it is interrupted or released; released, it publishes. */
  hang: { _tag: "Hang" } as PublishFault
}

/**
 * What a signal is told: how it publishes, how it delivers. What is left out stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface SignalFaultSettings {
  readonly publish?: PublishFault
  readonly hints?: HintFault
}

/**
 * The switches of a signal that misbehaves, and what was asked of it.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { SignalFault, SignalFaults } from "effect-cancellation-testing"
 *
 * const test = Effect.gen(function* () {
 *   const faults = yield* SignalFaults
 *   yield* faults.begun("subscribe", 1)
 *   yield* faults.set({ hints: SignalFault.drop })
 *   yield* faults.disconnect
 * }).pipe(Effect.provide(SignalFaults.layer()))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class SignalFaults extends Context.Service<
  SignalFaults,
  {
    /** Gives publishing or delivering a fault. */
    readonly set: (settings: SignalFaultSettings) => Effect.Effect<void>
    /** Makes both healthy, and releases what hangs. */
    readonly heal: Effect.Effect<void>
    /** Lets the calls of `publish` that hang now go on. */
    readonly release: Effect.Effect<void>
    /** Gives all subscribers of now a hint, true or false, past all faults. */
    readonly emit: (hint: StopHint) => Effect.Effect<void>
    /** Tells all subscribers of now that hints may have been missed. */
    readonly reconnected: Effect.Effect<void>
    /** Ends the stream of all subscribers of now; what they have not read yet they still get. */
    readonly disconnect: Effect.Effect<void>
    /** Makes the stream of all subscribers of now die. */
    readonly crash: Effect.Effect<void>
    /** What has been asked: calls of `publish`, and subscriptions to `hints` (in flight: those open). */
    readonly counts: Effect.Effect<Readonly<Record<SignalOperation, CallCounts>>>
    /** Waits until the n-th call (from 1) of `publish`, or the n-th subscription, has begun. */
    readonly begun: (operation: SignalOperation, nth: number) => Effect.Effect<void>
    /** Waits until n calls of `publish`, or n subscriptions, have ended. */
    readonly ended: (operation: SignalOperation, nth: number) => Effect.Effect<void>
  }
>()("effect-cancellation-testing/SignalFaults") {
  /**
   * A `StopSignal` over the given one (by default `StopSignal.layerMemory`), healthy at first, and
   * its switches. Waiting is on Effect's `Clock`, so it works under `TestClock` too.
   */
  static readonly layer = <E = never, R = never>(
    signal?: Layer.Layer<never, E, R>
  ): Layer.Layer<SignalFaults, E, R> => {
    const below: Layer.Layer<never, E, R> = signal ?? StopSignal.layerMemory
    return Layer.effectContext(make).pipe(Layer.provide(below))
  }
}

/**
 * An operation of a `StopSignal`: to publish a hint, or to begin reading `hints`.
 *
 * @category models
 * @since 0.1.0
 */
export type SignalOperation = "publish" | "subscribe"

type Subscriber = Queue.Queue<StopHint, Cause.Done>

const make = Effect.gen(function* () {
  const signal = yield* StopSignal
  const log = makeCallLog<SignalOperation>(["publish", "subscribe"])
  const gate = makeGate()
  const subscribers = new Set<Subscriber>()
  let publishFault: PublishFault = SignalFault.healthy
  let hintFault: HintFault = SignalFault.healthy
  yield* Effect.addFinalizer(() => gate.open)

  const set = (settings: SignalFaultSettings) =>
    Effect.sync(() => {
      publishFault = settings.publish ?? publishFault
      hintFault = settings.hints ?? hintFault
    })

  const toAll = (tell: (subscriber: Subscriber) => void) =>
    Effect.sync(() => Array.from(subscribers).forEach(tell))

  const emit = (hint: StopHint) => toAll((subscriber) => Queue.offerUnsafe(subscriber, hint))

  const deliver = (subscriber: Subscriber, hint: StopHint) =>
    Effect.suspend(() => {
      const arrive = Effect.sync(() => void Queue.offerUnsafe(subscriber, hint))
      switch (hintFault._tag) {
        case "Healthy":
          return arrive
        case "Lossy":
          return hintFault.loses() ? Effect.void : arrive
        case "Doubling":
          return Effect.andThen(arrive, arrive)
        case "Delayed":
          return Effect.forkScoped(Effect.andThen(Effect.sleep(hintFault.duration), arrive))
        case "Down":
        default:
          return Effect.void
      }
    })

  const publishNow = (run: Run): Effect.Effect<void, StopSignalError> => {
    switch (publishFault._tag) {
      case "Healthy":
        return signal.publish(run)
      case "Fail":
        return Effect.fail(new StopSignalError({ cause: new Error("The signal was told to fail") }))
      case "Die":
        return Effect.die(new Error("The signal was told to die"))
      case "Hang":
      default:
        return Effect.andThen(gate.wait(), signal.publish(run))
    }
  }

  const subscribe = Effect.gen(function* () {
    const subscriber = yield* Effect.acquireRelease(
      Effect.tap(Queue.unbounded<StopHint, Cause.Done>(), (queue) =>
        Effect.sync(() => subscribers.add(queue))
      ),
      (queue) => Effect.sync(() => void subscribers.delete(queue))
    )
    const read =
      hintFault._tag === "Down"
        ? Effect.void
        : Stream.runForEach(signal.hints, (hint) => deliver(subscriber, hint))
    // Begun at once, so that a test that saw the subscription begin can publish to it.
    yield* Effect.forkScoped(
      Effect.ensuring(
        log.track("subscribe", 1, () => Effect.scoped(read)),
        Queue.end(subscriber)
      ),
      { startImmediately: true }
    )
    return Stream.fromQueue(subscriber)
  })

  const faults = SignalFaults.of({
    set,
    heal: Effect.andThen(
      set({ publish: SignalFault.healthy, hints: SignalFault.healthy }),
      gate.open
    ),
    release: gate.open,
    emit,
    reconnected: emit(StopHint.cases.Reconnected.make({})),
    disconnect: toAll((subscriber) => Queue.endUnsafe(subscriber)),
    crash: toAll((subscriber) =>
      Queue.failCauseUnsafe(subscriber, Cause.die(new Error("The signal was told to crash")))
    ),
    counts: log.counts,
    begun: (operation, nth) => log.until(operation, "calls", nth),
    ended: (operation, nth) => log.until(operation, "ended", nth)
  })

  return Context.make(SignalFaults, faults).pipe(
    Context.add(StopSignal, {
      publish: (run) => log.track("publish", 1, () => publishNow(run)),
      hints: Stream.unwrap(subscribe)
    })
  )
})
