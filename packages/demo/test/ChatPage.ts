// What a person does with the page, and sees on it.
import type { Page } from "playwright-core"

export const answers = ".message.assistant"
export const lastAnswer = `${answers}:last-child`
export const words = `${lastAnswer} .status .words`

export const chatPage = (page: Page) => {
  const enter = async (text: string) => {
    await page.fill("#text", text)
    await page.keyboard.press("Enter")
  }

  const untilLonger = (least: number) =>
    page.waitForFunction(
      ([selector, length]) => (document.querySelector(selector)?.textContent?.length ?? 0) > length,
      [`${lastAnswer} .body`, least] as const
    )

  return {
    page,
    enter,
    /** Sends, and waits until the answer is there, though it may have no word yet. */
    send: async (text = "How do you stop an agent?") => {
      const before = await page.locator(answers).count()
      await enter(text)
      await page.locator(answers).nth(before).waitFor()
    },
    textOf: (selector: string) => page.locator(selector).innerText(),
    /** Waits until the last answer has more characters than this. */
    untilLonger,
    /** Waits until the answer has grown twice, so that its words can be seen to arrive. */
    watchWords: async () => {
      for (const length of [5, 25]) await untilLonger(length)
    },
    /** Waits until this is said of how the last answer stands. */
    untilWords: (pattern: RegExp) =>
      page.waitForFunction(
        ([selector, source]) =>
          new RegExp(source).test(document.querySelector(selector)?.textContent ?? ""),
        [words, pattern.source] as const
      ),
    /** What the person sees of the answers, and what would show that something was still written. */
    answerTexts: () => page.locator(`${answers} .body`).allInnerTexts(),
    untilButton: (id: "send" | "stop") => page.waitForSelector(`#${id}:not([hidden])`),
    untilWelcome: () => page.waitForSelector("#welcome:not([hidden])"),
    /** The name of the last answer. */
    answerId: () => page.locator(`${lastAnswer} .name`).innerText(),
    become: (name: "Ada" | "Bob") => page.getByRole("radio", { name }).check({ force: true })
  }
}

export type ChatPage = ReturnType<typeof chatPage>
