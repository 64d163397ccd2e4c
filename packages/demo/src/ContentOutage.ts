/**
 * The store of texts, which may be away for a while: it is not waited for too long, and the log says
 * once that it is away and once that it is back.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ContentUnavailable, MessageContent, MessageContentError } from "effect-cancellation"

/** Wraps the store of texts of the context. */
export const layer: Layer.Layer<MessageContent, never, MessageContent> = Layer.effect(
  MessageContent,
  Effect.map(MessageContent, (content) => {
    let isAway = false

    const failed = (error: MessageContentError) => {
      if (isAway || !isUnavailable(error)) return Effect.void
      isAway = true
      return Effect.logWarning(`Texts are not read and not saved: ${because(error)}. Trying again`)
    }
    const worked = Effect.suspend(() => {
      if (!isAway) return Effect.void
      isAway = false
      return Effect.logInfo("Texts are read and saved again")
    })
    const watched = <A>(operation: string, effect: Effect.Effect<A, MessageContentError>) =>
      soon(operation, effect).pipe(
        Effect.tap(() => worked),
        Effect.tapError(failed)
      )

    return MessageContent.of({
      supports: content.supports,
      find: (query) => watched("find", content.find(query)),
      create: (message) => watched("create", content.create(message)),
      modify: (change) => watched("modify", content.modify(change))
    })
  })
)

/** Whether this is an outage, of which the log has it all already. */
export const isUnavailable = ({ reason }: { readonly reason: { readonly _tag: string } }) =>
  reason._tag === "ContentUnavailable" || reason._tag === "StoreUnavailable"

// A network that has gone silent is noticed after a quarter of an hour; a page is told before that.
// In fibers of their own, because the last save of an answer happens in a finalizer.
const soon = <A>(operation: string, effect: Effect.Effect<A, MessageContentError>) =>
  Effect.raceFirst(
    Effect.interruptible(effect),
    Effect.interruptible(
      Effect.andThen(
        Effect.sleep("5 seconds"),
        Effect.fail(new MessageContentError({ reason: tooLate(operation) }))
      )
    )
  )

const tooLate = (operation: string) =>
  new ContentUnavailable({ operation, cause: new Error("no answer within 5 seconds") })

const because = ({ message, reason }: MessageContentError): string =>
  reason._tag === "ContentUnavailable" && reason.cause instanceof Error
    ? reason.cause.message
    : message
