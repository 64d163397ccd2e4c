/**
 * Redis as the push of `effect-cancellation`.
 *
 * @since 0.1.0
 */
export * as RedisStopSignal from "./RedisStopSignal.ts"
