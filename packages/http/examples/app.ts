// What an application has beside its web server: its agents, its people, and the Stop API as a
// function from Request to Response, which the examples of web servers mount.
import { Effect, Layer, ManagedRuntime } from "effect"
import { CancellationWatcher, MessageRef, MessageRepo } from "effect-cancellation"
import { CurrentActor } from "effect-cancellation-http/CurrentActor"
import { Unauthenticated } from "effect-cancellation-http/Problem"
import { StopPolicy } from "effect-cancellation-http/StopPolicy"
import * as StopServer from "effect-cancellation-http/StopServer"

// One repo, for the agents and for the Stop API. In memory for trying it; PostgreSQL and SQLite are
// in effect-cancellation-sql.
const runtime = ManagedRuntime.make(MessageRepo.layerMemory())

const sessions = new Map([
  ["ada-1815", "ada"],
  ["bob-1845", "bob"]
])

const Actors = CurrentActor.layer(({ cookies }) => {
  const userId = sessions.get(cookies["session"] ?? "")
  return userId === undefined ? Effect.fail(new Unauthenticated()) : Effect.succeed({ userId })
})

export const stops = StopServer.toWebHandler(
  { allowedOrigins: ["http://localhost:3000"], prefix: "/api" },
  Layer.mergeAll(Actors, StopPolicy.layerOwn(), Layer.effectContext(runtime.contextEffect))
)

/** Lets an agent write an answer, until it is done or somebody presses Stop. */
export const startAgent = (ids: { userId: string; chatId: string; messageId: string }): void => {
  const write = Effect.sleep("10 minutes")
  runtime.runFork(
    write.pipe(
      CancellationWatcher.runWithCancellation({ cancelResult: undefined }),
      Effect.provide(CancellationWatcher.layer({ ref: MessageRef.of(ids) }))
    )
  )
}

/** Ends agents and streams, before the process does. */
export const close = async (): Promise<void> => {
  await stops.dispose()
  await runtime.dispose()
}
