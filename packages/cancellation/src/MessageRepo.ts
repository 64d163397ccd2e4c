/**
 * Runs and stops, with their meaning: a store, a signal, and the one feed between them.
 *
 * Hints, time-outs, batching, retries of last writes and the lease exist once, here, for all runs of
 * a process. Provide one repo outside the runs; each built repo has a feed of its own.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { makeAttempts } from "./internal/attempts.ts"
import { makeForget } from "./internal/erasure.ts"
import { makeFeed } from "./internal/feed.ts"
import { makeLeaseHolder } from "./internal/lease.ts"
import { count, notNegative, positive } from "./Setting.ts"
import { makeLiveRuns } from "./internal/liveRuns.ts"
import { makeOpenWatches } from "./internal/openWatches.ts"
import { RunWatch, type Watch, type WatchContext, type WatchOptions } from "./internal/watch.ts"
import { annotations, plural, whatFailed } from "./internal/words.ts"
import { makeWrites } from "./internal/writes.ts"
import { MessageRef, ProcessId, Run } from "./Message.ts"
import { type ForgetQuery, MessageStore, type RunQuery } from "./MessageStore.ts"
import type { MessageStoreError } from "./MessageStoreError.ts"
import { type RunRecord, StopIntent, type StopReceipt, type StopTarget } from "./StopRequest.ts"
import { StopSignal } from "./StopSignal.ts"

/**
 * Settings of a repo. A value that cannot work kills the layer with `InvalidSetting`.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageRepoOptions {
  /** After this a call to the store counts as failed and is not waited for. Default 5 seconds. */
  readonly pollTimeout?: Duration.Input | undefined
  /** Most runs in one statement. Default 1,000. */
  readonly chunkSize?: number | undefined
  /** How long a process may be silent before its runs are called lost. Default 30 seconds. */
  readonly leaseTtl?: Duration.Input | undefined
  /** For how long last writes are tried again through an outage. Default 30 seconds. */
  readonly finalWriteTimeout?: Duration.Input | undefined
  /** Cancels runs (reason `unreachable`) that no look has reached for this long. Default: never. */
  readonly maxBlind?: Duration.Input | undefined
  /**
   * The name of this process in the store, for operators. A random part is added to it, so that a
   * process that starts again does not keep the runs of its dead namesake alive. Default: no name.
   */
  readonly processId?: ProcessId | undefined
}

/**
 * What the rest of a program asks of runs and stops.
 *
 * @category services
 * @since 0.1.0
 */
export class MessageRepo extends Context.Service<
  MessageRepo,
  {
    /**
     * Asks a message's current run, one run, or whatever a `StopTarget` names, to stop, and tells the
     * machines that may run it. Without an intent the reason is `user`. Answers one receipt a run;
     * pressing Stop twice is once. Fails if the store did not say that it is stored: then ask again.
     */
    readonly requestStop: (
      target: StopTarget | MessageRef | Run,
      intent?: StopIntent
    ) => Effect.Effect<ReadonlyArray<StopReceipt>, MessageStoreError>

    /** Finds runs, oldest first; `receiptOf` makes a receipt of each. */
    readonly findRuns: (
      query: RunQuery
    ) => Effect.Effect<ReadonlyArray<RunRecord>, MessageStoreError>

    /**
     * Erases runs and stops; answers how many runs. What runs in this process for the user or chat
     * is cancelled at once, with the reason `deleted`; in other processes within two polls, or as
     * soon as a signal tells them. A run that begins after it is a new one: begin none for them.
     */
    readonly forget: (query: ForgetQuery) => Effect.Effect<number, MessageStoreError>

    /**
     * Prepares for the end of the process: no new runs (they are cancelled as they begin), those
     * under way may end within `timeout`, what is left is cancelled with the reason `shutdown`, last
     * writes are waited for (at most `finalWriteTimeout`), and the feed closes. Call it from your own
     * signal handler; the library installs none.
     */
    readonly drain: (options: { readonly timeout: Duration.Input }) => Effect.Effect<void>

    /**
     * Keeps this process's lease, and marks runs of dead processes as lost, while the scope is open,
     * even while nothing runs here. A process with runs does so anyway.
     */
    readonly sweepLost: Effect.Effect<void, never, Scope.Scope>

    /** A run's place here; for `CancellationWatcher`, which opens it and closes it with its scope. */
    readonly watch: (options: WatchOptions) => Watch
  }
>()("effect-cancellation/MessageRepo") {
  /** A repo on the store and the signal in the context. */
  static readonly layer = (
    options?: MessageRepoOptions
  ): Layer.Layer<MessageRepo, never, MessageStore> =>
    Layer.effect(
      this,
      Effect.suspend(() => make(options))
    )

  /** A repo on a store of its own in memory; for tests, and for programs of one process. */
  static readonly layerMemory = (options?: MessageRepoOptions): Layer.Layer<MessageRepo> =>
    Layer.provide(this.layer(options), MessageStore.layerMemory())
}

const make = Effect.fnUntraced(function* (options: MessageRepoOptions = {}) {
  const store = yield* MessageStore
  const signal = yield* StopSignal
  const pollTimeout = yield* positive("pollTimeout", options.pollTimeout ?? "5 seconds")
  const chunkSize = yield* count("chunkSize", options.chunkSize ?? 1000)
  const ttl = yield* positive("leaseTtl", options.leaseTtl ?? "30 seconds")
  const finalWriteTimeout = yield* positive(
    "finalWriteTimeout",
    options.finalWriteTimeout ?? "30 seconds"
  )
  const maxBlind =
    options.maxBlind === undefined ? undefined : yield* positive("maxBlind", options.maxBlind)
  const boot = globalThis.crypto.randomUUID()
  const owner = ProcessId.make(
    options.processId === undefined ? boot : `${options.processId.slice(0, 200)}:${boot}`
  )

  const context = yield* Effect.context<never>()
  const scope = yield* Scope.fork(yield* Effect.scope)
  const attempts = makeAttempts(pollTimeout)
  const lease = store.supports.leases ? { owner, ttl } : undefined
  const common = {
    store,
    scope,
    context,
    attempts,
    chunkSize,
    pollTimeout,
    finalWriteTimeout,
    lease
  }
  const feed = makeFeed({ ...common, maxBlind })
  const writes = makeWrites({ ...common, startsAnswered: feed.started })
  const leaseHolder = lease === undefined ? undefined : makeLeaseHolder({ ...common, lease })

  // Made once: it is what nearly every stop says, and making it is a good part of asking for one.
  const byUser = StopIntent.make({ reason: "user" })
  const open = makeOpenWatches()
  const live = makeLiveRuns()
  let draining = false

  const shared: WatchContext = {
    store,
    feed,
    writes,
    lease: leaseHolder,
    open,
    live,
    pollTimeout,
    isDraining: () => draining
  }

  const ask = <A>(operation: string, call: () => Effect.Effect<A, MessageStoreError>) =>
    Effect.flatten(attempts.make(operation, Effect.suspend(call)))

  const publish = (run: Run) =>
    Effect.suspend(() => signal.publish(run)).pipe(
      Effect.timeout(pollTimeout),
      Effect.catchCause((cause) =>
        Effect.annotateLogs(
          Effect.logWarning(`A hint was not published. ${whatFailed(cause)}`),
          annotations(run)
        )
      )
    )

  // A signal that hangs must not keep the person who pressed Stop waiting.
  const aside = (publishing: Effect.Effect<void>) =>
    Effect.forkIn(publishing, scope, { startImmediately: true }).pipe(
      Effect.flatMap((fiber) => Effect.timeoutOption(Fiber.await(fiber), "1 second"))
    )

  // A large erasure must not take up the signal: stops travel on it.
  const publishAll = (runs: ReadonlyArray<Run>) =>
    aside(Effect.forEach(runs, publish, { concurrency: 16, discard: true }))

  const tell = (receipt: StopReceipt) => {
    if (receipt._tag !== "Requested" && receipt._tag !== "Observed") return Effect.void
    const here = Effect.suspend(() => feed.hint(receipt.run))
    return store.supports.hints ? here : Effect.andThen(here, aside(publish(receipt.run)))
  }

  let resubscriptions = 0
  const listen = Effect.suspend(() =>
    feed.hear(resubscriptions > 0 ? [{ _tag: "Reconnected" }] : [])
  ).pipe(
    Effect.andThen(
      Stream.runForEachArray(signal.hints, (hints) => {
        resubscriptions = 1
        return feed.hear(hints)
      })
    ),
    Effect.catchCause((cause) =>
      Effect.logWarning("The signal failed; subscribing again", Cause.squash(cause))
    ),
    Effect.andThen(
      Effect.suspend(() => Effect.sleep(Math.min(100 * 2 ** resubscriptions++, 5000)))
    ),
    Effect.forever
  )
  yield* Effect.forkIn(listen, scope)

  // Cancels what runs, then waits for it to end and for its last writes.
  const end = Effect.gen(function* () {
    yield* Effect.forEach(open.all(), (watch) => watch.cancel("shutdown"), { discard: true })
    if (Option.isNone(yield* Effect.timeoutOption(open.none, finalWriteTimeout))) {
      yield* Effect.logWarning(
        `Drain: ${plural(open.all().length, "run")} did not end after being interrupted`
      )
    }
    yield* writes.flush(finalWriteTimeout)
    yield* Scope.close(scope, Exit.void)
  })

  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      open.all().length === 0
        ? Effect.void
        : Effect.logWarning(
            `The repo closes before ${plural(open.all().length, "run")}: no stop reaches what runs on. Close the repo after its runs, or drain it first`
          ),
      writes.flush(finalWriteTimeout)
    )
  )

  return MessageRepo.of({
    requestStop: (target, intent = byUser) =>
      // Whole, for at most `pollTimeout` and the telling: a stop that was stored is told, even if
      // the caller is gone by then.
      Effect.uninterruptible(
        Effect.tap(
          ask("requestStop", () => store.requestStop(targetOf(target), intent)),
          (receipts) => Effect.forEach(receipts, tell, { concurrency: "unbounded", discard: true })
        )
      ),
    findRuns: (query) => ask("findRuns", () => store.findRuns(query)),
    forget: makeForget({ store, attempts, open, writes, live, publish: publishAll }),
    drain: Effect.fn("MessageRepo.drain")(function* ({ timeout }) {
      const limit = yield* notNegative("timeout", timeout)
      draining = true
      yield* Effect.timeoutOption(open.none, limit)
      yield* end
    }),
    sweepLost:
      leaseHolder === undefined
        ? Effect.void
        : Effect.acquireRelease(Effect.suspend(leaseHolder.hold), () =>
            Effect.sync(leaseHolder.release)
          ),
    watch: (run) => new RunWatch(shared, run)
  })
})

const targetOf = (target: StopTarget | MessageRef | Run): StopTarget => {
  if (target instanceof MessageRef) return { _tag: "Message", ref: target }
  return target instanceof Run ? { _tag: "Run", run: target } : target
}
