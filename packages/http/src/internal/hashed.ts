/**
 * Short names that are the same in every process of a server.
 */
import * as Effect from "effect/Effect"
import { Base64Url } from "effect/encoding"

const encoder = new TextEncoder()

/** 16 characters of SHA-256: enough that nobody finds another text of the same hash. */
export const hashed = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", encoder.encode(text))),
    (digest) => Base64Url.encode(new Uint8Array(digest, 0, 12))
  )
