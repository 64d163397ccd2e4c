// The first route of the README, on a real socket, with the page's `Chat` and a model that counts.
import { expect, test, vi } from "vitest"
import { modelsFrom, openPage, serveRoutes } from "./support/aiSdk.ts"
import { openaiFormat } from "./support/openaiFormat.ts"
import { endless, noUnhandledRejection, the } from "./support/providers.ts"
import { serveProvider } from "./support/providersServer.ts"

vi.spyOn(console, "warn").mockImplementation(() => {})
vi.spyOn(console, "info").mockImplementation(() => {})
const { DELETE, POST } = await import("../examples/ai-sdk.ts")
noUnhandledRejection()

test("the page stops by chat id: what came stays, and the model's connection is closed", async () => {
  await using model = await serveProvider(openaiFormat, (call) => endless(openaiFormat, call))
  modelsFrom(model.url)
  await using routes = await serveRoutes({ POST, DELETE })
  const page = openPage(routes.url, "one")
  const sent = page.chat.sendMessage({ text: "Where is the nearest station?" })
  await page.shows("w3 ")
  expect(await page.pressStop()).toMatchObject([{ phase: "requested", chatId: "one" }])
  await sent
  expect(page.text()).toMatch(/^w0 w1 w2 w3 /)
  expect(page.parts).toContain("abort")
  expect(page.parts).not.toContain("finish")
  expect(page.chat.status).toBe("ready")
  expect(await the(model).over).toBe(true)
  expect(model.exchanges.length).toBe(1)
  expect(model.violations()).toEqual([])
  expect([...page.errors, ...routes.errors]).toEqual([])
})

test("the next answer of the chat starts clean", async () => {
  await using model = await serveProvider(openaiFormat, (call) =>
    call.index === 0
      ? endless(openaiFormat, call)
      : [...openaiFormat.begin, openaiFormat.word("whole"), ...openaiFormat.end]
  )
  modelsFrom(model.url)
  await using routes = await serveRoutes({ POST, DELETE })
  const page = openPage(routes.url, "two")
  const sent = page.chat.sendMessage({ text: "hello" })
  await page.shows("w3 ")
  await page.pressStop()
  await sent
  await page.chat.sendMessage({ text: "and now?" })
  expect(page.text()).toBe("whole")
  expect(page.parts.at(-1)).toBe("finish")
  expect(page.chat.status).toBe("ready")
  expect(await the(model, 1).over).toBe(false)
})
