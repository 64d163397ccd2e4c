import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { expect, test } from "vitest"
import { MessageStore } from "effect-cancellation"
import { createStops } from "effect-cancellation-promise"
import { unique } from "effect-cancellation-promise/unique"
import { startPlatform } from "../../unique/test/support/PlatformServer.ts"
import { storeSourceOf } from "../src/internal/source.ts"
import { untilAborted } from "./laws.fixture.ts"

test("what it can do is told beforehand as the store says it", async () => {
  const source = storeSourceOf(unique({ apiKey: "a", appId: "b", baseUrl: "http://127.0.0.1:1" }))
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

test("a key or an app that is missing is said at once, without the other", () => {
  expect(() => unique({ apiKey: "", appId: "secret" })).toThrow(
    "unique() needs the apiKey and the appId of the platform."
  )
  expect(() => unique({ apiKey: "secret", appId: undefined })).toThrow(/^(?!.*secret)/)
})

test("a redirect is not followed: nothing of the app goes to another host", async () => {
  const scope = Scope.makeUnsafe()
  const [platform, other] = await Effect.runPromise(
    Scope.provide(Effect.all([startPlatform(), startPlatform()]), scope)
  )
  const { id: messageId } = platform.add({ companyId: "company", userId: "user", chatId: "chat" })
  const message = { companyId: "company", userId: "user", chatId: "chat", messageId }
  const location = other.baseUrl.replace("127.0.0.1", "localhost")
  platform.respond(() => ({ status: 307, headers: { location }, body: "" }))
  {
    await using stops = createStops({ store: unique(platform), log: () => {} })
    await expect(stops.receipts(message)).rejects.toMatchObject({ name: "StoreError" })
  }
  expect(platform.requests.length).toBeGreaterThan(0)
  expect(other.requests).toEqual([])
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

test("the Stop of the platform's page ends a run, and its receipt is derived from the message", async () => {
  const scope = Scope.makeUnsafe()
  const platform = await Effect.runPromise(Scope.provide(startPlatform(), scope))
  const where = { companyId: "company", userId: "user", chatId: "chat" }
  const { id: messageId } = platform.add(where)
  const message = { ...where, messageId }
  {
    await using stops = createStops({
      store: unique(platform),
      pollInterval: 50,
      log: () => {}
    })
    await using run = await stops.watch(message)
    const result = run.run(untilAborted, { whenStopped: "stopped" })
    platform.pressStop(where.chatId)
    expect(await result).toBe("stopped")
    await expect(stops.receipts(message)).resolves.toMatchObject([{ phase: "requested" }])
    await expect(stops.stop(message)).rejects.toMatchObject({
      name: "StoreError",
      reason: "unsupported"
    })
  }
  await Effect.runPromise(Scope.close(scope, Exit.void))
})
