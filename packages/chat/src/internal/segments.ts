/**
 * The messages that one run writes: what they are to hold, and how much of it is stored.
 *
 * One write at a time to each, so that no older text follows a newer one. What could not be stored
 * stays unsaved and goes with the next write.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import {
  AlreadyCompleted,
  type Message,
  MessageChange,
  type MessageContent,
  MessageContentError,
  type MessageId,
  MessageRef,
  NewMessage,
  type RunId
} from "effect-cancellation"
import type { AssistantChange, AssistantFields } from "../AssistantMessage.ts"
import { isUnavailable, within } from "./contentCall.ts"
import { fieldsOf, given, storable } from "./storable.ts"

/** One message of the turn. */
export interface Segment {
  readonly ref: MessageRef
  readonly permit: Semaphore.Semaphore
  /** All that it is to hold, as far as this run has written it. */
  held: AssistantFields
  /** Text has come from a model. */
  streamed: boolean
  /** What the store does not have yet. */
  unsaved: AssistantChange
  /** A write got no answer: it may have arrived, and may yet arrive after a newer one. */
  isInDoubt: boolean
  completedAt: number | undefined
}

export interface Segments {
  /** The one that is written now. */
  readonly current: () => Segment
  /** Changes it in this step, and the store with the next write. Throws if that cannot be stored. */
  readonly put: (segment: Segment, change: AssistantChange) => void
  /** Writes what is unsaved, and this. */
  readonly write: (
    segment: Segment,
    change: AssistantChange
  ) => Effect.Effect<Message, MessageContentError>
  /**
   * Writes what is unsaved, if anything. An outage is no failure: the next write has it all. After a
   * stop a refusal is none either: whoever stopped the run may have deleted the message or begun it anew.
   * Once a write has been given up after a stop, the end of the run is what stores the rest.
   */
  readonly save: (segment: Segment) => Effect.Effect<void, MessageContentError>
  /** Writes the last of the one that is written now, before the next is made. */
  readonly leave: Effect.Effect<void, MessageContentError>
  /** Makes the next message, and goes on to it. */
  readonly next: (
    messageId: MessageId,
    fields: AssistantFields
  ) => Effect.Effect<Message, MessageContentError>
  /** Fails if the one that is written now is complete already. */
  readonly refuseCompleted: Effect.Effect<void, MessageContentError>
  /** Completes the one that is written now, trying again through an outage. */
  readonly complete: Effect.Effect<void, MessageContentError>
  /** Completes what is not complete, trying again through an outage. Dies if a text is lost. */
  readonly finish: Effect.Effect<void>
}

export const makeSegments = (options: {
  readonly content: MessageContent["Service"]
  readonly ref: MessageRef
  readonly writer: RunId
  readonly isCancelled: Effect.Effect<boolean>
  readonly writeTimeout: Duration.Duration
  readonly finalWriteTimeout: Duration.Duration
}): Segments => {
  const { content, finalWriteTimeout, isCancelled, writeTimeout, writer } = options
  const segments = new Map<MessageId, Segment>()
  let isAway = false
  // Since the stop: the agent is to end now, not to wait for the same store at each of its steps.
  let isGivenUp = false
  let isOver = false

  const open = (ref: MessageRef, held: AssistantFields, isInDoubt: boolean): Segment => {
    const segment: Segment = {
      ref,
      permit: Semaphore.makeUnsafe(1),
      held,
      streamed: false,
      unsaved: {},
      isInDoubt,
      completedAt: undefined
    }
    segments.set(ref.messageId, segment)
    return segment
  }
  let current = open(options.ref, {}, false)

  // Made before anything is taken: a change that is none must not cost what is unsaved.
  const changeOf = ({ ref }: Segment, change: AssistantChange): MessageChange =>
    MessageChange.make({ ref, writer, ...storable(change) })

  const put = (segment: Segment, change: AssistantChange): void => {
    // Only JSON can be wrong, with a NaN in it for example.
    if (change.references !== undefined || change.debugInfo !== undefined) changeOf(segment, change)
    segment.held = { ...segment.held, ...fieldsOf(change) }
    segment.unsaved = { ...segment.unsaved, ...given(change) }
  }

  const writeNow = (segment: Segment, change: AssistantChange) => {
    const { isInDoubt, streamed, unsaved } = segment
    const news = { ...unsaved, ...given(change) }
    const isLast = news.setCompletedAt === true
    const call = content.modify(
      changeOf(segment, {
        // Nothing is written after the last write, so that what arrives late cannot win.
        ...(isLast && isInDoubt ? segment.held : {}),
        ...news,
        ...(isLast && streamed ? { setStoppedStreamingAt: true } : {})
      })
    )
    segment.unsaved = {}
    return within(writeTimeout, "modify", call).pipe(
      // Before the next write has its turn.
      Effect.tapError((error) =>
        Effect.map(isCancelled, (isStopped) => {
          if (isStopped && isUnavailable(error)) isGivenUp = true
        })
      ),
      Effect.tap(({ completedAt }) =>
        Effect.suspend(() => {
          isGivenUp = false
          // Whatever came meanwhile is newer.
          segment.held = { ...segment.held, ...fieldsOf(change), ...fieldsOf(segment.unsaved) }
          if (isLast) segment.completedAt = completedAt
          return isBack
        })
      ),
      Effect.onError((cause) =>
        Effect.sync(() => {
          segment.unsaved = { ...unsaved, ...segment.unsaved }
          if (!isRefusal(cause)) segment.isInDoubt = true
        })
      )
    )
  }

  const write = (segment: Segment, change: AssistantChange) =>
    segment.permit.withPermit(Effect.suspend(() => writeNow(segment, change)))

  const away = (error: MessageContentError) =>
    Effect.suspend(() => {
      if (isAway || !isUnavailable(error)) return Effect.void
      isAway = true
      return Effect.logWarning(`Texts are not saved: ${error.message}. Trying again`)
    })
  const isBack = Effect.suspend(() => {
    if (!isAway) return Effect.void
    isAway = false
    return Effect.logInfo("Texts are saved again")
  })

  const refused = (segment: Segment, error: MessageContentError) =>
    Effect.flatMap(isCancelled, (isStopped) =>
      isStopped && isGone(error) ? notStored(segment, error) : Effect.fail(error)
    )

  const save = (segment: Segment) =>
    segment.permit
      .withPermit(
        Effect.suspend(() =>
          isGivenUp || Object.keys(segment.unsaved).length === 0
            ? Effect.void
            : Effect.asVoid(writeNow(segment, {}))
        )
      )
      .pipe(
        Effect.catch((error) => (isUnavailable(error) ? away(error) : refused(segment, error))),
        // Cut short, nobody would know whether it is stored.
        Effect.uninterruptible
      )

  const next = (messageId: MessageId, fields: AssistantFields) =>
    Effect.suspend(() => {
      const ref = MessageRef.make({ ...current.ref, messageId })
      const made = NewMessage.make({ ref, role: "assistant", writer, ...storable(fields) })
      const call = Effect.onExit(content.create(made), () =>
        // Given up, it may be done when nobody is left to complete it.
        isOver && content.supports.ids
          ? Effect.ignore(content.modify(MessageChange.make({ ref, writer, setCompletedAt: true })))
          : Effect.void
      )
      return within(writeTimeout, "create", call).pipe(
        Effect.tap((message) =>
          Effect.sync(() => {
            current = open(message.ref, fieldsOf(fields), false)
          })
        ),
        Effect.onError((cause) =>
          Effect.sync(() => {
            // It may be there, and then somebody must complete it: who does not know its id cannot.
            if (isRefusal(cause) || !content.supports.ids || segments.has(messageId)) return
            open(ref, fieldsOf(fields), true)
          })
        )
      )
    })

  const completeOne = (segment: Segment) =>
    Effect.uninterruptible(write(segment, { setCompletedAt: true })).pipe(
      Effect.tapError(away),
      Effect.retry({
        while: isUnavailable,
        schedule: Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: finalWriteTimeout }))
      }),
      Effect.asVoid
    )

  const finishOne = (segment: Segment) =>
    completeOne(segment).pipe(
      Effect.tapDefect((defect) =>
        Effect.logError(`The end of message ${segment.ref.messageId} could not be stored`, defect)
      ),
      Effect.catch((error) => {
        // Its answer was lost, not the write.
        if (segment.isInDoubt && error.reason._tag === "AlreadyCompleted") return Effect.void
        if (isGone(error)) return notStored(segment, error)
        return Effect.andThen(lost(segment, error), Effect.die(error))
      })
    )

  // The message ends also without what cannot be stored, or those who look at it would wait for ever.
  const lost = (segment: Segment, error: MessageContentError) =>
    Effect.logError(
      `The end of message ${segment.ref.messageId} could not be stored (${segment.held.text?.length ?? 0} characters in all): ${error.message}`
    ).pipe(
      Effect.andThen(
        Effect.suspend(() => {
          if (error.reason._tag !== "UnstorableText") return Effect.void
          segment.unsaved = {}
          segment.held = {}
          return Effect.ignore(completeOne(segment))
        })
      )
    )

  return {
    current: () => current,
    put,
    write,
    save,
    leave: Effect.suspend(() => {
      if (current.completedAt !== undefined) return Effect.void
      if (current.streamed) put(current, { setStoppedStreamingAt: true })
      return save(current)
    }),
    next,
    refuseCompleted: Effect.suspend(() => {
      const { completedAt, ref } = current
      return completedAt === undefined
        ? Effect.void
        : Effect.fail(
            new MessageContentError({
              reason: new AlreadyCompleted({ messageId: ref.messageId, completedAt })
            })
          )
    }),
    complete: Effect.suspend(() => completeOne(current)),
    // All are tried, in the time of one; then the first that is lost is the defect.
    finish: Effect.suspend(() => {
      isOver = true
      return Effect.forEach(
        Array.from(segments.values()).filter(({ completedAt }) => completedAt === undefined),
        (segment) => Effect.exit(finishOne(segment)),
        { concurrency: "unbounded" }
      )
    }).pipe(Effect.flatMap((exits) => Effect.forEach(exits, (exit) => exit, { discard: true })))
  }
}

/** The message is not this run's to write any more, or not there. */
const isGone = ({ reason }: MessageContentError): boolean =>
  reason._tag === "AlreadyCompleted" ||
  reason._tag === "NotTheWriter" ||
  reason._tag === "MessageNotFound"

/** The store said no, so nothing was written. */
const isRefusal = (cause: Cause.Cause<MessageContentError>): boolean =>
  cause.reasons.every((reason) => Cause.isFailReason(reason) && !isUnavailable(reason.error))

const notStored = ({ ref }: Segment, error: MessageContentError) =>
  Effect.logInfo(`The rest of message ${ref.messageId} is not stored: ${error.message}`)
