/**
 * The token of an agent: asked once for all who need it, and anew when the server refuses it.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { AgentTrouble } from "./agentTrouble.ts"

export type Token = Redacted.Redacted<string>

interface AgentTokens {
  /** The token to send. */
  readonly get: Effect.Effect<Token, AgentTrouble>
  /** The token to send in place of one that was refused. */
  readonly renew: (refused: Token) => Effect.Effect<Token, AgentTrouble>
}

export const makeAgentTokens = Effect.fnUntraced(function* (options: {
  readonly token: Token | Effect.Effect<Token, unknown>
  readonly timeout: Duration.Duration
}) {
  const { timeout, token } = options
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  let known: Token | undefined
  let asking: Deferred.Deferred<Token, AgentTrouble> | undefined

  const source: Effect.Effect<Token, AgentTrouble> = Redacted.isRedacted(token)
    ? Effect.suspend(() => sendable(token))
    : // What it fails with is not told: it may hold what the token is got with.
      Effect.catchCause(token, () =>
        Effect.fail(new AgentTrouble({ reason: "The token could not be obtained" }))
      ).pipe(
        Effect.flatMap(sendable),
        Effect.timeoutOrElse({
          duration: timeout,
          orElse: () =>
            Effect.fail(new AgentTrouble({ reason: "The token was not obtained in time" }))
        })
      )

  // A fiber of its own: one who waits for it may be interrupted, and the others go on.
  const ask = Effect.uninterruptibleMask((restore) => {
    if (asking !== undefined) return restore(Deferred.await(asking))
    const answer = Deferred.makeUnsafe<Token, AgentTrouble>()
    asking = answer
    return source.pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          asking = undefined
          if (Exit.isSuccess(exit)) known = exit.value
          Deferred.doneUnsafe(answer, exit)
        })
      ),
      Effect.updateContext((_: Context.Context<never>) => context),
      Effect.forkIn(scope),
      Effect.andThen(restore(Deferred.await(answer)))
    )
  })

  const tokens: AgentTokens = {
    get: Effect.suspend(() => (known === undefined ? ask : Effect.succeed(known))),
    renew: (refused) =>
      Effect.suspend(() => {
        if (Redacted.isRedacted(token)) {
          return Effect.fail(new AgentTrouble({ reason: "The server refuses the token (401)" }))
        }
        // Otherwise somebody else was refused first, and has a new one or waits for it.
        if (known === refused) known = undefined
        return tokens.get
      })
  }
  return tokens
})

// A header carries it as it is; `fetch` would quote one that it cannot send. A file often ends in a line break.
const sendable = (token: Token): Effect.Effect<Token, AgentTrouble> => {
  const text = Redacted.value(token).trim()
  return /^[\x21-\x7e]+$/.test(text)
    ? Effect.succeed(Redacted.make(text))
    : Effect.fail(
        new AgentTrouble({
          reason: "The token is empty, or has characters that a header cannot carry"
        })
      )
}
