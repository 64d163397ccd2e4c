/**
 * No request is sent before the time until which the server wants to be left alone.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import { elapsed } from "./agentClock.ts"

export interface AgentGate {
  /** Waits until a request may be sent. */
  readonly pass: Effect.Effect<void>
  /** Looks at an answer: one of 429 or 503 may close the gate. */
  readonly saw: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<void>
}

/** In milliseconds. Longer would leave agents blind for no more than a slip in a proxy. */
const longest = 10_000

export const makeAgentGate = (): AgentGate => {
  let opensAt = Number.NEGATIVE_INFINITY

  const pass: Effect.Effect<void> = Effect.flatMap(elapsed, (now) =>
    // Again after it, since an answer that came meanwhile may have closed it for longer.
    now >= opensAt ? Effect.void : Effect.andThen(Effect.sleep(opensAt - now), pass)
  )

  return {
    pass,
    saw: ({ headers, status }) =>
      status !== 429 && status !== 503
        ? Effect.void
        : Effect.gen(function* () {
            const wallTime = yield* Clock.currentTimeMillis
            const pause = pauseOf(headers["retry-after"], headers["date"], wallTime)
            opensAt = Math.max(opensAt, (yield* elapsed) + Math.min(pause, longest))
          })
  }
}

// Seconds, or a date, which is the server's own: its clock may not be this one's.
const pauseOf = (retryAfter: string | undefined, date: string | undefined, now: number): number => {
  const text = retryAfter?.trim() ?? ""
  if (/^\d+$/.test(text)) return Number(text) * 1000
  const until = Date.parse(text)
  if (Number.isNaN(until)) return 0
  const serverNow = Date.parse(date ?? "")
  return Math.max(0, until - (Number.isNaN(serverNow) ? now : serverNow))
}
