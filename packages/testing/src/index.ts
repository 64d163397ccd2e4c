/**
 * Contract suites for adapters of `effect-cancellation`, and layers that misbehave.
 *
 * @since 0.1.0
 */
export * from "./Fault.ts"
export * from "./FaultySignal.ts"
export * from "./FaultyStore.ts"
export type { CallCounts } from "./internal/callLog.ts"
export * as MessageContentContract from "./MessageContentContract.ts"
export * as MessageStoreContract from "./MessageStoreContract.ts"
export * as StopSignalContract from "./StopSignalContract.ts"
