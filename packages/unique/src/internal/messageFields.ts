/**
 * Messages of the platform and of `MessageContent`, each made of the other.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Message, type MessageChange, type MessageRole, type NewMessage } from "effect-cancellation"
import type { UniqueError } from "../UniqueError.ts"
import type { Fields } from "./connection.ts"
import { type Place, refOf } from "./place.ts"
import { oddAnswer } from "./trouble.ts"
import { isAssistant, millisOf, SegmentPlace, WireMessage, wrongFields } from "./wire.ts"

/** Reads a message; one of another chat, or of another id than expected, is no answer. */
export const messageOf = Effect.fnUntraced(function* (
  place: Place,
  value: unknown,
  expectedId?: string
): Effect.fn.Return<Message, UniqueError> {
  const wire = yield* Effect.mapError(decodeMessage(value), (error) =>
    oddAnswer(200, `these fields of a message are missing or wrong: ${wrongFields(error)}`)
  )
  if (expectedId !== undefined && wire.id !== expectedId) {
    return yield* oddAnswer(200, `it is message ${wire.id} instead of ${expectedId}`)
  }
  if (typeof wire.chatId === "string" && wire.chatId !== place.chatId) {
    return yield* oddAnswer(200, `message ${wire.id} is said to be of another chat`)
  }
  const ref = yield* Effect.mapError(refOf(place, wire.id), ({ message }) =>
    oddAnswer(200, message)
  )
  const createdAt = millisOf(wire.createdAt) ?? millisOf(wire.updatedAt) ?? 0
  return Message.make({
    ref,
    role: roleOf(wire.role),
    text: wire.text ?? "",
    ...given("originalText", wire.originalText),
    ...given("references", wire.references),
    ...given("debugInfo", wire.debugInfo),
    ...given("segmentKind", wire.segmentKind),
    createdAt,
    updatedAt: millisOf(wire.updatedAt) ?? createdAt,
    ...given("stoppedStreamingAt", millisOf(wire.stoppedStreamingAt)),
    ...given("completedAt", millisOf(wire.completedAt))
  })
})

/** The body of a change: only what is to change, since null would leave a field as it is. */
export const changedFields = (
  change: Omit<MessageChange, "ref">,
  message: Message,
  now: string
): Fields => ({
  ...given("text", change.text),
  ...given("originalText", change.originalText),
  ...given("references", change.references),
  ...given("debugInfo", change.debugInfo),
  ...given("segmentKind", change.segmentKind),
  ...(change.setStoppedStreamingAt === true && message.stoppedStreamingAt === undefined
    ? { stoppedStreamingAt: now }
    : {}),
  ...(change.setCompletedAt === true ? { completedAt: now } : {})
})

/** The body of a new message, and what can only be said of it once it is there. */
export const newFields = (
  message: Omit<NewMessage, "ref">,
  now: string
): { readonly first: Fields; readonly afterwards: Fields } => {
  const completedAt = message.setCompletedAt === true ? { completedAt: now } : {}
  const original = given("originalText", message.originalText)
  const isLater = message.originalText !== undefined
  return {
    first: {
      role: "ASSISTANT",
      text: message.text ?? "",
      ...given("references", message.references),
      ...given("debugInfo", message.debugInfo),
      ...given("segmentKind", message.segmentKind),
      ...(isLater ? {} : completedAt)
    },
    afterwards: isLater ? { ...original, ...completedAt } : {}
  }
}

/** Where the next segment of a message's turn stands, if the chat says so. */
export const nextSegment = (messageId: string, chat: ReadonlyArray<unknown>): Fields => {
  const segments = chat.filter(isSegment).filter(isAssistant)
  const turn = segments.find(({ id }) => id === messageId)?.responseTurnId ?? undefined
  if (turn === undefined) return {}
  const indexes = segments
    .filter(({ responseTurnId }) => responseTurnId === turn)
    .map(({ segmentIndex }) => segmentIndex ?? 0)
  return { responseTurnId: turn, segmentIndex: Math.max(...indexes) + 1 }
}

const isSegment = Schema.is(SegmentPlace)
const decodeMessage = Schema.decodeUnknownEffect(WireMessage)

/**
 * Of roles that nobody here has heard of, or that are not said: what a person did not say must not be
 * taken for theirs, nor for the system's.
 */
export const roleOf = (role: string | null | undefined): MessageRole =>
  role === "USER" ? "user" : role === "SYSTEM" ? "system" : "assistant"

const given = <K extends string, V>(
  key: K,
  value: V | null | undefined
): { readonly [P in K]?: V } | {} => (value === null || value === undefined ? {} : { [key]: value })
