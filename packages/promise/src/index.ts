/**
 * Stop a running agent from anywhere, in promises and signals.
 *
 * @since 0.1.0
 */
export * from "./defineStore.ts"
export type * from "./Message.ts"
export type * from "./Run.ts"
export * from "./Stop.ts"
export * from "./StoreError.ts"
export * from "./Stops.ts"
export { memory, type StopSignal, type StopStore } from "./StopStore.ts"
export type { StopsLog, StopsLogEntry } from "./StopsLog.ts"
