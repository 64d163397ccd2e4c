/**
 * What the tests of laws 14 to 25 share: processes on one store, and runs that open and close when
 * the test says so.
 */
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { StoreFaults } from "effect-cancellation-testing"
import {
  CancellationWatcher,
  type CancellationWatcherOptions,
  MessageRef,
  MessageRepo,
  type MessageRepoOptions,
  MessageStore,
  ProcessId,
  receiptOf,
  Run,
  RunId,
  type RunOutcome,
  RunQuery,
  type RunRecord,
  StopIntent,
  type StopReceipt,
  StopTarget
} from "../src/index.ts"

export const byUser = StopIntent.make({ reason: "user" })

export const refOf = (messageId: string, chatId = "chat"): MessageRef =>
  MessageRef.of({ chatId, messageId })

export const runIdOf = (name: string): RunId => RunId.make(name)

export const runOf = (ref: MessageRef, runId: string): Run =>
  Run.make({ ref, runId: runIdOf(runId) })

export const runTarget = (run: Run): StopTarget => StopTarget.cases.Run.make({ run })

export const messageTarget = (ref: MessageRef): StopTarget => StopTarget.cases.Message.make({ ref })

/** A store in memory and its switches, for the processes of one test. */
export const faultyMemory = StoreFaults.layer(MessageStore.layerMemory())

/** A process of its own: a repo with its own feed, on the store in the context. */
export const openRepo = (options?: MessageRepoOptions) =>
  Effect.map(Layer.build(Layer.fresh(MessageRepo.layer(options))), Context.get(MessageRepo))

/** A process that ends when the test says so. */
export const openRepoUntil = Effect.fnUntraced(function* (options?: MessageRepoOptions) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const repo = yield* Effect.provideService(openRepo(options), Scope.Scope, scope)
  return { repo, close: Scope.close(scope, Exit.void) }
})

/**
 * A process of its own with switches of its own, on a store it shares with others: what it is cut
 * off from, the others still reach.
 */
export const openProcess = Effect.fnUntraced(function* (
  shared: MessageStore["Service"],
  name: string,
  options?: Omit<MessageRepoOptions, "processId">
) {
  const context = yield* Layer.build(
    Layer.fresh(StoreFaults.layer(Layer.succeed(MessageStore, shared)))
  )
  const { close, repo } = yield* Effect.provideContext(
    openRepoUntil({ ...options, processId: ProcessId.make(name) }),
    Context.merge(yield* Effect.context<Scope.Scope>(), context)
  )
  return { repo, close, faults: Context.get(context, StoreFaults) }
})

/** A run whose scope closes when the test says so, and with which exit. */
export const openRun = Effect.fnUntraced(function* (
  repo: MessageRepo["Service"],
  options: CancellationWatcherOptions
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.buildWithScope(CancellationWatcher.layer(options), scope).pipe(
    Effect.provideService(MessageRepo, repo)
  )
  const watcher = Context.get(context, CancellationWatcher)
  return {
    watcher,
    run: yield* watcher.run,
    close: (exit: Exit.Exit<unknown, unknown> = Exit.void) => Scope.close(scope, exit)
  }
})

/** Runs of messages of their own, in one go. */
export const openRuns = (
  repo: MessageRepo["Service"],
  count: number,
  options?: Omit<CancellationWatcherOptions, "ref" | "runId">
) =>
  Effect.forEach(Array.from({ length: count }), (_, index) =>
    openRun(repo, { ...options, ref: refOf(`message-${index}`), runId: runIdOf(`run-${index}`) })
  )

/** The row of a run as the store has it, past all faults. */
export const recordOf = Effect.fnUntraced(function* (run: Run) {
  const { store } = yield* StoreFaults
  return yield* recordIn(store, run)
})

export const recordIn = (
  store: MessageStore["Service"],
  run: Run
): Effect.Effect<RunRecord | undefined> =>
  store.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] })).pipe(
    Effect.map((records) => records.find((record) => record.run.runId === run.runId)),
    Effect.orDie
  )

export const outcomeOf = (run: Run): Effect.Effect<RunOutcome | undefined, never, StoreFaults> =>
  Effect.map(recordOf(run), (record) => record?.outcome)

/** How far the stop of a run has come, past all faults. */
export const receiptNow = (run: Run): Effect.Effect<StopReceipt | undefined, never, StoreFaults> =>
  Effect.map(recordOf(run), (record) => (record === undefined ? undefined : receiptOf(record)))

/** Calls of each operation since an earlier count; operations without any are left out. */
export const callsSince = Effect.fnUntraced(function* (before: Readonly<Record<string, number>>) {
  const now = yield* callsNow
  return Object.fromEntries(
    Object.entries(now)
      .map(([operation, calls]) => [operation, calls - (before[operation] ?? 0)] as const)
      .filter(([, calls]) => calls > 0)
  )
})

export const callsNow = Effect.gen(function* () {
  const { counts } = yield* StoreFaults
  return Object.fromEntries(
    Object.entries(yield* counts).map(([operation, { calls }]) => [operation, calls])
  )
})
