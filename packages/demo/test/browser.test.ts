// What a person does with the page, in headless Chromium.
import { existsSync } from "node:fs"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type Browser, chromium, type Page } from "playwright-core"
import { type Environment, run, type Server, startServer } from "./DemoProcess.ts"
import { sqlite } from "./places.ts"

const executablePath = "/usr/bin/chromium"
const isMissing = !existsSync(executablePath)
const isRequired = process.env["REQUIRE_BROWSER"] === "1"

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

const question = "How do you stop an agent?"
const answers = ".message.assistant"
const lastAnswer = `${answers}:last-child`
const words = `${lastAnswer} .status .words`

describe("the page in Chromium", { timeout: 120_000 }, () => {
  let scope: Scope.Closeable
  let env: Environment
  let server: Server
  let browser: Browser | undefined
  let page: Page
  let troubles: Array<string>
  let isOutage = false

  beforeAll(async () => {
    if (isMissing) return
    scope = await Effect.runPromise(Scope.make())
    env = await Effect.runPromise(Scope.provide(sqlite, scope))
    server = await Effect.runPromise(Scope.provide(startServer(env, { speed: 2 }), scope))
    browser = await chromium.launch({ executablePath, args })
  })

  afterAll(async () => {
    await browser?.close()
    if (!isMissing) await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  beforeEach(async (context) => {
    if (browser === undefined) {
      const reason = `there is no Chromium at ${executablePath}`
      if (isRequired) throw new Error(`${reason}, but REQUIRE_BROWSER=1 wants these tests run`)
      return context.skip(reason)
    }
    page = await browser.newPage()
    troubles = []
    isOutage = false
    page.on("pageerror", (error) => troubles.push(String(error)))
    page.on("console", (message) => {
      const isTrouble = message.type() === "error" || message.type() === "warning"
      if (isTrouble && !(isOutage && message.text().includes("net::ERR_"))) {
        troubles.push(message.text())
      }
    })
    await page.goto(server.url)
    await page.waitForSelector("#welcome:not([hidden])")
  })

  afterEach(async () => {
    if (browser === undefined) return
    await page.close()
    assert.deepStrictEqual(troubles, [])
  })

  const enter = async (text: string) => {
    await page.fill("#text", text)
    await page.keyboard.press("Enter")
  }

  /** Sends, and waits until the answer is there, though it may have no word yet. */
  const send = async (text = question) => {
    const before = await page.locator(answers).count()
    await enter(text)
    await page.locator(answers).nth(before).waitFor()
  }

  const textOf = (selector: string) => page.locator(selector).innerText()

  /** Waits until the answer has grown twice, so that its words can be seen to arrive. */
  const watchWords = async () => {
    for (const length of [5, 25]) {
      await page.waitForFunction(
        ([selector, least]) => (document.querySelector(selector)?.textContent?.length ?? 0) > least,
        [`${lastAnswer} .body`, length] as const
      )
    }
  }

  const untilWords = (pattern: RegExp) =>
    page.waitForFunction(
      ([selector, source]) =>
        new RegExp(source).test(document.querySelector(selector)?.textContent ?? ""),
      [words, pattern.source] as const
    )

  /** What the person sees of the answers, and what would show that something was still written. */
  const answerTexts = () => page.locator(`${answers} .body`).allInnerTexts()

  const untilButton = (id: "send" | "stop") => page.waitForSelector(`#${id}:not([hidden])`)

  it("sends, streams, stops, keeps the text, survives a reload, and sends again", async () => {
    await send()
    await watchWords()
    await page.click("#stop")
    await untilWords(/^Stopped after \d+ ms$/)
    await untilButton("send")
    const [stopped] = await answerTexts()
    const status = await textOf(words)

    // Another answer comes and grows; the stopped one does not.
    await send("And another one?")
    await watchWords()
    assert.strictEqual((await answerTexts())[0], stopped)
    await page.keyboard.press("Escape")
    await untilWords(/^Stopped after/)

    const before = await page.locator("#messages").innerText()
    await page.reload()
    await page.waitForSelector(lastAnswer)
    assert.strictEqual(await page.locator("#messages").innerText(), before)
    assert.strictEqual(await textOf(`${answers} .status .words >> nth=0`), status)

    await send("After the reload?")
    await watchWords()
    assert.strictEqual((await answerTexts())[0], stopped)
    await page.click("#stop")
    await untilWords(/^Stopped after/)
  })

  it("shows an answer that still runs after a reload, and goes on", async () => {
    await send()
    await watchWords()
    await page.reload()
    await page.waitForSelector(`${lastAnswer}[data-state=running]`)
    const length = (await textOf(`${lastAnswer} .body`)).length
    await page.waitForFunction(
      ([selector, least]) =>
        (document.querySelector(selector)?.textContent?.length ?? 0) > least + 20,
      [`${lastAnswer} .body`, length] as const
    )
    await page.click("#stop")
    await untilWords(/^Stopped after/)
  })

  it("stops before the first word", async () => {
    await enter(question)
    // At once, without waiting until the button holds still.
    await page.dispatchEvent("#stop", "click")
    await untilWords(/^Stopped after \d+ ms$/)
    assert.deepStrictEqual(await answerTexts(), [""])
    await send("Next")
    await watchWords()
    assert.strictEqual((await answerTexts())[0], "")
  })

  it("takes Stop twice as once, and a double click sends nothing", async () => {
    await send()
    await watchWords()
    await page.fill("#text", "Not to be sent by a second click")
    await page.dblclick("#stop")
    // A slow double click meets the button that took the place of Stop.
    await page.evaluate(
      () =>
        new Promise<void>((resolve) => {
          const look = () => {
            const button = document.querySelector<HTMLButtonElement>("#send:not([hidden])")
            button?.click()
            if (button === null) setTimeout(look, 1)
            else resolve()
          }
          look()
        })
    )
    await untilWords(/^Stopped after/)
    await page.keyboard.press("Escape")
    await untilButton("send")
    assert.strictEqual(await page.locator(".message").count(), 2)
    assert.isTrue(await page.locator("#problem").isHidden())
    assert.strictEqual(await page.inputValue("#text"), "Not to be sent by a second click")
  })

  it("takes a double click on a suggestion as one", async () => {
    await page.dblclick("#suggestions button >> nth=0")
    await watchWords()
    await page.keyboard.press("Escape")
    await untilWords(/^Stopped after/)
    assert.strictEqual(await page.locator(".message").count(), 2)
    assert.isTrue(await page.locator("#problem").isHidden())
  })

  it("takes a double click on Send or on Regenerate as one", async () => {
    await page.fill("#text", question)
    await page.dblclick("#send")
    await watchWords()
    assert.strictEqual(await page.getAttribute(lastAnswer, "data-state"), "running")
    await page.click("#stop")
    await untilWords(/^Stopped after/)
    await page.dblclick(`${lastAnswer} .again`)
    await page.waitForSelector(`${lastAnswer}[data-state=running]`)
    await watchWords()
    assert.strictEqual(await page.locator(".message").count(), 2)
    assert.isTrue(await page.locator("#problem").isHidden())
  })

  it("stops an answer that is written anew before the server has said so", async () => {
    await send()
    await watchWords()
    await page.keyboard.press("Escape")
    await untilWords(/^Stopped after/)
    const first = await page.locator(lastAnswer).elementHandle()
    await page.evaluate(() => {
      document.querySelector<HTMLButtonElement>(".again")?.click()
      document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }))
    })
    await page.waitForFunction(
      ([message, selector]) =>
        message?.querySelector(".body")?.textContent === "" &&
        document.querySelector(selector)?.textContent?.startsWith("Stopped after"),
      [first, words] as const
    )
  })

  it("opens a chat, whatever the address names", async () => {
    for (const hash of ["%E0%A4%A", "a'b", "%E2%80%A8"]) {
      await page.goto("about:blank")
      await page.goto(`${server.url}/#${hash}`)
      await page.waitForSelector("#welcome:not([hidden])")
      assert.match(new URL(page.url()).hash, /^#chat-[a-z0-9]+$/)
    }
    await send()
    await watchWords()
  })

  it("keeps a text that is too long, says so, and sends it when it is shortened", async () => {
    await page.fill("#text", "x".repeat(20_000))
    assert.match(await textOf("#too-long"), /20,000 characters; a message has 4,000 at most/)
    assert.isTrue(await page.locator("#send").isDisabled())
    await page.keyboard.press("Enter")
    assert.strictEqual((await page.inputValue("#text")).length, 20_000)
    await send("x".repeat(4000))
    assert.isTrue(await page.locator("#too-long").isHidden())
  })

  it("lets a text that turns its direction turn itself only", async () => {
    await send("\u202eabc\u2067")
    await watchWords()
    const directions = await page
      .locator(".message .text")
      .evaluateAll((texts) => texts.map((text) => getComputedStyle(text).unicodeBidi))
    assert.isTrue(directions.every((one) => one === "isolate"))
    await page.fill("#text", "\u202e\u200b")
    assert.isTrue(await page.locator("#send").isDisabled())
  })

  it("stops by Escape, and Shift+Enter begins a new line", async () => {
    await page.fill("#text", "One")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("Two")
    await page.keyboard.press("Enter")
    await watchWords()
    await page.keyboard.press("Escape")
    await untilWords(/^Stopped after/)
    assert.strictEqual(await textOf(".message.user .text"), "One\nTwo")
  })

  it("stops a tool, and shows it as stopped", async () => {
    await send()
    await page.waitForSelector(".tool.running")
    await page.click("#stop")
    await untilWords(/^Stopped after/)
    assert.match(await textOf(".tool.stopped"), /^Searching for .*stopped$/s)
  })

  it("regenerates in the same message after a stop", async () => {
    await send()
    await watchWords()
    await page.click("#stop")
    await untilWords(/^Stopped after/)
    const name = await textOf(`${lastAnswer} .name`)
    await page.click(`${lastAnswer} .again`)
    await page.waitForSelector(`${lastAnswer}[data-state=running]`)
    await page.waitForSelector(`${lastAnswer}[data-state=completed]`, { timeout: 20_000 })
    assert.strictEqual(await page.locator(answers).count(), 1)
    assert.strictEqual(await textOf(`${lastAnswer} .name`), name)
    assert.include(await textOf(`${lastAnswer} .body`), "Here is what happens when you press Stop.")
    assert.strictEqual(await textOf("#announcer"), "The answer is finished.")
  })

  it("shows a stop from a second process", async () => {
    await send()
    await watchWords()
    const name = await textOf(`${lastAnswer} .name`)
    const stop = await Effect.runPromise(run("stop.ts", [name], env))
    const millis = /in (\d+) ms/.exec(stop.stdout)?.[1]
    await untilWords(/^Stopped after/)
    assert.strictEqual(await textOf(words), `Stopped after ${millis} ms`)
  })

  it("says that the server is gone, reconnects, and tells what became of the answer", async () => {
    const own = await Effect.runPromise(Scope.make())
    // The browser itself reports the connections that fail.
    isOutage = true
    try {
      const first = await Effect.runPromise(Scope.provide(startServer(env), own))
      await page.goto(first.url)
      await page.waitForSelector("#welcome:not([hidden])")
      await send()
      await watchWords()
      await Effect.runPromise(first.signal("SIGINT"))
      await page.waitForSelector("#connection:not([hidden])")
      await untilWords(/^Interrupted by shutdown$/)
      await Effect.runPromise(first.ended)
      await Effect.runPromise(Scope.provide(startServer(env, { port: first.port }), own))
      await page.waitForSelector("#connection", { state: "hidden" })
      assert.strictEqual(await textOf(words), "Interrupted by shutdown")
    } finally {
      await Effect.runPromise(Scope.close(own, Exit.void))
    }
  })

  it("says of an answer whose server was killed that it is silent, and then lost", async () => {
    const own = await Effect.runPromise(Scope.make())
    isOutage = true
    try {
      const first = await Effect.runPromise(Scope.provide(startServer(env), own))
      await page.goto(first.url)
      await page.waitForSelector("#welcome:not([hidden])")
      await send()
      await watchWords()
      await Effect.runPromise(first.signal("SIGKILL"))
      await untilWords(/^No sign of life for [2-9] s$/)
      await Effect.runPromise(first.ended)
      await Effect.runPromise(Scope.provide(startServer(env, { port: first.port }), own))
      await untilWords(/^Lost: its process died or was cut off$/)
      assert.isTrue(await page.locator("#connection").isHidden())
    } finally {
      await Effect.runPromise(Scope.close(own, Exit.void))
    }
  })

  it("counts on when the server is back without its database, until it tells more", async () => {
    // The server's events, told by the test.
    await page.addInitScript(`
      globalThis.EventSource = class extends EventTarget {
        constructor() { super(); globalThis.events = this }
        close() {}
        tell(event) { this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(event) })) }
      }`)
    const tell = (event: Readonly<Record<string, unknown>>) =>
      page.evaluate(`events.tell(${JSON.stringify(event)})`)
    const chat = {
      _tag: "Chat",
      messages: [
        { messageId: "m", role: "assistant", text: "", tools: [], runId: "r", state: "running" }
      ]
    }
    await page.reload()
    await tell(chat)
    await untilWords(/^Writing…$/)
    await page.evaluate(`globalThis.lost = events; lost.dispatchEvent(new Event("error"))`)
    await untilWords(/^No sign of life for [1-9] s$/)
    await page.waitForFunction("events !== lost")
    await tell({ _tag: "Database", answers: false })
    assert.include(await textOf("#connection"), "The database does not answer")
    await untilWords(/^No sign of life for [3-9] s$/)
    await tell({ _tag: "Alive" })
    await untilWords(/^No sign of life for [4-9] s$/)
    await tell(chat)
    await untilWords(/^Writing…$/)
    assert.isTrue(await page.locator("#connection").isHidden())
  })

  it("begins a new chat, and comes back to the old one", async () => {
    await send()
    await watchWords()
    await page.click("#stop")
    await untilWords(/^Stopped after/)
    await page.click("#new-chat")
    await page.waitForSelector("#welcome:not([hidden])")
    assert.strictEqual(await page.locator(".message").count(), 0)
    await page.goBack()
    await page.waitForSelector(lastAnswer)
    assert.match(await textOf(words), /^Stopped after/)
  })
})
