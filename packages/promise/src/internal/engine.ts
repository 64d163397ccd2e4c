/**
 * The part of `Stops` that runs on Effect; loaded at the first use.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { MessageRepo, MessageStoreError, ProcessId } from "effect-cancellation"
import type { NewMessage, StopsOptions, StopTarget, ForgetQuery } from "../Stops.ts"
import type { WatchOptions } from "../Run.ts"
import type { StopIntent, StopReceipt } from "../Stop.ts"
import { forgetOf, intentOf, queryOf, targetOf } from "./ids.ts"
import { lateStore } from "./lateStore.ts"
import { loggerOf } from "./log.ts"
import type { SignalSource, StoreSource } from "./source.ts"
import type { StopsLog } from "../StopsLog.ts"
import { receiptOfRun, receiptOfStop, storeErrorOf } from "./words.ts"
import { type RunSettings, type WatchedRun, watchRun } from "./watchedRun.ts"
import { within } from "./within.ts"

export interface EngineOptions extends Omit<StopsOptions, "store" | "signal" | "log"> {
  readonly store: StoreSource
  readonly signal: SignalSource | undefined
  readonly log: StopsLog
}

export interface Engine {
  readonly watch: (message: NewMessage, options: WatchOptions) => Promise<WatchedRun>
  readonly stop: (target: StopTarget, intent: StopIntent) => Promise<ReadonlyArray<StopReceipt>>
  readonly receipts: (target: StopTarget) => Promise<ReadonlyArray<StopReceipt>>
  readonly forget: (query: ForgetQuery) => Promise<number>
  readonly drain: (timeout: number) => Promise<void>
  readonly close: () => Promise<void>
}

export const openEngine = async (options: EngineOptions): Promise<Engine> => {
  const runtime = ManagedRuntime.make(
    MessageRepo.layer({
      pollTimeout: options.pollTimeout,
      chunkSize: options.chunkSize,
      leaseTtl: options.leaseTtl,
      finalWriteTimeout: options.finalWriteTimeout,
      maxBlind: options.maxBlind,
      processId: options.processId === undefined ? undefined : ProcessId.make(options.processId)
    }).pipe(
      Layer.provide(lateStore(options.store, options.signal)),
      Layer.provideMerge(Logger.layer([loggerOf(options.log)]))
    )
  )
  const repo = await runtime.runPromise(MessageRepo).catch(async (error: unknown) => {
    await runtime.dispose()
    throw error
  })
  const context = await runtime.context()
  const open = new Set<WatchedRun>()

  const answer = async <A>(effect: Effect.Effect<A, unknown>): Promise<A> => {
    const exit = await Effect.runPromiseExitWith(context)(effect)
    if (Exit.isSuccess(exit)) return exit.value
    const error = Cause.squash(exit.cause)
    throw error instanceof MessageStoreError ? storeErrorOf(error) : error
  }

  let isEnding = false
  const end = async ({ run }: WatchedRun): Promise<void> => {
    await run.stop("shutdown")
    await run.close()
  }
  const endAll = async (): Promise<void> => {
    isEnding = true
    await Promise.allSettled(Array.from(open, end))
  }

  let draining: Promise<void> | undefined
  const drain = (timeout: number): Promise<void> => {
    draining ??= drainAll(timeout)
    return draining
  }
  const drainAll = async (timeout: number): Promise<void> => {
    try {
      const drained = answer(repo.drain({ timeout }))
      // A run that its program never closes is not waited for.
      if (!(await within(timeout, drained))) await endAll()
      isEnding = true
      await drained
    } finally {
      await runtime.dispose()
    }
  }

  return {
    watch: async (message, own) => {
      const run = await watchRun(context, message, settingsOf(options, own))
      open.add(run)
      void run.closed.then(() => open.delete(run))
      // Nobody comes by a second time to close what began too late.
      if (isEnding) await end(run)
      return run
    },
    stop: async (target, intent) => {
      const receipts = await answer(repo.requestStop(targetOf(target), intentOf(intent)))
      return receipts.map(receiptOfStop)
    },
    receipts: async (target) => {
      const wanted = targetOf(target)
      const records = await answer(repo.findRuns(queryOf(wanted)))
      return records
        .filter(({ run }) => wanted._tag !== "Run" || run.runId === wanted.run.runId)
        .map(receiptOfRun)
    },
    forget: async (query) => answer(repo.forget(forgetOf(query))),
    drain,
    close: async () => {
      await endAll()
      await drain(0)
    }
  }
}

const settingsOf = (all: WatchOptions, own: WatchOptions): RunSettings => ({
  runId: own.runId,
  pollInterval: own.pollInterval ?? all.pollInterval,
  gracePeriod: own.gracePeriod ?? all.gracePeriod ?? 5000,
  handlerTimeout: own.handlerTimeout ?? all.handlerTimeout
})
