/**
 * The runs that agents are for, as each last showed it: a stream of hints outlives what was granted
 * when it began.
 */
import * as Effect from "effect/Effect"
import { HttpServerRequest } from "effect/http"
import { Agent } from "../CurrentAgent.ts"
import { type IsWithin, withinOf } from "./agentScope.ts"

interface Grant {
  isWithin: IsWithin
  streams: number
}

export const makeAgentGrants = () => {
  // By credentials, and not by agent: one may have several tokens at a time, each for other runs.
  const followed = new Map<string, Grant>()

  const shown = Effect.gen(function* () {
    const scope = yield* Agent
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const isWithin = withinOf(scope)
    const key =
      scope._tag === "Runs" ? JSON.stringify([scope.agent, headers["authorization"]]) : undefined
    const grant = key === undefined ? undefined : followed.get(key)
    if (grant !== undefined) grant.isWithin = isWithin
    return { key, isWithin }
  })

  return {
    /** Whether a run is of the agent that asks now. Its streams of hints are told so too. */
    isWithin: Effect.map(shown, ({ isWithin }) => isWithin),
    /** The same for a stream of hints: whether a run is of the agent by then. */
    following: Effect.map(shown, ({ isWithin, key }) => {
      if (key === undefined) return Effect.succeed(isWithin)
      return Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => {
            const grant = followed.get(key) ?? { isWithin, streams: 0 }
            grant.streams++
            followed.set(key, grant)
            return grant
          }),
          (grant) =>
            Effect.sync(() => {
              if (--grant.streams === 0) followed.delete(key)
            })
        ),
        (grant): IsWithin =>
          (run) =>
            grant.isWithin(run)
      )
    })
  }
}
