/**
 * The layer of a store on the Unique platform.
 */
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { MessageStore } from "effect-cancellation"
import type { UniqueOptions } from "../unique.ts"
import { layerFetch } from "./fetch.ts"

export const uniqueLayer = async ({
  apiKey,
  appId,
  ...options
}: UniqueOptions & { readonly apiKey: string; readonly appId: string }): Promise<
  Layer.Layer<MessageStore>
> => {
  const { UniquePlatform } = await import("effect-cancellation-unique")
  return UniquePlatform.layer({
    ...options,
    apiKey: Redacted.make(apiKey),
    appId: Redacted.make(appId)
  }).pipe(Layer.provide(layerFetch))
}
