/** The stand-in for the platform as a service, and the ports on it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { FetchHttpClient } from "effect/http"
import { UniquePlatform, type UniquePlatformSettings } from "../../src/index.ts"
import { type Platform, startPlatform } from "./PlatformServer.ts"

/** A platform that runs as long as the layer. */
export class LocalPlatform extends Context.Service<LocalPlatform, Platform>()(
  "test/LocalPlatform"
) {
  static readonly layer = Layer.effect(this, startPlatform())
}

/** The ports on a platform. */
export const onPlatform = (
  { apiKey, appId, baseUrl }: Pick<Platform, "apiKey" | "appId" | "baseUrl">,
  settings: UniquePlatformSettings = {}
) =>
  UniquePlatform.layer({
    apiKey: Redacted.make(apiKey),
    appId: Redacted.make(appId),
    baseUrl,
    ...settings
  }).pipe(Layer.provide(FetchHttpClient.layer))

/** The ports on a platform of their own, which is there too. */
export const layerPorts = (settings: UniquePlatformSettings = {}) =>
  Layer.unwrap(Effect.map(LocalPlatform, (platform) => onPlatform(platform, settings))).pipe(
    Layer.provideMerge(LocalPlatform.layer)
  )
