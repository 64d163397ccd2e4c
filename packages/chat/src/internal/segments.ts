/**
 * The messages that one run writes: what they are to hold, and how much of it is stored.
 *
 * One write at a time, so that no older text follows a newer one. What could not be stored stays
 * unsaved and goes with the next write.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import {
  type Message,
  MessageChange,
  type MessageContent,
  type MessageContentError,
  type MessageId,
  MessageRef,
  NewMessage,
  type RunId
} from "effect-cancellation"
import type { AssistantChange, AssistantFields } from "../AssistantMessage.ts"
import { isUnavailable, within } from "./contentCall.ts"

/** One message of the turn. */
export interface Segment {
  readonly ref: MessageRef
  /** What it is to show. */
  text: string
  /** Text has come from a model. */
  streamed: boolean
  /** What the store does not have yet. */
  unsaved: AssistantChange
  completed: boolean
}

export interface Segments {
  /** The one that is written now. */
  readonly current: () => Segment
  /** Changes it in this step, and the store with the next write. */
  readonly put: (segment: Segment, change: AssistantChange) => void
  /** Writes what is unsaved, and this. */
  readonly write: (
    segment: Segment,
    change: AssistantChange
  ) => Effect.Effect<Message, MessageContentError>
  /** Writes what is unsaved, if anything. An outage is no failure: the next write has it all. */
  readonly save: (segment: Segment) => Effect.Effect<void, MessageContentError>
  /** Makes the next message, and goes on to it. */
  readonly next: (
    messageId: MessageId,
    fields: AssistantFields
  ) => Effect.Effect<Message, MessageContentError>
  /** Completes the one that is written now. */
  readonly complete: Effect.Effect<void, MessageContentError>
  /** Completes what is not complete, trying again through an outage. Dies if a text is lost. */
  readonly finish: Effect.Effect<void>
}

export const makeSegments = Effect.fnUntraced(function* (options: {
  readonly content: MessageContent["Service"]
  readonly ref: MessageRef
  readonly writer: RunId
  readonly writeTimeout: Duration.Duration
  readonly finalWriteTimeout: Duration.Duration
}) {
  const { content, finalWriteTimeout, writeTimeout, writer } = options
  const permit = yield* Semaphore.make(1)
  const segments: Array<Segment> = []
  let isAway = false

  const open = (ref: MessageRef, text: string): Segment => {
    const segment = { ref, text, streamed: false, unsaved: {}, completed: false }
    segments.push(segment)
    return segment
  }
  let current = open(options.ref, "")

  const put = (segment: Segment, change: AssistantChange): void => {
    if (change.text !== undefined) segment.text = change.text
    segment.unsaved = { ...segment.unsaved, ...given(change) }
  }

  const write = (segment: Segment, change: AssistantChange) =>
    permit.withPermit(
      Effect.suspend(() => {
        const { unsaved } = segment
        segment.unsaved = {}
        return within(
          writeTimeout,
          "modify",
          content.modify(
            MessageChange.make({ ref: segment.ref, writer, ...storable({ ...unsaved, ...change }) })
          )
        ).pipe(
          Effect.tap(() =>
            Effect.suspend(() => {
              if (change.text !== undefined) segment.text = change.text
              if (change.setCompletedAt === true) segment.completed = true
              return isBack
            })
          ),
          // Whatever came meanwhile is newer.
          Effect.onError(() =>
            Effect.sync(() => {
              segment.unsaved = { ...unsaved, ...segment.unsaved }
            })
          )
        )
      })
    )

  const away = (error: MessageContentError) =>
    Effect.suspend(() => {
      if (isAway) return Effect.void
      isAway = true
      return Effect.logWarning(`Texts are not saved: ${error.message}. Trying again`)
    })
  const isBack = Effect.suspend(() => {
    if (!isAway) return Effect.void
    isAway = false
    return Effect.logInfo("Texts are saved again")
  })

  const save = (segment: Segment) =>
    Effect.suspend(() =>
      Object.keys(segment.unsaved).length === 0
        ? Effect.void
        : Effect.catchIf(write(segment, {}), isUnavailable, away)
    ).pipe(
      Effect.asVoid,
      // Cut short, nobody would know whether it is stored.
      Effect.uninterruptible
    )

  const next = (messageId: MessageId, fields: AssistantFields) =>
    Effect.gen(function* () {
      yield* save(stoppedStreaming(current))
      const ref = MessageRef.make({ ...current.ref, messageId })
      const message = yield* within(
        writeTimeout,
        "create",
        content.create(NewMessage.make({ ref, role: "assistant", writer, ...storable(fields) }))
      )
      current = open(ref, message.text)
      return message
    })

  const stoppedStreaming = (segment: Segment) => {
    if (segment.streamed) put(segment, { setStoppedStreamingAt: true })
    return segment
  }

  const completeOne = (segment: Segment) =>
    Effect.suspend(() => write(stoppedStreaming(segment), { setCompletedAt: true }))

  const finishOne = (segment: Segment) =>
    completeOne(segment).pipe(
      Effect.tapError((error) => (isUnavailable(error) ? away(error) : Effect.void)),
      Effect.retry({
        while: isUnavailable,
        schedule: Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: finalWriteTimeout }))
      }),
      Effect.catch((error) => unfinished(segment, error))
    )

  return {
    current: () => current,
    put,
    write,
    save,
    next,
    complete: Effect.suspend(() => completeOne(current)).pipe(
      Effect.asVoid,
      Effect.uninterruptible
    ),
    // All are tried, then the first that is lost is the defect.
    finish: Effect.suspend(() =>
      Effect.forEach(
        segments.filter(({ completed }) => !completed),
        (segment) => Effect.exit(finishOne(segment))
      )
    ).pipe(Effect.flatMap((exits) => Effect.forEach(exits, (exit) => exit, { discard: true })))
  } satisfies Segments as Segments
})

const unfinished = (segment: Segment, error: MessageContentError) => {
  const { messageId } = segment.ref
  switch (error.reason._tag) {
    case "AlreadyCompleted":
    case "NotTheWriter":
    case "MessageNotFound":
      return Effect.logInfo(`The end of message ${messageId} is not stored: ${error.message}`)
    default:
      return Effect.logError(
        `The end of message ${messageId} could not be stored (${segment.text.length} characters in all): ${error.message}`
      ).pipe(Effect.andThen(Effect.die(error)))
  }
}

type Given<A> = { readonly [K in keyof A]?: Exclude<A[K], undefined> }

const given = (change: AssistantChange): Given<AssistantChange> =>
  Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))

// Half a surrogate pair (the other half may be on its way) and NUL are kept by no or not every
// database; a text must not be lost for one character that nobody can see.
const storable = (change: AssistantChange): Given<AssistantChange> => {
  const { originalText, text } = change
  return given({
    ...change,
    text: text === undefined ? undefined : storableText(text),
    originalText: originalText === undefined ? undefined : storableText(originalText)
  })
}

const storableText = (text: string): string => text.toWellFormed().replaceAll("\0", "\uFFFD")
