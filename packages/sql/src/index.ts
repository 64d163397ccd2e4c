/**
 * The ports of `effect-cancellation` on PostgreSQL and SQLite.
 *
 * @since 0.1.0
 */
export * as Migrations from "./Migrations.ts"
export * as SqlMessageContent from "./SqlMessageContent.ts"
export * as SqlMessageStore from "./SqlMessageStore.ts"
