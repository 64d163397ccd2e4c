// Two people who look at the same chat, and the page that describes the Stop API.
import { assert, describe, it } from "vitest"
import { useDemo } from "./BrowserDemo.ts"
import { lastAnswer, words } from "./ChatPage.ts"
import { useChromium } from "./Chromium.ts"

// The browser itself reports an answer that is none.
const refusal = /status of 403/

describe("two people in Chromium", { timeout: 120_000 }, () => {
  const { open } = useChromium()
  const demo = useDemo({ speed: 0.4 })

  it("shows Bob the answer to Ada, which she can stop and he cannot", async () => {
    const url = `${demo().server.url}/#shared`
    const ada = await open(url)
    const bob = await open(url, { expected: refusal })
    await bob.become("Bob")
    await ada.untilWelcome()
    await bob.untilWelcome()

    await ada.send()
    await bob.watchWords()
    assert.strictEqual(await bob.textOf(".message.user .author"), "Ada")
    await bob.page.click("#stop")
    await bob.page.waitForSelector("#problem:not([hidden])")
    assert.strictEqual(await bob.textOf("#problem"), "Only Ada can stop this answer.")
    await ada.untilLonger((await ada.textOf(`${lastAnswer} .body`)).length + 20)
    assert.strictEqual(await ada.page.getAttribute(lastAnswer, "data-state"), "running")
    assert.isTrue(await bob.page.locator("#stop").isEnabled())

    const events = ada.page.waitForRequest(/\/messages\/answer-\w+\/stop\/events\?runId=run-\w+$/)
    await ada.page.click("#stop")
    await events
    await ada.untilWords(/^Stopped after \d+ ms$/)
    await bob.untilWords(/^Stopped after \d+ ms$/)
    assert.strictEqual(await bob.textOf(words), await ada.textOf(words))
    // What concerned the answer goes with it.
    await bob.page.waitForSelector("#problem", { state: "hidden" })
    assert.isTrue(await ada.page.locator(`${lastAnswer} .again`).isVisible())
    assert.isTrue(await bob.page.locator(`${lastAnswer} .again`).isHidden())

    await bob.send("And mine?")
    await ada.page.waitForSelector(`.message.user.theirs .author:text-is("Bob")`)
    await bob.watchWords()
    await bob.page.keyboard.press("Escape")
    await ada.untilWords(/^Stopped after \d+ ms$/)
  })

  it("lets one be the other by keyboard, at once, in each tab, and remembers it", async () => {
    const chat = await open(`${demo().server.url}/#switched`)
    const { page } = chat
    const person = page.getByRole("group", { name: "Who you are" }).getByRole("radio")
    await chat.send()
    await chat.watchWords()
    const other = await page.context().newPage()
    await other.goto(page.url())
    await other.waitForSelector(lastAnswer)
    assert.isTrue(await page.locator(".message.user .author").isHidden())

    const events = page.waitForRequest(/\/events$/)
    await person.first().focus()
    await page.keyboard.press("ArrowRight")
    assert.strictEqual(await page.getByRole("radio", { checked: true }).inputValue(), "bob")
    assert.include((await (await events).allHeaders())["cookie"], "demo-user=bob")
    assert.strictEqual(await chat.textOf(".message.user .author"), "Ada")
    await other.waitForSelector(".people input[value=bob]:checked", { state: "attached" })
    assert.strictEqual(await other.locator(".message.user .author").innerText(), "Ada")

    await page.reload()
    await page.waitForSelector(".message.user.theirs")
    assert.strictEqual(await page.getByRole("radio", { checked: true }).inputValue(), "bob")
    await chat.become("Ada")
    await page.waitForSelector(".message.user.theirs", { state: "detached" })
    await chat.untilLonger(30)
    await page.click("#stop")
    await chat.untilWords(/^Stopped after/)
  })

  it("describes the Stop API on a page that needs nothing from elsewhere", async () => {
    const { page } = await open(demo().server.url)
    const asked: Array<string> = []
    page.context().on("request", (request) => asked.push(new URL(request.url()).host))
    const opened = page.waitForEvent("popup")
    await page.getByRole("link", { name: "API" }).click()
    const document = await opened
    const routes = document.locator(".endpoint")
    await routes.nth(3).waitFor()
    const texts = await routes.allTextContents()
    assert.deepStrictEqual(
      texts.map((text) => text.trim()),
      [
        "post/api/chats/{chatId}/stop",
        "post/api/chats/{chatId}/messages/{messageId}/stop",
        "get/api/chats/{chatId}/messages/{messageId}/stop",
        "get/api/chats/{chatId}/messages/{messageId}/stop/events"
      ]
    )
    const { host } = new URL(demo().server.url)
    assert.isTrue(
      asked.every((one) => one === host),
      asked.join(" ")
    )
  })
})
