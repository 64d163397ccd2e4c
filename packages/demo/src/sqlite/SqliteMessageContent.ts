/**
 * `MessageContent` on SQLite. Each change is one immediate transaction.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import {
  AlreadyCompleted,
  ContentUnavailable,
  defaultTenant,
  Message,
  type MessageChange,
  MessageContent,
  MessageContentError,
  MessageExists,
  MessageNotFound,
  type MessageQuery,
  type MessageRef,
  type NewMessage,
  NotTheWriter
} from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { retryBusy } from "./SqliteClient.ts"

// Boxed, since `null` is JSON too, and not the same as no JSON.
const NullOrJson = Schema.NullOr(Schema.fromJsonString(Schema.Struct({ json: Schema.Json })))
const NullOrText = Schema.NullOr(Schema.String)
const NullOrTime = Schema.NullOr(Schema.Finite)

const MessageRow = Schema.Struct({
  company_id: Schema.String,
  user_id: Schema.String,
  chat_id: Schema.String,
  message_id: Schema.String,
  role: Schema.String,
  text: Schema.String,
  original_text: NullOrText,
  references: NullOrJson,
  debug_info: NullOrJson,
  segment_kind: NullOrText,
  writer: NullOrText,
  created_at: Schema.Finite,
  updated_at: Schema.Finite,
  stopped_streaming_at: NullOrTime,
  completed_at: NullOrTime
})

const decodeRows = Schema.decodeUnknownEffect(Schema.Array(MessageRow))
const decodeMessage = Schema.decodeUnknownEffect(Message)

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const now = sql.literal("CAST(round(unixepoch('subsec') * 1000) AS INTEGER)")

  const run =
    (operation: string) =>
    <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, MessageContentError> =>
      retryBusy(effect).pipe(
        Effect.mapError((cause) =>
          cause instanceof MessageContentError
            ? cause
            : new MessageContentError({ reason: new ContentUnavailable({ operation, cause }) })
        ),
        Effect.provideService(References.PreventSchedulerYield, true)
      )

  const where = (ref: MessageRef) =>
    sql`company_id = ${ref.companyId ?? defaultTenant} AND user_id = ${ref.userId ?? defaultTenant}
      AND chat_id = ${ref.chatId} AND message_id = ${ref.messageId}`

  const read = (ref: MessageRef) =>
    sql`SELECT * FROM chat_messages WHERE ${where(ref)}`.pipe(
      Effect.flatMap(messagesOf),
      Effect.map(([message]) => message)
    )

  const reread = Effect.fnUntraced(function* (ref: MessageRef) {
    const message = yield* read(ref)
    return message ?? (yield* refuse(new MessageNotFound({ messageId: ref.messageId })))
  })

  const find = (query: MessageQuery) =>
    Effect.flatMap(
      sql`SELECT * FROM chat_messages WHERE company_id = ${query.companyId ?? defaultTenant}
        AND user_id = ${query.userId ?? defaultTenant} AND chat_id = ${query.chatId}
        AND (${query.messageId} IS NULL OR message_id = ${query.messageId}) ORDER BY sequence`,
      messagesOf
    )

  const create = Effect.fnUntraced(function* (input: NewMessage) {
    const { ref } = input
    if ((yield* read(ref)) !== undefined) {
      return yield* refuse(new MessageExists({ messageId: ref.messageId }))
    }
    const completedAt = input.setCompletedAt === true ? now : sql.literal("NULL")
    yield* sql`INSERT INTO chat_messages (company_id, user_id, chat_id, message_id, role, text,
        original_text, "references", debug_info, segment_kind, writer, created_at, updated_at,
        completed_at)
      VALUES (${ref.companyId ?? defaultTenant}, ${ref.userId ?? defaultTenant}, ${ref.chatId},
        ${ref.messageId}, ${input.role}, ${input.text ?? ""}, ${input.originalText},
        ${json(input.references)}, ${json(input.debugInfo)}, ${input.segmentKind}, ${input.writer},
        ${now}, ${now}, ${completedAt})`
    return yield* reread(ref)
  })

  const modify = Effect.fnUntraced(function* (change: MessageChange) {
    const { ref } = change
    const { messageId } = ref
    const message = yield* reread(ref)
    if (change.reopen !== true) {
      const { completedAt } = message
      if (message.writer !== undefined && message.writer !== change.writer) {
        return yield* refuse(new NotTheWriter({ messageId, writer: message.writer }))
      }
      if (completedAt !== undefined) {
        return yield* refuse(new AlreadyCompleted({ messageId, completedAt }))
      }
    } else {
      yield* sql`UPDATE chat_messages SET text = '', original_text = NULL, "references" = NULL,
          debug_info = NULL, segment_kind = NULL, writer = NULL, stopped_streaming_at = NULL,
          completed_at = NULL
        WHERE ${where(ref)}`
    }
    yield* sql`UPDATE chat_messages SET text = coalesce(${change.text}, text),
        original_text = coalesce(${change.originalText}, original_text),
        "references" = coalesce(${json(change.references)}, "references"),
        debug_info = coalesce(${json(change.debugInfo)}, debug_info),
        segment_kind = coalesce(${change.segmentKind}, segment_kind),
        writer = coalesce(${change.writer}, writer),
        updated_at = ${now},
        stopped_streaming_at = CASE WHEN ${change.setStoppedStreamingAt === true}
          THEN coalesce(stopped_streaming_at, ${now}) ELSE stopped_streaming_at END,
        completed_at = CASE WHEN ${change.setCompletedAt === true}
          THEN ${now} ELSE completed_at END
      WHERE ${where(ref)}`
    return yield* reread(ref)
  })

  return MessageContent.of({
    find: (query) => run("find")(find(query)),
    create: (message) => run("create")(sql.withTransaction(create(message))),
    modify: (change) => run("modify")(sql.withTransaction(modify(change)))
  })
})

/** The texts on the `SqlClient` of the context, whose tables `migrations.ts` has made. */
export const layer: Layer.Layer<MessageContent, never, SqlClient.SqlClient> = Layer.effect(
  MessageContent,
  make
)

const refuse = (reason: MessageContentError["reason"]) =>
  Effect.fail(new MessageContentError({ reason }))

const json = (value: Schema.Json | undefined): string | null =>
  value === undefined ? null : JSON.stringify({ json: value })

const messagesOf = (rows: ReadonlyArray<unknown>) =>
  Effect.flatMap(decodeRows(rows), Effect.forEach(messageOf))

const messageOf = (row: typeof MessageRow.Type) =>
  decodeMessage({
    ref: {
      ...(row.company_id === defaultTenant ? {} : { companyId: row.company_id }),
      ...(row.user_id === defaultTenant ? {} : { userId: row.user_id }),
      chatId: row.chat_id,
      messageId: row.message_id
    },
    role: row.role,
    text: row.text,
    ...(row.references === null ? {} : { references: row.references.json }),
    ...(row.debug_info === null ? {} : { debugInfo: row.debug_info.json }),
    ...present({
      originalText: row.original_text,
      segmentKind: row.segment_kind,
      writer: row.writer,
      stoppedStreamingAt: row.stopped_streaming_at,
      completedAt: row.completed_at
    }),
    createdAt: row.created_at,
    updatedAt: row.updated_at
  })

const present = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
