/**
 * `fetch`, for what asks with a token.
 */
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"

/** It follows no redirect: one would take what is sent, and all that it is sent with, to another host. */
export const layerFetch = FetchHttpClient.layer.pipe(
  Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" }))
)
