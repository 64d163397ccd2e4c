// What a person does with the page, in headless Chromium.
import { assert, beforeEach, describe, it } from "vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Page } from "playwright-core"
import { useDemo } from "./BrowserDemo.ts"
import { answers, type ChatPage, lastAnswer, words } from "./ChatPage.ts"
import { isMissing, useChromium } from "./Chromium.ts"
import { run, startServer } from "./DemoProcess.ts"

// The browser itself reports the connections that fail.
const outage = /net::ERR_/

describe("the page in Chromium", { timeout: 120_000 }, () => {
  const { open } = useChromium()
  const demo = useDemo({ speed: 2 })
  let chat: ChatPage
  let page: Page

  const begin = async (url: string, expected?: RegExp) => {
    chat = await open(url, expected === undefined ? {} : { expected })
    page = chat.page
    await chat.untilWelcome()
  }

  beforeEach(() => (isMissing ? undefined : begin(demo().server.url)))

  it("sends, streams, stops, keeps the text, survives a reload, and sends again", async () => {
    await chat.send()
    await chat.watchWords()
    await page.click("#stop")
    await chat.untilWords(/^Stopped after \d+ ms$/)
    await chat.untilButton("send")
    const [stopped] = await chat.answerTexts()
    const status = await chat.textOf(words)

    // Another answer comes and grows; the stopped one does not.
    await chat.send("And another one?")
    await chat.watchWords()
    assert.strictEqual((await chat.answerTexts())[0], stopped)
    await page.keyboard.press("Escape")
    await chat.untilWords(/^Stopped after/)

    const before = await page.locator("#messages").innerText()
    await page.reload()
    await page.waitForSelector(lastAnswer)
    assert.strictEqual(await page.locator("#messages").innerText(), before)
    assert.strictEqual(await chat.textOf(`${answers} .status .words >> nth=0`), status)

    await chat.send("After the reload?")
    await chat.watchWords()
    assert.strictEqual((await chat.answerTexts())[0], stopped)
    await page.click("#stop")
    await chat.untilWords(/^Stopped after/)
  })

  it("shows an answer that still runs after a reload, and goes on", async () => {
    await chat.send()
    await chat.watchWords()
    const before = await chat.textOf(`${lastAnswer} .body`)
    await page.reload()
    await page.waitForSelector(`${lastAnswer}[data-state=running]`)
    const after = await chat.textOf(`${lastAnswer} .body`)
    assert.isTrue(after.startsWith(before), `${before} -> ${after}`)
    await chat.untilLonger(after.length + 20)
    await page.click("#stop")
    await chat.untilWords(/^Stopped after/)
  })

  it("stops before the first word", async () => {
    await chat.enter("How do you stop an agent?")
    // At once, without waiting until the button holds still.
    await page.dispatchEvent("#stop", "click")
    await chat.untilWords(/^Stopped after \d+ ms$/)
    assert.deepStrictEqual(await chat.answerTexts(), [""])
    await chat.send("Next")
    await chat.watchWords()
    assert.strictEqual((await chat.answerTexts())[0], "")
  })

  it("asks again for a stop that could not be stored, and says so meanwhile", async () => {
    await begin(demo().server.url, /status of 503/)
    await chat.send()
    await chat.watchWords()
    const problem = {
      type: "urn:problem-type:effect-cancellation:unavailable",
      title: "Nothing was done; try again.",
      status: 503,
      code: "unavailable",
      detail: "The store does not answer.",
      retryAfter: 1
    }
    await page.route("**/stop", (route) => route.fulfill({ status: 503, json: problem }), {
      times: 1
    })
    await page.click("#stop")
    await page.waitForSelector("#problem:not([hidden])")
    assert.strictEqual(
      await chat.textOf("#problem"),
      "The store does not answer. Trying to stop it again…"
    )
    await chat.untilWords(/^Stopped after/)
    assert.isTrue(await page.locator("#problem").isHidden())
  })

  it("lets press again when a stop has waited in vain for its run", async () => {
    await chat.send()
    await chat.watchWords()
    const at = new Date().toISOString()
    let asked = 0
    await page.route("**/stop", (route) => {
      asked += 1
      const [chatId, messageId] = new URL(route.request().url()).pathname
        .split("/")
        .slice(3, 6)
        .filter((part) => part !== "messages")
      const { runId } = route.request().postDataJSON()
      const requested = { at, reason: "user" }
      const pending = { phase: "pending", chatId, messageId, runId, requested, expiresAt: at }
      return route.fulfill({ status: 202, json: pending })
    })
    await page.click("#stop")
    await page.waitForSelector("#problem:not([hidden])")
    assert.strictEqual(
      await chat.textOf("#problem"),
      "Not stopped: the answer had not begun. Press Stop again."
    )
    assert.strictEqual(asked, 2)
    assert.isTrue(await page.locator("#stop").isEnabled())
    await page.unroute("**/stop")
    await page.click("#stop")
    await chat.untilWords(/^Stopped after/)
    assert.isTrue(await page.locator("#problem").isHidden())
  })

  it("takes Stop twice as once, and a double click sends nothing", async () => {
    await chat.send()
    await chat.watchWords()
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
    await chat.untilWords(/^Stopped after/)
    await page.keyboard.press("Escape")
    await chat.untilButton("send")
    assert.strictEqual(await page.locator(".message").count(), 2)
    assert.isTrue(await page.locator("#problem").isHidden())
    assert.strictEqual(await page.inputValue("#text"), "Not to be sent by a second click")
  })

  it("takes a double click on a suggestion as one", async () => {
    await page.dblclick("#suggestions button >> nth=0")
    await chat.watchWords()
    await page.keyboard.press("Escape")
    await chat.untilWords(/^Stopped after/)
    assert.strictEqual(await page.locator(".message").count(), 2)
    assert.isTrue(await page.locator("#problem").isHidden())
  })

  it("takes a double click on Send or on Regenerate as one", async () => {
    await page.fill("#text", "How do you stop an agent?")
    await page.dblclick("#send")
    await chat.watchWords()
    assert.strictEqual(await page.getAttribute(lastAnswer, "data-state"), "running")
    await page.click("#stop")
    await chat.untilWords(/^Stopped after/)
    await page.dblclick(`${lastAnswer} .again`)
    await page.waitForSelector(`${lastAnswer}[data-state=running]`)
    await chat.watchWords()
    assert.strictEqual(await page.locator(".message").count(), 2)
    assert.isTrue(await page.locator("#problem").isHidden())
  })

  it("stops an answer that is written anew before the server has said so", async () => {
    await chat.send()
    await chat.watchWords()
    await page.keyboard.press("Escape")
    await chat.untilWords(/^Stopped after/)
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
      await page.goto(`${demo().server.url}/#${hash}`)
      await chat.untilWelcome()
      assert.match(new URL(page.url()).hash, /^#chat-[a-z0-9]+$/)
    }
    await chat.send()
    await chat.watchWords()
  })

  it("keeps a text that is too long, says so, and sends it when it is shortened", async () => {
    await page.fill("#text", "x".repeat(20_000))
    assert.match(await chat.textOf("#too-long"), /20,000 characters; a message has 4,000 at most/)
    assert.isTrue(await page.locator("#send").isDisabled())
    await page.keyboard.press("Enter")
    assert.strictEqual((await page.inputValue("#text")).length, 20_000)
    await chat.send("x".repeat(4000))
    assert.isTrue(await page.locator("#too-long").isHidden())
  })

  it("lets a text that turns its direction turn itself only", async () => {
    await chat.send("\u202eabc\u2067")
    await chat.watchWords()
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
    await chat.watchWords()
    await page.keyboard.press("Escape")
    await chat.untilWords(/^Stopped after/)
    assert.strictEqual(await chat.textOf(".message.user .text"), "One\nTwo")
  })

  it("stops a tool, and shows it as stopped", async () => {
    await chat.send()
    await page.waitForSelector(".tool.running")
    await chat.untilWords(/^Working…$/)
    await page.click("#stop")
    await chat.untilWords(/^Stopped after/)
    assert.match(await chat.textOf(".tool.stopped"), /^Searching for .*stopped$/s)
  })

  it("regenerates in the same message after a stop", async () => {
    await chat.send()
    await chat.watchWords()
    await page.click("#stop")
    await chat.untilWords(/^Stopped after/)
    const name = await chat.textOf(`${lastAnswer} .name`)
    await page.click(`${lastAnswer} .again`)
    await page.waitForSelector(`${lastAnswer}[data-state=running]`)
    await page.waitForSelector(`${lastAnswer}[data-state=completed]`, { timeout: 20_000 })
    assert.strictEqual(await page.locator(answers).count(), 1)
    assert.strictEqual(await chat.textOf(`${lastAnswer} .name`), name)
    assert.include(
      await chat.textOf(`${lastAnswer} .body`),
      "Here is what happens when you press Stop."
    )
    assert.strictEqual(await chat.textOf("#announcer"), "The answer is finished.")
  })

  it("shows a stop from a second process", async () => {
    await chat.send()
    await chat.watchWords()
    const name = await chat.textOf(`${lastAnswer} .name`)
    const stop = await Effect.runPromise(run("stop.ts", [name], demo().env))
    const millis = /in (\d+) ms/.exec(stop.stdout)?.[1]
    await chat.untilWords(/^Stopped after/)
    assert.strictEqual(await chat.textOf(words), `Stopped after ${millis} ms`)
  })

  it("says that the server is gone, reconnects, and tells what became of the answer", async () => {
    const { env } = demo()
    const own = await Effect.runPromise(Scope.make())
    try {
      const first = await Effect.runPromise(Scope.provide(startServer(env), own))
      await begin(first.url, outage)
      await chat.send()
      await chat.watchWords()
      await Effect.runPromise(first.signal("SIGINT"))
      await page.waitForSelector("#connection:not([hidden])")
      await chat.untilWords(/^Interrupted by shutdown$/)
      await Effect.runPromise(first.ended)
      await Effect.runPromise(Scope.provide(startServer(env, { port: first.port }), own))
      await page.waitForSelector("#connection", { state: "hidden" })
      assert.strictEqual(await chat.textOf(words), "Interrupted by shutdown")
    } finally {
      await Effect.runPromise(Scope.close(own, Exit.void))
    }
  })

  it("says of an answer whose server was killed that it is silent, and then lost", async () => {
    const { env } = demo()
    const own = await Effect.runPromise(Scope.make())
    try {
      const first = await Effect.runPromise(Scope.provide(startServer(env), own))
      await begin(first.url, outage)
      await chat.send()
      await chat.watchWords()
      await Effect.runPromise(first.signal("SIGKILL"))
      await chat.untilWords(/^No sign of life for [2-9] s$/)
      await Effect.runPromise(first.ended)
      await Effect.runPromise(Scope.provide(startServer(env, { port: first.port }), own))
      await chat.untilWords(/^Lost: its process died or was cut off$/)
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
    const all = {
      _tag: "Chat",
      messages: [
        { messageId: "m", role: "assistant", text: "", tools: [], runId: "r", state: "running" }
      ]
    }
    await page.reload()
    await tell(all)
    await chat.untilWords(/^Thinking…$/)
    await page.evaluate(`globalThis.lost = events; lost.dispatchEvent(new Event("error"))`)
    await chat.untilWords(/^No sign of life for [1-9] s$/)
    await page.waitForFunction("events !== lost")
    await tell({ _tag: "Database", answers: false })
    assert.include(await chat.textOf("#connection"), "The database does not answer")
    await chat.untilWords(/^No sign of life for [3-9] s$/)
    await tell({ _tag: "Alive" })
    await chat.untilWords(/^No sign of life for [4-9] s$/)
    await tell(all)
    await chat.untilWords(/^Thinking…$/)
    assert.isTrue(await page.locator("#connection").isHidden())
  })

  it("begins a new chat, and comes back to the old one", async () => {
    await chat.send()
    await chat.watchWords()
    await page.click("#stop")
    await chat.untilWords(/^Stopped after/)
    await page.click("#new-chat")
    await chat.untilWelcome()
    assert.strictEqual(await page.locator(".message").count(), 0)
    await page.goBack()
    await page.waitForSelector(lastAnswer)
    assert.match(await chat.textOf(words), /^Stopped after/)
  })
})
