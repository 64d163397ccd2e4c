// Tools of the AI SDK under a Stop; the tool waits for a server of its own, which sees it leave.
import { afterAll, expect, test, vi } from "vitest"
import { modelsFrom, openPage, serveRoutes, textOf } from "./support/aiSdk.ts"
import { openaiCall, openaiFormat } from "./support/openaiFormat.ts"
import { endless, noUnhandledRejection, silent, the } from "./support/providers.ts"
import { type Exchange, serveProvider } from "./support/providersServer.ts"

vi.spyOn(console, "warn").mockImplementation(() => {})
vi.spyOn(console, "info").mockImplementation(() => {})
noUnhandledRejection()

const service = await serveProvider(openaiFormat, (call) =>
  call.index === 0 ? silent(openaiFormat, call) : ["Central"]
)
vi.stubEnv("STATIONS_URL", service.url)
const { chats, DELETE, POST, stops } = await import("../examples/ai-sdk-tools.ts")
afterAll(async () => {
  await stops.close()
  await service[Symbol.asyncDispose]()
})

const [begin = "", ...call] = openaiCall("nearest")
const callAfterWords = [begin, openaiFormat.word("Let me look. "), ...call]
const whole = [...openaiFormat.begin, openaiFormat.word("It is Central."), ...openaiFormat.end]
const outcomes = async (chatId: string) =>
  (await stops.receipts({ chatId })).map((receipt) =>
    "ended" in receipt ? [receipt.phase, receipt.ended?.outcome] : [receipt.phase]
  )
const saved = (id: string) => (chats.get(id) ?? []).map(textOf).at(-1)

test("a stop ends the tool under way, no step follows, and the next turn is a whole one", async () => {
  await using model = await serveProvider(openaiFormat, ({ index }) =>
    index < 2 ? callAfterWords : whole
  )
  modelsFrom(model.url)
  await using routes = await serveRoutes({ POST, DELETE })
  const page = openPage(routes.url, "tool")
  const sent = page.chat.sendMessage({ text: "Where is the nearest station?" })
  await service.arrived
  await page.shows("Let me look. ")
  expect(await page.pressStop()).toMatchObject([{ phase: "requested" }])
  await sent
  expect(await the(service).over).toBe(true)
  expect(model.exchanges.length).toBe(1)
  expect(page.text()).toBe("Let me look. ")
  expect(page.parts).toContain("abort")
  expect(page.chat.status).toBe("ready")
  await expect.poll(() => outcomes("tool")).toEqual([["ended", "stopped"]])
  expect(saved("tool")).toBe("Let me look. ")

  await page.chat.sendMessage({ text: "Look again." })
  expect(page.text()).toBe("Let me look. It is Central.")
  expect(page.parts.at(-1)).toBe("finish")
  await expect.poll(() => outcomes("tool")).toContainEqual(["none", "completed"])
  expect(saved("tool")).toBe("Let me look. It is Central.")
  const texts = chats.get("tool")?.map((message) => `${message.role}: ${textOf(message)}`)
  expect(texts).toEqual([
    "user: Where is the nearest station?",
    "assistant: Let me look. ",
    "user: Look again.",
    "assistant: Let me look. It is Central."
  ])
  expect(model.exchanges.length).toBe(3)
  expect([...model.violations(), ...page.errors, ...routes.errors]).toEqual([])
})

test("a stop among the words keeps and saves them", async () => {
  await using model = await serveProvider(openaiFormat, (exchange: Exchange) =>
    endless(openaiFormat, exchange)
  )
  modelsFrom(model.url)
  await using routes = await serveRoutes({ POST, DELETE })
  const page = openPage(routes.url, "words")
  const sent = page.chat.sendMessage({ text: "Where is the nearest station?" })
  await page.shows("w3 ")
  await page.pressStop()
  await sent
  expect(await the(model).over).toBe(true)
  await expect.poll(() => outcomes("words")).toEqual([["ended", "stopped"]])
  const [receipt] = await stops.receipts({ chatId: "words" })
  expect(page.chat.messages.at(-1)?.id).toBe(receipt?.messageId)
  expect(chats.get("words")?.at(-1)?.id).toBe(receipt?.messageId)
  expect(page.text()).toMatch(/^w0 w1 w2 w3 /)
  expect(saved("words")).toBe(page.text())
})
