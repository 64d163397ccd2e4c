/**
 * The token of an agent: asked once for all who need it, and anew when the server refuses it. Later and
 * later while it refuses the new ones too.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { elapsed } from "./agentClock.ts"
import { AgentTrouble } from "./agentTrouble.ts"

export type Token = Redacted.Redacted<string>

interface AgentTokens {
  /** The token to send. */
  readonly get: Effect.Effect<Token, AgentTrouble>
  /** The token to send in place of one that was refused. */
  readonly renew: (refused: Token) => Effect.Effect<Token, AgentTrouble>
  /** Notes that this token, which was asked for in place of another, was refused too. */
  readonly refused: (token: Token) => Effect.Effect<void>
  /** The token to send where this one was not enough; this one itself if there is no other. */
  readonly better: (insufficient: Token) => Effect.Effect<Token>
  /** Waits until another token than this one is sent. */
  readonly replaced: (token: Token) => Effect.Effect<void>
  /** Notes that a token was not refused. */
  readonly accepted: Effect.Effect<void>
}

/** In milliseconds. Longer would keep a lease from being renewed for a slip of whoever looks at tokens. */
const longestRest = 10_000

/** In milliseconds. A start that is refused is asked again every two seconds, and in parts at once. */
const betterRest = 1000

export const makeAgentTokens = Effect.fnUntraced(function* (options: {
  readonly token: Token | Effect.Effect<Token, unknown>
  readonly timeout: Duration.Duration
}) {
  const { timeout, token } = options
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  let known: Token | undefined
  let refusals = 0
  let restsUntil = Number.NEGATIVE_INFINITY
  let askedForBetter = Number.NEGATIVE_INFINITY
  let changed = Deferred.makeUnsafe<void>()
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
          const isOther =
            Exit.isSuccess(exit) && (known === undefined || !isSame(known, exit.value))
          if (isOther) known = exit.value
          Deferred.doneUnsafe(
            answer,
            known === undefined || Exit.isFailure(exit) ? exit : Exit.succeed(known)
          )
          Deferred.doneUnsafe(changed, Exit.void)
          changed = Deferred.makeUnsafe()
        })
      ),
      Effect.updateContext((_: Context.Context<never>) => context),
      Effect.forkIn(scope),
      Effect.andThen(restore(Deferred.await(answer)))
    )
  })

  const tokens: AgentTokens = {
    get: Effect.flatMap(elapsed, (now) => {
      if (now < restsUntil) return Effect.fail(allRefused)
      return known === undefined ? ask : Effect.succeed(known)
    }),
    renew: Effect.fnUntraced(function* (refused) {
      if (Redacted.isRedacted(token)) {
        return yield* new AgentTrouble({ reason: "The server refuses the token (401)" })
      }
      if (refusals > 0) yield* tokens.refused(refused)
      // Otherwise somebody else was refused first, and has a new one or waits for it.
      if (known === refused) known = undefined
      return yield* tokens.get
    }),
    refused: (token) =>
      Effect.map(elapsed, (now) => {
        // One of many who were refused with the same one.
        if (known !== token) return
        known = undefined
        restsUntil = now + Math.min(1000 * 2 ** refusals++, longestRest)
      }),
    better: Effect.fnUntraced(function* (insufficient) {
      if (Redacted.isRedacted(token)) return insufficient
      if (known !== undefined && known !== insufficient) return known
      const now = yield* elapsed
      if (asking === undefined) {
        if (now - askedForBetter < betterRest) return insufficient
        askedForBetter = now
      }
      // The one there is stays in use meanwhile: for the rest it is good.
      return yield* Effect.orElseSucceed(ask, () => insufficient)
    }),
    replaced: (token) =>
      Effect.suspend(() =>
        known === undefined || isSame(known, token)
          ? Effect.andThen(Deferred.await(changed), tokens.replaced(token))
          : Effect.void
      ),
    accepted: Effect.sync(() => {
      refusals = 0
    })
  }
  return tokens
})

const isSame = (one: Token, other: Token): boolean => Redacted.value(one) === Redacted.value(other)

const allRefused = new AgentTrouble({
  reason: "The server refuses every new token (401); one is asked for again later"
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
