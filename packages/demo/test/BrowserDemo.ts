// A server of the demo for the browser tests of a file.
import { afterAll, beforeAll } from "vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { isMissing } from "./Chromium.ts"
import { type Environment, type Server, startServer } from "./DemoProcess.ts"
import { sqlite } from "./places.ts"

/** Starts it before the tests, if there is a browser for them. */
export const useDemo = (options: { readonly speed: number; readonly env?: Environment }) => {
  let scope: Scope.Closeable | undefined
  let started: { readonly env: Environment; readonly server: Server } | undefined

  beforeAll(async () => {
    if (isMissing) return
    scope = await Effect.runPromise(Scope.make())
    const start = Effect.gen(function* () {
      const env = { ...(yield* sqlite), ...options.env }
      return { env, server: yield* startServer(env, options) }
    })
    started = await Effect.runPromise(Scope.provide(start, scope))
  })

  afterAll(async () => {
    if (scope !== undefined) await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  return () => {
    if (started === undefined) throw new Error("The server was not started")
    return started
  }
}
