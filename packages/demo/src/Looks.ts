/**
 * Which answers the page of a person looks at, for whoever wants to stop what nobody looks at.
 *
 * Only one's own count: if others' did, Bob could stop an answer of Ada's by opening and closing a
 * page.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type ChatId, runKey, type UserId } from "effect-cancellation"
import type { Viewers } from "effect-cancellation-http/Viewers"
import { type MessageView, runOf } from "./ChatView.ts"

/**
 * Answers how to say what a page shows now. All looks end with the scope, and in its way: a
 * connection that is lost interrupts it.
 */
export const make = Effect.fnUntraced(function* (
  viewers: typeof Viewers.Service,
  chatId: ChatId,
  viewer: UserId
) {
  const scope = yield* Effect.scope
  const looks = new Map<string, Scope.Closeable>()

  return Effect.fnUntraced(function* (messages: ReadonlyArray<MessageView>) {
    const runs = new Map(
      messages
        .filter(({ state, userId }) => state === "running" && userId === viewer)
        .flatMap((message) => runOf(chatId, message) ?? [])
        .map((run) => [runKey(run), run])
    )
    for (const [key, look] of looks) {
      if (runs.has(key)) continue
      looks.delete(key)
      yield* Scope.close(look, Exit.void)
    }
    for (const [key, run] of runs) {
      if (looks.has(key)) continue
      const look = yield* Scope.fork(scope)
      looks.set(key, look)
      yield* Scope.provide(viewers.look(run, viewer), look)
    }
  })
})
