// Headless Chromium, in which each page has cookies of its own, as if each were another person's.
import { existsSync } from "node:fs"
import { afterAll, afterEach, assert, beforeAll, beforeEach } from "vitest"
import { type Browser, type BrowserContext, chromium } from "playwright-core"
import { type ChatPage, chatPage } from "./ChatPage.ts"

const executablePath = "/usr/bin/chromium"
const isRequired = process.env["REQUIRE_BROWSER"] === "1"

/** Without it the tests that want it are skipped. */
export const isMissing = !existsSync(executablePath)

const args = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync"
]

/**
 * Chromium for the tests of a file. After each its pages are closed, and none may have had a trouble
 * that was not expected.
 */
export const useChromium = () => {
  let browser: Browser | undefined
  let contexts: Array<BrowserContext> = []
  let troubles: Array<string> = []

  beforeAll(async () => {
    if (!isMissing) browser = await chromium.launch({ executablePath, args })
  })

  afterAll(() => browser?.close())

  beforeEach((context) => {
    if (!isMissing) return
    const reason = `there is no Chromium at ${executablePath}`
    if (isRequired) throw new Error(`${reason}, but REQUIRE_BROWSER=1 wants these tests run`)
    context.skip(reason)
  })

  afterEach(async () => {
    await Promise.all(contexts.map((context) => context.close()))
    const seen = troubles
    contexts = []
    troubles = []
    assert.deepStrictEqual(seen, [])
  })

  /** Opens a page of the demo in a context of its own; `expected` are troubles that are none. */
  const open = async (url: string, options: { readonly expected?: RegExp } = {}) => {
    if (browser === undefined) throw new Error("The browser was not started")
    const context = await browser.newContext()
    contexts.push(context)
    const saw = (trouble: string) => {
      if (options.expected?.test(trouble) !== true) troubles.push(trouble)
    }
    context.on("weberror", (error) => saw(String(error.error())))
    context.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") saw(message.text())
    })
    const chat: ChatPage = chatPage(await context.newPage())
    await chat.page.goto(url)
    return chat
  }

  return { open }
}
