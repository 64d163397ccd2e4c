/**
 * The Unique platform as the database of `effect-cancellation`.
 *
 * @since 0.1.0
 */
export { UniqueChatEvent } from "./UniqueChatEvent.ts"
export * from "./UniqueError.ts"
export {
  UniquePlatform,
  type UniquePlatformOptions,
  type UniquePlatformSettings
} from "./UniquePlatform.ts"
export { UniqueWebhookError } from "./UniqueWebhookError.ts"
