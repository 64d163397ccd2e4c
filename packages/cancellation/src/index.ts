/**
 * Stop a running agent, on whatever machine it runs, within milliseconds.
 *
 * @since 0.1.0
 */
export * from "./CancellationEvent.ts"
export * as CancellationMetrics from "./CancellationMetrics.ts"
export { CancellationWatcher, type CancellationWatcherOptions } from "./CancellationWatcher.ts"
export * from "./InvalidSetting.ts"
export * from "./Message.ts"
export * from "./MessageContent.ts"
export * from "./MessageContentError.ts"
export { MessageRepo, type MessageRepoOptions } from "./MessageRepo.ts"
export * from "./MessageStore.ts"
export * from "./MessageStoreError.ts"
export type {
  CancelResult,
  CancellationTiming,
  RunWithCancellation,
  WithCancelResult,
  WithOnCancelled
} from "./runWithCancellation.ts"
export * as Setting from "./Setting.ts"
export * from "./StopRequest.ts"
export * from "./StopSignal.ts"
export type { StreamWithCancellation } from "./streamWithCancellation.ts"
