/**
 * What is wrong with Redis, in words that may be logged: never with a password.
 */
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { RedisServer } from "./redisServer.ts"

/** Redis does not do what is asked of it. */
export class RedisTrouble extends Schema.TaggedError<RedisTrouble>(
  "effect-cancellation-redis/RedisTrouble"
)("RedisTrouble", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** Keeps the words of an error and nothing else of it. */
export const troubleWith = (server: RedisServer, error: unknown): RedisTrouble =>
  new RedisTrouble({ reason: `Redis at ${placeOf(server)}: ${wordsOf(error, server.password)}` })

/** The words of an error of somebody else's connection. */
export const wordsOf = (error: unknown, password?: Redacted.Redacted): string => {
  // Node says why none of several addresses answered in the errors of each alone.
  const told = error instanceof AggregateError && error.message === "" ? error.errors[0] : error
  const words = told instanceof Error ? told.message || told.name : String(told)
  const secret = password === undefined ? "" : Redacted.value(password)
  // A server that knows no AUTH, or another one, quotes what was said to it, cut where it is long.
  const plain = words.replace(/,? with args beginning with:.*$/s, "")
  return (secret === "" ? plain : plain.replaceAll(secret, "<redacted>"))
    .trim()
    .replaceAll(/\s+/g, " ")
    .slice(0, 500)
}

const placeOf = ({ host, port }: RedisServer): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
