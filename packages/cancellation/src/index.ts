/**
 * Stop a running agent, on whatever machine it runs, within milliseconds.
 *
 * @since 0.1.0
 */
export * from "./CancellationEvent.ts"
export * from "./InvalidSetting.ts"
export * from "./Message.ts"
export * from "./MessageContent.ts"
export * from "./MessageContentError.ts"
export * from "./MessageStore.ts"
export * from "./MessageStoreError.ts"
export * from "./StopRequest.ts"
export * from "./StopSignal.ts"
