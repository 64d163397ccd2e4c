/**
 * What the answers of this process look like right now, for pages that watch them being written.
 *
 * The store has a text four times a second at most; the page of the writing process shows each word.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import { type ChatId, type Run, runKey } from "effect-cancellation"
import type { ToolLine } from "./ToolLine.ts"

/** An answer as far as it is written. */
export interface DraftText {
  readonly text: string
  readonly tools: ReadonlyArray<ToolLine>
}

/** What changed in a chat: words of a draft, or something that is in the store. */
export interface Change {
  readonly chatId: ChatId
  readonly what: "words" | "stored"
}

export class Drafts extends Context.Service<
  Drafts,
  {
    readonly put: (run: Run, draft: DraftText) => Effect.Effect<void>
    /** From now on the store has it all. */
    readonly remove: (run: Run) => Effect.Effect<void>
    readonly get: (run: Run) => DraftText | undefined
    /** How many there are. */
    readonly count: () => number
    readonly stored: (chatId: ChatId) => Effect.Effect<void>
    readonly changes: Effect.Effect<PubSub.Subscription<Change>, never, Scope.Scope>
  }
>()("effect-cancellation-demo/Drafts") {
  static readonly layer: Layer.Layer<Drafts> = Layer.effect(
    this,
    Effect.gen(function* () {
      const drafts = new Map<string, DraftText>()
      // Whoever cannot keep up misses changes, and learns the state with the next one.
      const pubsub = yield* Effect.acquireRelease(PubSub.sliding<Change>(64), PubSub.shutdown)
      const publish = (chatId: ChatId, what: Change["what"]) =>
        Effect.asVoid(PubSub.publish(pubsub, { chatId, what }))
      return {
        put: (run, draft) =>
          Effect.suspend(() => {
            drafts.set(runKey(run), draft)
            return publish(run.ref.chatId, "words")
          }),
        remove: (run) =>
          Effect.suspend(() => {
            drafts.delete(runKey(run))
            return publish(run.ref.chatId, "stored")
          }),
        get: (run) => drafts.get(runKey(run)),
        count: () => drafts.size,
        stored: (chatId) => publish(chatId, "stored"),
        changes: PubSub.subscribe(pubsub)
      }
    })
  )
}
