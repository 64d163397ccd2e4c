/**
 * The connection that publishes: made when it is first needed, kept, and made anew when it has
 * broken. While Redis is away every attempt fails at once, and nothing piles up.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Redis } from "effect/persistence/Redis"
import { connect } from "./connection.ts"
import type { RedisServer } from "./redisServer.ts"
import { RedisTrouble, troubleWith, wordsOf } from "./trouble.ts"

/** Sends a message to a channel, or fails within 5 seconds. */
export type Publish = (channel: string, payload: string) => Effect.Effect<void, RedisTrouble>

/** On a connection of its own, closed with the scope. */
export const makePublisher = Effect.fnUntraced(function* (server: RedisServer) {
  // Made now, so that it is closed after whoever publishes.
  const scope = yield* Scope.fork(yield* Effect.scope)
  let opening: Deferred.Deferred<Link, RedisTrouble> | undefined
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
      const link: Link = { ...connection, scope: own, askedAt: undefined }
      current = link
      return link
    })
  )

  // One for all who wait, and by nobody's deadline but its own: whoever gives up leaves it to the rest.
  const link = Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      if (isClosed) return closed
      if (current !== undefined && isUsable(current)) return Effect.succeed(current)
      if (opening !== undefined) return restore(Deferred.await(opening))
      const made = Deferred.makeUnsafe<Link, RedisTrouble>()
      opening = made
      return Effect.interruptible(Effect.andThen(drop(current), open)).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            opening = undefined
            Deferred.doneUnsafe(made, isClosed ? closed : exit)
          })
        ),
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.andThen(restore(Deferred.await(made)))
      )
    })
  )

  const ask = (used: Link, channel: string, payload: string) =>
    used.ask(() => {
      used.askedAt ??= performance.now()
      return used.client.publish(channel, payload).finally(() => (used.askedAt = undefined))
    })

  const send = Effect.fnUntraced(function* (channel: string, payload: string) {
    const used = yield* link
    return yield* ask(used, channel, payload).pipe(
      Effect.catchTag("RedisTrouble", (error) =>
        // It broke before anybody knew. To publish twice is harmless.
        isUsable(used)
          ? Effect.fail(error)
          : Effect.flatMap(link, (next) => ask(next, channel, payload))
      )
    )
  })

  return (channel: string, payload: string) =>
    send(channel, payload).pipe(
      Effect.timeoutOrElse({
        duration: "5 seconds",
        orElse: () => Effect.fail(troubleWith(server, "no answer within 5 seconds"))
      }),
      Effect.asVoid
    )
})

type Link = Effect.Success<ReturnType<typeof connect>> & {
  readonly scope: Scope.Closeable
  /** When the first question was asked that has no answer yet. */
  askedAt: number | undefined
}

// Whoever asked may have stopped waiting before it was known that nothing answers.
const isUsable = (link: Link): boolean =>
  link.isUsable() && (link.askedAt === undefined || performance.now() - link.askedAt < 5000)

const closed = Exit.fail(new RedisTrouble({ reason: "The signal is closed" }))

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
