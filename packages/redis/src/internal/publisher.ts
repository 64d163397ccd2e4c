/**
 * The connection that publishes: made when it is first needed, kept, and made anew when it has
 * broken. While Redis is away every attempt fails at once, and nothing piles up.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Redis } from "effect/persistence/Redis"
import { connect } from "./connection.ts"
import type { RedisServer } from "./redisServer.ts"
import { RedisTrouble, troubleWith, wordsOf } from "./trouble.ts"

/** Sends a message to a channel, or fails within 5 seconds. */
export type Publish = (channel: string, payload: string) => Effect.Effect<void, RedisTrouble>

/** On a connection of its own, closed with the scope. */
export const makePublisher = Effect.fnUntraced(function* (server: RedisServer) {
  const scope = yield* Effect.scope
  const turns = yield* Semaphore.make(1)
  let current: Link | undefined
  let isClosed = false
  yield* Effect.addFinalizer(() => Effect.sync(() => void (isClosed = true)))

  const drop = (link: Link | undefined) =>
    Effect.suspend(() => {
      if (link === undefined) return Effect.void
      if (current === link) current = undefined
      return Scope.close(link.scope, Exit.void)
    })

  const open = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const own = yield* Scope.fork(scope)
      const connection = yield* restore(
        connect(server, "effect-cancellation-publish").pipe(Scope.provide(own))
      ).pipe(Effect.onError(() => Scope.close(own, Exit.void)))
      const link = { ...connection, scope: own }
      current = link
      return link
    })
  )

  // One at a time: a burst of stops after a break makes one connection.
  const link = turns.withPermit(
    Effect.suspend(() => {
      if (isClosed) return Effect.fail(new RedisTrouble({ reason: "The signal is closed" }))
      return current?.client.isReady === true
        ? Effect.succeed(current)
        : Effect.andThen(drop(current), open)
    })
  )

  const send = Effect.fnUntraced(function* (channel: string, payload: string) {
    const used = yield* link
    return yield* used
      .ask(() => used.client.publish(channel, payload))
      .pipe(
        Effect.catchTag("RedisTrouble", (error) =>
          // It broke before anybody knew. To publish twice is harmless.
          used.client.isReady
            ? Effect.fail(error)
            : Effect.flatMap(link, (next) => next.ask(() => next.client.publish(channel, payload)))
        )
      )
  })

  return (channel: string, payload: string) =>
    send(channel, payload).pipe(
      Effect.timeoutOrElse({
        duration: "5 seconds",
        // It may be frozen: the next message goes by a new one.
        orElse: () =>
          Effect.andThen(
            Effect.suspend(() => drop(current)),
            Effect.fail(troubleWith(server, "no answer within 5 seconds"))
          )
      }),
      Effect.asVoid
    )
})

type Link = Effect.Success<ReturnType<typeof connect>> & { readonly scope: Scope.Closeable }

/** Through Effect's own service, as the application has set it up. */
export const publishBy =
  (redis: Redis["Service"]): Publish =>
  (channel, payload) =>
    redis.send("PUBLISH", channel, payload).pipe(
      Effect.mapError(
        ({ cause }) => new RedisTrouble({ reason: `Redis refused PUBLISH: ${wordsOf(cause)}` })
      ),
      Effect.timeoutOrElse({
        duration: "5 seconds",
        orElse: () =>
          Effect.fail(
            new RedisTrouble({ reason: "Redis gave no answer to PUBLISH within 5 seconds" })
          )
      }),
      Effect.asVoid
    )
