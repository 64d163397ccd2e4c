/**
 * The store and the signal of a program before they are there: a database that is away when the
 * program starts keeps no work from beginning. It is tried again and again; until then whatever is
 * asked of the store fails as it would in an outage.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  MessageStore,
  type MessageStoreError,
  type Run,
  StopSignal,
  StopSignalError,
  type Supports,
  unavailable
} from "effect-cancellation"
import type { SignalSource, StoreSource } from "./source.ts"

export const lateStore = (
  source: StoreSource,
  signal: SignalSource | undefined
): Layer.Layer<MessageStore> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const store = yield* openLater(source)
      // Whoever asks a store is told that it is away, and the core says so; nobody asks a signal.
      const announcing = signal === undefined ? signalOf(store) : signalOf(yield* openLater(signal))
      return Context.make(MessageStore, storeOf(source.supports, store)).pipe(
        Context.add(StopSignal, announcing)
      )
    })
  )

interface Later<R> {
  /** What was built; while there is nothing, fails with what the last attempt said. */
  readonly now: Effect.Effect<Context.Context<R>, unknown>
  /** Waits for it. */
  readonly there: Effect.Effect<Context.Context<R>>
}

const openLater = Effect.fnUntraced(function* <R>(source: {
  readonly name: string
  readonly load: () => Promise<Layer.Layer<R, unknown>>
}) {
  const scope = yield* Effect.scope
  const tried = yield* Latch.make(false)
  const opened = yield* Latch.make(false)
  let state: Exit.Exit<Context.Context<R>, unknown> = Exit.die("not tried yet")

  const attempt = Effect.gen(function* () {
    const layer = yield* Effect.promise(source.load)
    // One that failed half-way leaves nothing open.
    const own = yield* Scope.fork(scope)
    return yield* Effect.onExit(Layer.buildWithScope(layer, own), (exit) =>
      Exit.isSuccess(exit) ? Effect.void : Scope.close(own, exit)
    )
  })

  let told = false
  const opening: Effect.Effect<void> = Effect.gen(function* () {
    let pause = 100
    while (true) {
      state = yield* Effect.exit(attempt)
      yield* tried.open
      if (Exit.isSuccess(state)) break
      // What is wrong with the settings, or with the installation, no waiting will mend.
      if (!told && (Cause.hasDies(state.cause) || !("supports" in source))) {
        told = true
        const error = Cause.squash(state.cause)
        yield* Effect.logError(
          `${source.name} cannot be opened, and is tried again: ${error instanceof Error ? error.message : String(error)}`
        )
      }
      yield* Effect.sleep(pause)
      pause = Math.min(pause * 2, 5000)
    }
    yield* opened.open
  })
  yield* Effect.forkScoped(opening)

  const now = Effect.andThen(
    tried.await,
    Effect.suspend(() => state)
  )
  return { now, there: Effect.orDie(Effect.andThen(opened.await, now)) } satisfies Later<R>
})

const storeOf = (supports: Supports, later: Later<MessageStore>): MessageStore["Service"] => {
  const ask = <A>(
    operation: string,
    call: (store: MessageStore["Service"]) => Effect.Effect<A, MessageStoreError>
  ) =>
    Effect.flatMap(
      Effect.mapError(later.now, (error) => unavailable(operation, error)),
      (context) => call(Context.get(context, MessageStore))
    )
  return MessageStore.of({
    supports,
    stopRequests: (runs) => ask("stopRequests", (store) => store.stopRequests(runs)),
    startRuns: (runs, lease) => ask("startRuns", (store) => store.startRuns(runs, lease)),
    requestStop: (target, intent) =>
      ask("requestStop", (store) => store.requestStop(target, intent)),
    advanceRuns: (changes) => ask("advanceRuns", (store) => store.advanceRuns(changes)),
    findRuns: (query) => ask("findRuns", (store) => store.findRuns(query)),
    renewLease: (lease) => ask("renewLease", (store) => store.renewLease(lease)),
    sweepLost: ask("sweepLost", (store) => store.sweepLost),
    forget: (query) => ask("forget", (store) => store.forget(query))
  })
}

const signalOf = <R>(later: Later<R>) => ({
  publish: (run: Run) =>
    Effect.flatMap(
      Effect.mapError(later.now, (cause) => new StopSignalError({ cause })),
      (context) => Context.get(context, StopSignal).publish(run)
    ),
  hints: Stream.unwrap(Effect.map(later.there, (context) => Context.get(context, StopSignal).hints))
})
