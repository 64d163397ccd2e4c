/**
 * One connection that never comes back by itself, and goes away without waiting for anybody.
 *
 * Who lets the client reconnect is not told that there was a gap, in which hints are lost.
 */
import { createClient } from "@redis/client"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type { RedisServer } from "./redisServer.ts"
import { type RedisTrouble, troubleWith } from "./trouble.ts"

/** Connects for as long as the scope lives; fails if that takes longer than 5 seconds. */
export const connect = Effect.fnUntraced(function* (server: RedisServer, name: string) {
  const broken = Deferred.makeUnsafe<never, RedisTrouble>()
  const abandoned = new AbortController()
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const made = createClient(optionsOf(server, abandoned.signal))
      // An 'error' that nobody listens to would end the process.
      made.on("error", (error: unknown) =>
        Deferred.doneUnsafe(broken, Exit.fail(troubleWith(server, error)))
      )
      return made
    }),
    (made) =>
      Effect.sync(() => {
        made.destroy()
        // The client forgets a socket that is still connecting.
        abandoned.abort()
      })
  )
  // The client leaves some questions without an answer when the connection breaks.
  const ask = <A>(command: () => Promise<A>): Effect.Effect<A, RedisTrouble> =>
    Effect.raceFirst(
      Effect.tryPromise({ try: command, catch: (error) => troubleWith(server, error) }),
      Deferred.await(broken)
    )

  yield* ask(() => client.connect()).pipe(
    Effect.timeoutOrElse({
      duration: "5 seconds",
      orElse: () => Effect.fail(troubleWith(server, "no answer within 5 seconds"))
    })
  )
  // For whoever looks at CLIENT LIST. It works without: not every user may do it.
  yield* ask(() => client.sendCommand(["CLIENT", "SETNAME", name])).pipe(
    Effect.timeout("5 seconds"),
    Effect.ignore
  )
  return {
    client,
    ask,
    broken: Deferred.await(broken),
    /** The client may call itself ready after an error that it does not outlive. */
    isUsable: () => client.isReady && !Deferred.isDoneUnsafe(broken)
  }
})

const optionsOf = (server: RedisServer, signal: AbortSignal) => {
  const { host, password, port, tls, username } = server
  const socket = { host, port, signal, reconnectStrategy: false as const, connectTimeout: 5000 }
  return {
    socket:
      tls === undefined
        ? socket
        : {
            ...socket,
            tls: true as const,
            ...(tls.ca === undefined ? {} : { ca: tls.ca }),
            ...(tls.cert === undefined ? {} : { cert: tls.cert }),
            ...(tls.key === undefined ? {} : { key: Redacted.value(tls.key) })
          },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Redacted.value(password) }),
    // The protocol that every server and proxy speaks, and no command beyond those that are needed:
    // each would be a right more for the user.
    RESP: 2 as const,
    disableClientInfo: true,
    maintNotifications: "disabled" as const,
    disableOfflineQueue: true
  }
}
