import { expect, test } from "vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { MessageStore, StopTarget } from "effect-cancellation"
import { createStops } from "effect-cancellation-promise"
import { http } from "effect-cancellation-promise/http"
import { byUser, startServer } from "../../http/test/support/agentFixture.ts"
import { storeSourceOf } from "../src/internal/source.ts"
import { refOf } from "../src/internal/ids.ts"
import { untilAborted } from "./laws.fixture.ts"

test("what it can do is told beforehand as the store says it", async () => {
  const source = storeSourceOf(http({ baseUrl: "http://127.0.0.1:1", token: "none" }))
  const supports = await Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(
        Effect.promise(() => source.load()),
        (layer) => Effect.map(Effect.provide(MessageStore, layer), (store) => store.supports)
      )
    )
  )
  expect(source.supports).toEqual(supports)
})

test("an address or a token that is missing is said at once", () => {
  expect(() => http({ baseUrl: "", token: "a" })).toThrow("needs a baseUrl")
  expect(() => http({ baseUrl: "http://a", token: "" })).toThrow("needs the token")
})

test("an agent without a database is stopped through its server", async () => {
  const scope = Scope.makeUnsafe()
  const server = await Effect.runPromise(Scope.provide(startServer(), scope))
  const message = { chatId: "chat", messageId: "message" }
  const asked: Array<string> = []
  const token = async () => {
    asked.push("default")
    return "default"
  }
  {
    await using stops = createStops({
      store: http({ baseUrl: server.url, token }),
      pollInterval: 100,
      log: () => {}
    })
    await using run = await stops.watch(message)
    const result = run.run(untilAborted, { whenStopped: "stopped" })
    const target = StopTarget.cases.Message.make({ ref: refOf(message) })
    await Effect.runPromise(server.store.requestStop(target, byUser))
    expect(await result).toBe("stopped")
    await expect(stops.stop(message)).rejects.toMatchObject({
      name: "StoreError",
      reason: "unsupported"
    })
  }
  expect(asked).toEqual(["default"])
  await Effect.runPromise(Scope.close(scope, Exit.void))
})
