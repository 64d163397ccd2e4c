/**
 * How a message is read from a row of `agent_messages`, by the schemas of the domain.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { defaultTenant, Message } from "effect-cancellation"
import type { Dialect } from "./dialect.ts"

const times = ["created_at", "updated_at", "stopped_streaming_at", "completed_at"] as const

/** What is read of a row. */
export const messageColumns = (dialect: Dialect): string =>
  [
    "company_id, user_id, chat_id, message_id, role, text, original_text",
    '"references", debug_info, segment_kind, writer',
    ...times.map((column) => `${dialect.millis(column)} AS ${column}`)
  ].join(", ")

const MaybeText = Schema.OptionFromNullOr(Schema.String)
const MaybeTime = Schema.OptionFromNullOr(Schema.Finite)

const MessageRow = Schema.Struct({
  company_id: Schema.String,
  user_id: Schema.String,
  chat_id: Schema.String,
  message_id: Schema.String,
  role: Schema.String,
  text: Schema.String,
  original_text: MaybeText,
  references: MaybeText,
  debug_info: MaybeText,
  segment_kind: MaybeText,
  writer: MaybeText,
  created_at: Schema.Finite,
  updated_at: Schema.Finite,
  stopped_streaming_at: MaybeTime,
  completed_at: MaybeTime
})

const decodeRows = Schema.decodeUnknownEffect(Schema.Array(MessageRow))
const decodeMessage = Schema.decodeUnknownEffect(Message)

/** Reads rows; one that is malformed is an error. */
export const messagesOf = (
  rows: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<Message>, Schema.SchemaError> =>
  Effect.flatMap(decodeRows(rows), Effect.forEach(messageOf))

// `null` is JSON too, and not the same as no JSON.
const decodeJson = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Json))
const maybeJson = (text: Option.Option<string>) =>
  Effect.transposeOption(Option.map(text, decodeJson))

const messageOf = Effect.fnUntraced(function* (row: typeof MessageRow.Type) {
  return yield* decodeMessage({
    ref: {
      ...(row.company_id === defaultTenant ? {} : { companyId: row.company_id }),
      ...(row.user_id === defaultTenant ? {} : { userId: row.user_id }),
      chatId: row.chat_id,
      messageId: row.message_id
    },
    role: row.role,
    text: row.text,
    ...present({
      originalText: row.original_text,
      references: yield* maybeJson(row.references),
      debugInfo: yield* maybeJson(row.debug_info),
      segmentKind: row.segment_kind,
      writer: row.writer,
      stoppedStreamingAt: row.stopped_streaming_at,
      completedAt: row.completed_at
    }),
    createdAt: row.created_at,
    updatedAt: row.updated_at
  })
})

const present = (fields: Readonly<Record<string, Option.Option<unknown>>>) =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) =>
      Option.isSome(value) ? [[name, value.value]] : []
    )
  )
