/**
 * What a page that looks at a chat is told, as server-sent events.
 *
 * Each page has one loop that compares what it was told with what is, so events cannot overtake each
 * other. It is woken by this process's own changes; those of other processes it finds by reading the
 * store, modestly, and only while somebody looks.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type ChatId, MessageId, type UserId } from "effect-cancellation"
import { Viewers } from "effect-cancellation-http/Viewers"
import { ChatView, MessageView } from "./ChatView.ts"
import { isUnavailable } from "./ContentOutage.ts"
import { type Change, Drafts } from "./Drafts.ts"
import * as Looks from "./Looks.ts"

/**
 * `Chat`: everything. `Message`: one message, new or changed. `Words`: text appended at a place.
 * `Database`: whether it answers; it does until the page is told otherwise.
 */
export const ChatEvent = Schema.TaggedUnion({
  Chat: { messages: Schema.Array(MessageView) },
  Message: { message: MessageView },
  Words: { messageId: MessageId, at: Schema.Natural, text: Schema.String },
  Database: { answers: Schema.Boolean },
  Alive: {}
})
export type ChatEvent = typeof ChatEvent.Type

export class ChatEvents extends Context.Service<
  ChatEvents,
  {
    /** What the page of somebody is told of a chat while it is open. */
    readonly watch: (chatId: ChatId, viewer: UserId) => Stream.Stream<ChatEvent>
  }
>()("effect-cancellation-demo/ChatEvents") {
  static readonly layer: Layer.Layer<ChatEvents, never, ChatView | Drafts> = Layer.effect(
    this,
    Effect.gen(function* () {
      const view = yield* ChatView
      const drafts = yield* Drafts
      const viewers = yield* Viewers

      const read = (chatId: ChatId): Effect.Effect<Look> =>
        view.read(chatId).pipe(
          Effect.map((messages) => ({ messages, isAway: false })),
          Effect.catch((error) =>
            isUnavailable(error)
              ? Effect.succeed({ isAway: true })
              : Effect.as(Effect.logWarning(`A page cannot be told news: ${error.message}`), {
                  isAway: false
                })
          )
        )

      // The next thing that happens in this chat; a pause without any makes the loop look itself.
      const nextChange = Effect.fnUntraced(function* (
        changes: PubSub.Subscription<Change>,
        chatId: ChatId,
        pause: number
      ) {
        const waited = yield* Effect.timeoutOption(awaitChange(changes, chatId), pause)
        return Option.getOrElse(waited, (): Change["what"] => "stored")
      })

      const watch = (chatId: ChatId, viewer: UserId) =>
        Stream.unwrap(
          Effect.gen(function* () {
            const changes = yield* drafts.changes
            const looksAt = yield* Looks.make(viewers, chatId, viewer)
            return Stream.unfold(beginning, (state) =>
              Effect.gen(function* () {
                const what =
                  state === beginning
                    ? "stored"
                    : yield* nextChange(changes, chatId, pauseOf(state.stored ?? []))
                const look: Look = what === "stored" ? yield* read(chatId) : state
                const stored = look.messages ?? state.stored
                if (look.messages !== undefined) yield* looksAt(look.messages)
                const told = stored && view.withDrafts(chatId, stored)
                const events = eventsOf(state, { told, isAway: look.isAway })
                const silent = events.length === 0 ? state.silent + 1 : 0
                const next = { stored, told, isAway: look.isAway }
                return silent >= silentLooks
                  ? ([[ChatEvent.cases.Alive.make({})], { ...next, silent: 0 }] as const)
                  : ([events, { ...next, silent }] as const)
              })
            )
          })
        ).pipe(Stream.flattenIterable)

      return { watch }
    })
  )
}

interface Look {
  /** Nothing if they could not be read. */
  readonly messages?: ReadonlyArray<MessageView>
  readonly isAway: boolean
}

interface Told {
  readonly told: ReadonlyArray<MessageView> | undefined
  readonly isAway: boolean
}

interface State extends Told {
  readonly stored: ReadonlyArray<MessageView> | undefined
  readonly silent: number
}

const beginning: State = { stored: undefined, told: undefined, isAway: false, silent: 0 }

// A page that hears nothing at all for some seconds believes the server is gone.
const silentLooks = 5

const awaitChange = Effect.fnUntraced(function* (
  changes: PubSub.Subscription<Change>,
  chatId: ChatId
) {
  while (true) {
    const change = yield* PubSub.take(changes)
    if (change.chatId !== chatId) continue
    // What else came meanwhile is answered by the same look.
    const rest = yield* PubSub.takeUpTo(changes, 64)
    const all = [change, ...rest].filter((other) => other.chatId === chatId)
    return all.some(({ what }) => what === "stored") ? "stored" : "words"
  }
})

const pauseOf = (messages: ReadonlyArray<MessageView>): number => {
  if (messages.some(({ state }) => state === "stopping")) return 100
  return messages.some(({ state }) => state === "running") ? 300 : 1000
}

// Of a chat that could not be read nothing is said: an empty one would look new.
const eventsOf = (before: Told, now: Told): ReadonlyArray<ChatEvent> => [
  ...(before.isAway === now.isAway
    ? []
    : [ChatEvent.cases.Database.make({ answers: !now.isAway })]),
  ...(now.told === undefined ? [] : newsOf(before.told, now.told))
]

const newsOf = (
  told: ReadonlyArray<MessageView> | undefined,
  shown: ReadonlyArray<MessageView>
): ReadonlyArray<ChatEvent> => {
  const isLonger =
    told !== undefined &&
    told.every((message, index) => message.messageId === shown[index]?.messageId)
  if (!isLonger) return [ChatEvent.cases.Chat.make({ messages: shown })]
  return shown.flatMap((message, index) => newsOfMessage(told[index], message))
}

const newsOfMessage = (
  before: MessageView | undefined,
  message: MessageView
): ReadonlyArray<ChatEvent> => {
  if (before !== undefined && message.text.startsWith(before.text)) {
    const at = before.text.length
    const grown = message.text.length > at
    if (hasSameRest(before, message)) {
      const { messageId } = message
      const text = message.text.slice(at)
      return grown ? [ChatEvent.cases.Words.make({ messageId, at, text })] : []
    }
  }
  return [ChatEvent.cases.Message.make({ message })]
}

const hasSameRest = (before: MessageView, after: MessageView): boolean =>
  JSON.stringify({ ...before, text: "" }) === JSON.stringify({ ...after, text: "" })
