/**
 * `MessageContent` on the platform.
 *
 * A change is two calls: what the message is now, and the change. Changes of one message follow each
 * other within a process; between processes nothing keeps a late change from a message that is
 * completed meanwhile.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import {
  AlreadyCompleted,
  type ContentSupports,
  ContentUnavailable,
  type Message,
  MessageChange,
  MessageContent,
  MessageContentError,
  MessageNotFound,
  type MessageQuery,
  MessageRef,
  type NewMessage,
  UnstorableText,
  Unsupported
} from "effect-cancellation"
import type { UniqueError } from "../UniqueError.ts"
import type { Connection, Fields } from "./connection.ts"
import { inTime } from "./inTime.ts"
import { makeKeyedPermits } from "./keyedPermits.ts"
import { changedFields, messageOf, newFields, nextSegment } from "./messageFields.ts"
import { type Place, placeKey } from "./place.ts"
import { timeOf } from "./wire.ts"

/** What messages are made of besides what they say. */
interface Turn {
  /** Whose messages they are: the platform makes none without it. */
  readonly assistantId?: string | undefined
  /** A message of the turn that new ones continue; without it each is by itself. */
  readonly messageId?: string | undefined
}

/** Makes the stores of texts of turns, all on one connection. */
export type ContentOf = (turn: Turn) => MessageContent["Service"]

type Failure = UniqueError | MessageContentError

const supports: ContentSupports = {
  ids: false,
  roles: ["assistant"],
  writers: false,
  reopen: false,
  nulls: false,
  clock: false
}

export const makePlatformContent = (options: {
  readonly connection: Connection
  readonly scope: Scope.Scope
  readonly writeTimeout: Duration.Duration
  /** Waits until a call has its turn. */
  readonly inTurn: (place: Place) => <A, E>(call: Effect.Effect<A, E>) => Effect.Effect<A, E>
}): ContentOf => {
  const { connection, inTurn, scope, writeTimeout } = options
  const oneAtATime = makeKeyedPermits(1)

  const call = <A>(operation: string, work: Effect.Effect<A, Failure>) =>
    inTime(writeTimeout)(work).pipe(
      Effect.catchTag("UniqueError", (cause) =>
        refuse(new ContentUnavailable({ operation, cause }))
      )
    )

  const findOne = (ref: MessageRef) =>
    Effect.flatMap(connection.find(ref, ref.messageId), (found) =>
      Option.isNone(found)
        ? Effect.succeedNone
        : Effect.asSome(messageOf(ref, found.value.value, ref.messageId))
    )

  const findAll = (query: MessageQuery) =>
    Effect.flatMap(connection.list(query), ({ value }) =>
      Effect.map(
        Effect.forEach(value, (one) => messageOf(query, one)),
        (messages) => messages.toSorted((one, other) => one.createdAt - other.createdAt)
      )
    )

  const find = (query: MessageQuery): Effect.Effect<ReadonlyArray<Message>, Failure> => {
    const { messageId } = query
    return messageId === undefined
      ? findAll(query)
      : Effect.map(findOne(MessageRef.make({ ...query, messageId })), Option.toArray)
  }

  const patch = (ref: MessageRef, fields: Fields) =>
    connection.patch(ref, ref.messageId, fields).pipe(
      Effect.flatMap((value) => messageOf(ref, value, ref.messageId)),
      Effect.catchTag("UniqueError", (error) => refused(ref, error))
    )

  const modify = Effect.fnUntraced(function* (change: MessageChange) {
    const { ref } = change
    const { messageId } = ref
    yield* storable(change)
    const message = Option.getOrUndefined(yield* findOne(ref))
    if (message === undefined) return yield* refuse(new MessageNotFound({ messageId }))
    if (change.reopen === true) return yield* refuse(notAnew)
    const { completedAt } = message
    if (completedAt !== undefined) {
      return yield* refuse(new AlreadyCompleted({ messageId, completedAt }))
    }
    const fields = changedFields(change, message, timeOf(yield* Clock.currentTimeMillis))
    return Object.keys(fields).length === 0 ? message : yield* patch(ref, fields)
  })

  const change = (change: MessageChange) => {
    const { ref } = change
    const alone = oneAtATime(`${placeKey(ref)}\0${ref.messageId}`)
    return call("modify", alone(inTurn(ref)(modify(change))))
  }

  const segmentOf = (place: Place, { messageId }: Turn) =>
    messageId === undefined
      ? Effect.succeed({})
      : Effect.map(connection.list(place), ({ value }) => nextSegment(messageId, value))

  const make = Effect.fnUntraced(function* (
    turn: Turn,
    assistantId: string,
    message: NewMessage,
    asked: () => void
  ): Effect.fn.Return<Message, Failure> {
    const { ref } = message
    const fields = newFields(message, timeOf(yield* Clock.currentTimeMillis))
    const segment = yield* segmentOf(ref, turn)
    asked()
    const made = yield* connection.create(ref, { assistantId, ...fields.first, ...segment }).pipe(
      Effect.flatMap((value) => messageOf(ref, value)),
      // That there is no such chat says nothing of a message.
      Effect.catchTag("UniqueError", (error) => refusedText(ref, error))
    )
    if (Object.keys(fields.afterwards).length === 0) return made
    return yield* Effect.onError(patch(made.ref, fields.afterwards), () => leave(made))
  })

  // Nobody who knows of it is left to complete it, and who looks at it would wait for ever.
  const leave = ({ completedAt, ref }: Message) =>
    completedAt === undefined
      ? change(MessageChange.make({ ref, setCompletedAt: true })).pipe(
          Effect.ignore,
          Effect.forkIn(scope)
        )
      : Effect.void

  // Two at once would both find the same last segment, and make the same next one.
  const inTurnOf =
    ({ messageId }: Turn, place: Place) =>
    <A, E>(making: Effect.Effect<A, E>) =>
      messageId === undefined
        ? inTurn(place)(making)
        : oneAtATime(`${placeKey(place)}\0${messageId}\0next`)(inTurn(place)(making))

  const create = (turn: Turn, message: NewMessage) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const { assistantId } = turn
        if (message.role !== "assistant") return yield* refuse(notOurs(message.role))
        if (assistantId === undefined) return yield* refuse(ofNobody)
        yield* storable(message)
        let isAsked = false
        const making = make(turn, assistantId, message, () => {
          isAsked = true
        })
        // A fiber of its own: cut short, nobody would know under which name it was made.
        const fiber = yield* call("create", inTurnOf(turn, message.ref)(making)).pipe(
          Effect.interruptible,
          Effect.forkIn(scope, { startImmediately: true })
        )
        return yield* Effect.onInterrupt(restore(Fiber.join(fiber)), () =>
          // Not asked for yet, it need not be made at all.
          isAsked
            ? Fiber.join(fiber).pipe(Effect.flatMap(leave), Effect.ignore, Effect.forkIn(scope))
            : Fiber.interrupt(fiber)
        )
      })
    )

  return (turn) =>
    MessageContent.of({
      supports,
      find: (query) => call("find", inTurn(query)(find(query))),
      create: (message) => create(turn, message),
      modify: change
    })
}

const refuse = (reason: MessageContentError["reason"]) =>
  Effect.fail(new MessageContentError({ reason }))

const notAnew = new Unsupported({
  operation: "reopen",
  why: "the platform takes no time back that is set; make a new message"
})

const notOurs = (role: string) =>
  new Unsupported({ operation: `create of a ${role}'s message`, why: "an app makes its own only" })

const ofNobody = new Unsupported({
  operation: "create without an assistant",
  why: "give assistantId to the layer, or take the content of the chat event"
})

// A null leaves a field of the platform as it is.
const storable = ({ debugInfo, ref, references }: NewMessage | MessageChange) =>
  references === null || debugInfo === null
    ? refuse(
        new UnstorableText({
          messageId: ref.messageId,
          detail: "the platform takes null for no change; store [] or {} instead"
        })
      )
    : Effect.void

const refused = (ref: MessageRef, error: UniqueError): Effect.Effect<never, Failure> =>
  error.reason._tag === "NotFound"
    ? refuse(new MessageNotFound({ messageId: ref.messageId }))
    : refusedText(ref, error)

const refusedText = (
  { messageId }: MessageRef,
  error: UniqueError
): Effect.Effect<never, Failure> =>
  error.reason._tag === "InvalidRequest" &&
  error.status !== undefined &&
  ofTheText.has(error.status)
    ? refuse(new UnstorableText({ messageId, detail: error.detail }))
    : Effect.fail(error)

// What else is refused, such as a request that took too long, may be taken the next time.
const ofTheText = new Set([400, 413, 422])
