/**
 * Which message is written, and which attempt is writing it.
 *
 * A *message* is what the person sees; a *run* is one attempt to write it. A stop is aimed at a run,
 * so a stop that comes late can never end the next attempt.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const quotes = "\"'`"

// Control, format, private-use and unassigned characters, lone surrogates and line separators: they
// are invisible in a log, change meaning in a terminal, or are refused by one database and not by another.
const idPattern = /^[^\p{C}\p{Zl}\p{Zp}"'`]{1,255}$/u

const Id = Schema.String.check(
  Schema.isPattern(idPattern, {
    expected: `an id of 1 to 255 printable characters without quotes (${quotes})`
  })
)

/**
 * A chat: where messages follow each other. 1 to 255 printable characters, no quotes.
 *
 * @category ids
 * @since 0.1.0
 */
export const ChatId = Id.pipe(Schema.brand("effect-cancellation/ChatId"))
/** The id of a chat that has been looked at. @category ids @since 0.1.0 */
export type ChatId = typeof ChatId.Type

/**
 * The assistant's message that an agent writes. 1 to 255 printable characters, no quotes.
 *
 * @category ids
 * @since 0.1.0
 */
export const MessageId = Id.pipe(Schema.brand("effect-cancellation/MessageId"))
/** The id of a message that has been looked at. @category ids @since 0.1.0 */
export type MessageId = typeof MessageId.Type

/**
 * One attempt to write a message. 1 to 255 printable characters, no quotes.
 *
 * @category ids
 * @since 0.1.0
 */
export const RunId = Id.pipe(Schema.brand("effect-cancellation/RunId"))
/** The id of a run that has been looked at. @category ids @since 0.1.0 */
export type RunId = typeof RunId.Type

/**
 * The tenant a chat belongs to. 1 to 255 printable characters, no quotes.
 *
 * @category ids
 * @since 0.1.0
 */
export const CompanyId = Id.pipe(Schema.brand("effect-cancellation/CompanyId"))
/** The id of a company that has been looked at. @category ids @since 0.1.0 */
export type CompanyId = typeof CompanyId.Type

/**
 * The person a chat belongs to. 1 to 255 printable characters, no quotes.
 *
 * @category ids
 * @since 0.1.0
 */
export const UserId = Id.pipe(Schema.brand("effect-cancellation/UserId"))
/** The id of a user that has been looked at. @category ids @since 0.1.0 */
export type UserId = typeof UserId.Type

/**
 * A process that runs agents: the owner of a lease. 1 to 255 printable characters, no quotes.
 *
 * @category ids
 * @since 0.1.0
 */
export const ProcessId = Id.pipe(Schema.brand("effect-cancellation/ProcessId"))
/** The id of a process that has been looked at. @category ids @since 0.1.0 */
export type ProcessId = typeof ProcessId.Type

/**
 * A company, a user, a chat or a message was named by something that is no id.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRef extends Schema.TaggedError<InvalidRef>("effect-cancellation/InvalidRef")(
  "InvalidRef",
  {
    /** What was wrong, with the field and, shortened, the value. */
    message: Schema.String
  }
) {}

/**
 * Names one message of one chat of one tenant.
 *
 * Without `companyId` or `userId` the ref belongs to the tenant `default`, and matches that tenant's
 * rows only, never any.
 *
 * ```ts
 * import { MessageRef } from "effect-cancellation"
 *
 * const ref = MessageRef.of({ chatId: "chat-1", messageId: "message-7" })
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export class MessageRef extends Schema.Class<MessageRef>("effect-cancellation/MessageRef")({
  companyId: Schema.optionalKey(CompanyId),
  userId: Schema.optionalKey(UserId),
  chatId: ChatId,
  messageId: MessageId
}) {
  /**
   * A ref of ids known to be right; throws {@link InvalidRef} on a bad one. At an edge use
   * {@link MessageRef.decode}.
   */
  static readonly of = (ids: {
    readonly companyId?: string
    readonly userId?: string
    readonly chatId: string
    readonly messageId: string
  }): MessageRef =>
    Result.getOrThrowWith(Schema.decodeUnknownResult(MessageRef)(ids), (error) =>
      invalidRef(ids, error)
    )

  /** Reads a ref from anything that came from outside; fails with {@link InvalidRef}. */
  static readonly decode = (input: unknown): Effect.Effect<MessageRef, InvalidRef> =>
    Effect.mapError(Schema.decodeUnknownEffect(MessageRef)(input), (error) =>
      invalidRef(input, error)
    )
}

/**
 * One attempt to write one message.
 *
 * ```ts
 * import { MessageRef, Run, RunId } from "effect-cancellation"
 *
 * const run = Run.make({
 *   ref: MessageRef.of({ chatId: "chat-1", messageId: "message-7" }),
 *   runId: RunId.make("attempt-1")
 * })
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export class Run extends Schema.Class<Run>("effect-cancellation/Run")({
  ref: MessageRef,
  runId: RunId
}) {}

/**
 * The company and user a ref without them belongs to.
 *
 * @category models
 * @since 0.1.0
 */
export const defaultTenant = "default"

/**
 * A string that is equal for two refs exactly when they name the same message of the same tenant.
 *
 * @category combinators
 * @since 0.1.0
 */
export const messageKey = (ref: MessageRef): string => idsOf(ref).join(separator)

/**
 * A string that is equal for two runs exactly when they are the same attempt at the same message.
 *
 * @category combinators
 * @since 0.1.0
 */
export const runKey = (run: Run): string => [...idsOf(run.ref), run.runId].join(separator)

// No id can contain NUL, so the joined string is unambiguous. Joined, it is one string, and not a tree of
// all that it was put together from.
const separator = "\0"
const idsOf = ({ chatId, companyId, messageId, userId }: MessageRef): ReadonlyArray<string> => [
  companyId ?? defaultTenant,
  userId ?? defaultTenant,
  chatId,
  messageId
]

const isId = Schema.is(Id)

const invalidRef = (input: unknown, error: { readonly message: string }): InvalidRef => {
  const found = typeof input === "object" && input !== null ? Object.entries(input) : []
  const wrong = found.find(([field, value]) => field in MessageRef.fields && !isId(value))
  const value = wrong === undefined ? "" : ` It is ${shown(wrong[1])}.`
  return new InvalidRef({ message: `${shorten(error.message, 250)}.${value}` })
}

// What is wrong with a value may be what a log or a terminal must not get.
const shown = (value: unknown): string =>
  typeof value === "string"
    ? shorten(JSON.stringify(value), 60).replaceAll(
        /[^ -~…]/g,
        (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
      )
    : typeof value

// Ten thousand characters of somebody's input help nobody and fill the log.
const shorten = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, most)}… (${text.length} characters)`
