// What becomes of an answer whose page is closed, or loaded again.
import { assert, describe, it } from "vitest"
import * as Effect from "effect/Effect"
import { useDemo } from "./BrowserDemo.ts"
import { chatOf } from "./ChatClient.ts"
import { lastAnswer } from "./ChatPage.ts"
import { useChromium } from "./Chromium.ts"

describe("an answer in Chromium", { timeout: 120_000 }, () => {
  const { open } = useChromium()
  // It takes longer to write than a page may be away.
  const continuing = useDemo({ speed: 2 })
  const stopping = useDemo({ speed: 1, env: { DEMO_ON_DISCONNECT: "stop" } })

  const begin = async (url: string, name: string) => {
    const page = await open(`${url}/#${name}`)
    await page.untilWelcome()
    await page.send()
    await page.watchWords()
    return { ...page, messageId: await page.answerId() }
  }

  it("is written to its end when its page is closed", async () => {
    const { url } = continuing().server
    const { messageId, page } = await begin(url, "closed")
    await page.close()
    const chat = chatOf({ url }, "closed")
    const whole = await Effect.runPromise(chat.untilState(messageId, "completed"))
    assert.isUndefined(whole?.stop)

    const again = await open(`${url}/#closed`)
    await again.page.waitForSelector(`${lastAnswer}[data-state=completed]`)
    assert.strictEqual(await again.textOf("#problem"), "")
  })

  it("is stopped when its page is closed, if that is set, and not as if by Stop", async () => {
    const { url } = stopping().server
    const { messageId, page } = await begin(url, "closed")
    // The other one looks on, which keeps nothing alive.
    const bob = await open(`${url}/#closed`)
    await bob.become("Bob")
    await bob.watchWords()
    await page.close()
    const chat = chatOf({ url }, "closed")
    await Effect.runPromise(chat.untilState(messageId, "stopped"))
    const { phase, requested } = await Effect.runPromise(chat.receipt(messageId))
    assert.deepStrictEqual([phase, requested?.reason], ["ended", "disconnect"])
    await bob.untilWords(/^Stopped, because its page was closed$/)
  })

  it("goes on when its page is loaded again soon, with the words so far", async () => {
    const { url } = stopping().server
    const { messageId, page, textOf, untilLonger } = await begin(url, "loaded")
    // The other one leaves, which stops nothing.
    const bob = await open(`${url}/#loaded`)
    await bob.become("Bob")
    await bob.watchWords()
    await bob.page.close()

    const before = await textOf(`${lastAnswer} .body`)
    await page.reload()
    await page.waitForSelector(`${lastAnswer}[data-state=running]`)
    const after = await textOf(`${lastAnswer} .body`)
    assert.isTrue(after.startsWith(before), `${before} -> ${after}`)
    await untilLonger(after.length + 20)
    await page.waitForSelector(`${lastAnswer}[data-state=completed]`)
    const { phase, requested } = await Effect.runPromise(
      chatOf({ url }, "loaded").receipt(messageId)
    )
    assert.deepStrictEqual([phase, requested], ["none", undefined])
  })
})
