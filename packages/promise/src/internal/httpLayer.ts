/**
 * The layer of a store behind an Agent API.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { MessageStore } from "effect-cancellation"
import type { HttpOptions } from "../http.ts"
import { layerFetch } from "./fetch.ts"

export const httpLayer = async ({
  baseUrl,
  keepAlive,
  requestTimeout,
  token
}: HttpOptions): Promise<Layer.Layer<MessageStore>> => {
  const HttpMessageStore = await import("effect-cancellation-http/HttpMessageStore")
  return HttpMessageStore.layer({
    baseUrl,
    requestTimeout,
    keepAlive,
    token:
      typeof token === "string"
        ? Redacted.make(token)
        : Effect.tryPromise(async () => Redacted.make(await token()))
  }).pipe(Layer.provide(layerFetch))
}
