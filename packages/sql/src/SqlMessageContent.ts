/**
 * `MessageContent` on PostgreSQL and SQLite, in the table `agent_messages` that `Migrations` makes.
 *
 * A change is one statement in the usual case, and one transaction where it is refused or reopens.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import {
  AlreadyCompleted,
  ContentUnavailable,
  fullContentSupport,
  type MessageChange,
  MessageContent,
  MessageContentError,
  MessageExists,
  MessageNotFound,
  type MessageQuery,
  type MessageRef,
  type NewMessage,
  NotTheWriter,
  UnstorableText
} from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { dialectOf } from "./internal/dialect.ts"
import { explained } from "./internal/errors.ts"
import { makeKeys, tenantOf } from "./internal/keys.ts"
import { messageColumns, messagesOf } from "./internal/messageRows.ts"
import { makeTransactions } from "./internal/transactions.ts"

/**
 * The texts on the `SqlClient` of the context. It never changes the schema: see `Migrations`.
 *
 * PostgreSQL keeps no NUL character: a text with one is refused with the reason `UnstorableText`.
 * Half a surrogate pair, as a text cut in the middle may end with, is stored as U+FFFD.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<MessageContent, never, SqlClient.SqlClient> = Layer.effect(
  MessageContent,
  Effect.suspend(() => make)
)

const make = Effect.gen(function* () {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const dialect = yield* dialectOf(sql)
  const transactions = makeTransactions(sql, dialect)
  const { message: keyOf } = makeKeys()
  const { now } = dialect
  const columns = sql.literal(messageColumns(dialect))

  const run = <A, E>(operation: string, effect: Effect.Effect<A, E>) =>
    Effect.mapError(effect, (error) =>
      error instanceof MessageContentError
        ? error
        : new MessageContentError({
            reason: new ContentUnavailable({ operation, cause: explained(error) })
          })
    )

  const refuse = (reason: MessageContentError["reason"]) =>
    Effect.fail(new MessageContentError({ reason }))

  // Before the first statement: one that the database refuses would end a transaction around it.
  const storable = ({ ref, ...fields }: NewMessage | MessageChange) => {
    if (dialect.name !== "pg") return Effect.void
    const texts = { text: fields.text, originalText: fields.originalText, kind: fields.segmentKind }
    const wrong = Object.entries(texts).find(([, text]) => text?.includes("\0") === true)
    return wrong === undefined
      ? Effect.void
      : refuse(
          new UnstorableText({
            messageId: ref.messageId,
            detail: `${wrong[0]} has a NUL character, which PostgreSQL does not keep`
          })
        )
  }

  const find = (query: MessageQuery) => {
    const [company, user] = tenantOf(query)
    const which = query.messageId === undefined ? sql`1 = 1` : sql`message_id = ${query.messageId}`
    return Effect.flatMap(
      sql`SELECT ${columns} FROM agent_messages WHERE company_id = ${company}
        AND user_id = ${user} AND chat_id = ${query.chatId} AND ${which} ORDER BY sequence`,
      messagesOf
    )
  }

  const create = Effect.fnUntraced(function* (input: NewMessage) {
    yield* storable(input)
    const { ref } = input
    const [company, user] = tenantOf(ref)
    const completedAt = input.setCompletedAt === true ? now : sql.literal("NULL")
    const [made] = yield* Effect.flatMap(
      sql`INSERT INTO agent_messages (message_key, company_id, user_id, chat_id, message_id, role,
          text, original_text, "references", debug_info, segment_kind, writer, created_at,
          updated_at, completed_at)
        VALUES (${keyOf(ref)}, ${company}, ${user}, ${ref.chatId}, ${ref.messageId}, ${input.role},
          ${input.text ?? ""}, ${input.originalText}, ${json(input.references)},
          ${json(input.debugInfo)}, ${input.segmentKind}, ${input.writer}, ${now}, ${now},
          ${completedAt})
        ON CONFLICT (message_key) DO NOTHING RETURNING ${columns}`,
      messagesOf
    )
    return made ?? (yield* refuse(new MessageExists({ messageId: ref.messageId })))
  })

  const write = (change: MessageChange, which: typeof now) =>
    Effect.flatMap(
      sql`UPDATE agent_messages SET text = coalesce(${change.text}, text),
          original_text = coalesce(${change.originalText}, original_text),
          "references" = coalesce(${json(change.references)}, "references"),
          debug_info = coalesce(${json(change.debugInfo)}, debug_info),
          segment_kind = coalesce(${change.segmentKind}, segment_kind),
          writer = coalesce(${change.writer}, writer),
          updated_at = ${now},
          stopped_streaming_at = ${
            change.setStoppedStreamingAt === true
              ? sql`coalesce(stopped_streaming_at, ${now})`
              : sql.literal("stopped_streaming_at")
          },
          completed_at = ${change.setCompletedAt === true ? now : sql.literal("completed_at")}
        WHERE message_key = ${keyOf(change.ref)} AND ${which} RETURNING ${columns}`,
      messagesOf
    )

  const writeAtOnce = (change: MessageChange) =>
    change.reopen === true
      ? Effect.succeed([])
      : write(
          change,
          sql`completed_at IS NULL AND (writer IS NULL OR writer = ${change.writer ?? ""})`
        )

  const locked = Effect.fnUntraced(function* (ref: MessageRef) {
    const [message] = yield* Effect.flatMap(
      sql`SELECT ${columns} FROM agent_messages WHERE message_key = ${keyOf(ref)} ${dialect.locking}`,
      messagesOf
    )
    return message ?? (yield* refuse(new MessageNotFound({ messageId: ref.messageId })))
  })

  const clear = (ref: MessageRef) => sql`UPDATE agent_messages SET text = '', original_text = NULL,
      "references" = NULL, debug_info = NULL, segment_kind = NULL, writer = NULL,
      stopped_streaming_at = NULL, completed_at = NULL
    WHERE message_key = ${keyOf(ref)}`

  // Finds out why nothing was written at once.
  const writeOrRefuse = Effect.fnUntraced(function* (change: MessageChange) {
    const { completedAt, ref, writer } = yield* locked(change.ref)
    const { messageId } = ref
    if (change.reopen === true) {
      yield* clear(ref)
    } else if (writer !== undefined && writer !== change.writer) {
      return yield* refuse(new NotTheWriter({ messageId, writer }))
    } else if (completedAt !== undefined) {
      return yield* refuse(new AlreadyCompleted({ messageId, completedAt }))
    }
    return yield* write(change, sql`1 = 1`)
  })

  const modify = Effect.fnUntraced(function* (change: MessageChange) {
    yield* storable(change)
    const atOnce = yield* transactions.write(writeAtOnce(change))
    const [message] =
      atOnce.length > 0 ? atOnce : yield* transactions.transaction(writeOrRefuse(change))
    return message ?? (yield* refuse(new MessageNotFound({ messageId: change.ref.messageId })))
  })

  return MessageContent.of({
    supports: fullContentSupport,
    find: (query) => run("find", transactions.read(find(query))),
    create: (message) => run("create", transactions.write(create(message))),
    modify: (change) => run("modify", modify(change))
  })
})

const json = (value: Schema.Json | undefined): string | null =>
  value === undefined ? null : JSON.stringify(value)
