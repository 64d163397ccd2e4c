/**
 * Nothing is sent for whom the platform wants to be left alone: a company that has asked too much, or
 * a chat that this app may not see. Others are not held up by it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import { UniqueError, UniqueErrorReason } from "../UniqueError.ts"
import { companyOf, type Place, placeKey } from "./place.ts"

export interface Pauses {
  /** Fails while there is a pause for the place. */
  readonly pass: (place: Place) => Effect.Effect<void, UniqueError>
  /** Looks at an answer: it may begin a pause, or end one that is over. */
  readonly saw: (
    place: Place,
    response: Pick<HttpClientResponse.HttpClientResponse, "status" | "headers">
  ) => Effect.Effect<void>
}

interface Pause {
  opensAt: number
  /** Refusals running, each after the pause of the one before. */
  refusals: number
  status: number
}

// Longer would leave agents unstoppable for no more than a slip in a proxy.
const longestWanted = 60_000
// Where nobody says for how long.
const shortest = 1000
const longest = 30_000

export const makePauses = (): Pauses => {
  const pauses = new Map<string, Pause>()

  const refuse = (key: string, status: number, wanted: number | undefined, now: number): void => {
    // Chats that nobody asks for any more never get the success that ends theirs.
    for (const [other, { opensAt }] of pauses) {
      if (now - opensAt > longestWanted) pauses.delete(other)
    }
    const pause = pauses.get(key) ?? { opensAt: now, refusals: 0, status }
    pauses.set(key, pause)
    // What was sent before the pause says nothing new.
    if (now >= pause.opensAt) pause.refusals++
    const millis = wanted ?? Math.min(shortest * 2 ** (pause.refusals - 1), longest)
    pause.opensAt = Math.max(pause.opensAt, now + millis)
    pause.status = status
  }

  return {
    pass: (place) =>
      Effect.flatMap(elapsed, (now) => {
        for (const key of [companyOf(place), placeKey(place)]) {
          const pause = pauses.get(key)
          if (pause !== undefined && now < pause.opensAt) {
            return Effect.fail(inPause(pause, pause.opensAt - now))
          }
        }
        return Effect.void
      }),

    saw: (place, { headers, status }) =>
      Effect.gen(function* () {
        const now = yield* elapsed
        const wanted = wantedOf(headers, yield* Clock.currentTimeMillis)
        if (status === 429 || status === 401 || (status === 503 && wanted !== undefined)) {
          return refuse(companyOf(place), status, wanted, now)
        }
        if (status === 403) return refuse(placeKey(place), status, undefined, now)
        if (status >= 300) return
        for (const key of [companyOf(place), placeKey(place)]) {
          const pause = pauses.get(key)
          if (pause !== undefined && now >= pause.opensAt) pauses.delete(key)
        }
      })
  }
}

const inPause = ({ status }: Pause, millis: number): UniqueError =>
  new UniqueError({
    reason: reasonOf(status),
    status,
    detail: `Not asked: the platform answered ${status}, and is asked again in ${Duration.format(Duration.millis(Math.ceil(millis)))}`
  })

const reasonOf = (status: number): UniqueErrorReason => {
  const { cases } = UniqueErrorReason
  if (status === 401) return cases.AuthenticationError.make({})
  return status === 403 ? cases.AuthorizationError.make({}) : cases.RateLimited.make({})
}

// Seconds, or a date, which is the platform's own: its clock may not be this one's.
const wantedOf = (
  headers: HttpClientResponse.HttpClientResponse["headers"],
  now: number
): number | undefined => {
  const text = headers["retry-after"]?.trim() ?? ""
  // Anything else is a date to `Date.parse` too: "-5" is one of 2001.
  const until = text.endsWith("GMT") ? Date.parse(text) : Number.NaN
  const serverNow = Date.parse(headers["date"] ?? "")
  const millis = /^\d+$/.test(text)
    ? Number(text) * 1000
    : until - (Number.isNaN(serverNow) ? now : serverNow)
  return Number.isNaN(millis) ? undefined : Math.min(Math.max(0, millis), longestWanted)
}

/** In milliseconds, of a clock that nobody sets. */
const elapsed = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
