// Resumable streams of the AI SDK: what stops an answer, and what does not.
import { customProvider } from "ai"
import { afterAll, describe, expect, test, vi } from "vitest"
import { readOnlyRedis, redisAnswers } from "./support/aiSdkRedis.ts"
import { modelsFrom, openPage, serveRoutes, textOf } from "./support/aiSdk.ts"
import { openaiFormat } from "./support/openaiFormat.ts"
import { endless, noUnhandledRejection, the } from "./support/providers.ts"
import { broken, type Exchange, serveProvider } from "./support/providersServer.ts"

describe.skipIf(!(await redisAnswers()))("resumable streams", async () => {
  vi.spyOn(console, "warn").mockImplementation(() => {})
  vi.spyOn(console, "info").mockImplementation(() => {})
  noUnhandledRejection()
  const example = await import("../examples/ai-sdk-resumable.ts")
  const { chats, DELETE, GET, POST, stops } = example
  afterAll(() => example.close())

  const whole = [...openaiFormat.begin, openaiFormat.word("whole"), ...openaiFormat.end]
  const first = (call: Exchange) => (call.index === 0 ? endless(openaiFormat, call) : whole)
  const serve = async (script = first) => {
    const model = await serveProvider(openaiFormat, script)
    modelsFrom(model.url)
    const routes = await serveRoutes({ POST, GET, DELETE })
    return {
      model,
      routes,
      [Symbol.asyncDispose]: async () => {
        await routes[Symbol.asyncDispose]()
        await model[Symbol.asyncDispose]()
      }
    }
  }
  const freshId = () => crypto.randomUUID()
  const receipts = (chatId: string) => stops.receipts({ chatId })
  const savedText = (id: string) => {
    const last = chats.get(id)?.messages.at(-1)
    return last?.role === "assistant" ? textOf(last) : ""
  }

  test("a reload goes on from the first word, and Stop stops it for the page that is there", async () => {
    await using served = await serve()
    const { model, routes } = served
    const id = freshId()
    const before = openPage(routes.url, id)
    const sent = before.chat.sendMessage({ text: "hello" })
    await before.shows("w3 ")
    await before.chat.stop()
    await sent
    const after = openPage(routes.url, id, chats.get(id)?.messages)
    const resumed = after.chat.resumeStream()
    await after.shows("w9 ")
    expect(after.text()).toMatch(/^w0 w1 w2 w3 /)
    expect(await after.pressStop()).toMatchObject([{ phase: "requested", chatId: id }])
    await resumed
    expect(after.parts).toContain("abort")
    expect(after.chat.status).toBe("ready")
    expect(await the(model).over).toBe(true)
    await expect
      .poll(() => receipts(id))
      .toMatchObject([{ phase: "ended", ended: { outcome: "stopped" } }])
    expect(savedText(id)).toBe(after.text())
    expect(model.exchanges.length).toBe(1)
    expect([...before.errors, ...after.errors, ...routes.errors]).toEqual([])
  })

  test("a page that leaves stops nothing: the answer is made whole, and kept", async () => {
    let goOn = () => {}
    const allowed = new Promise<void>((resolve) => {
      goOn = resolve
    })
    await using served = await serve(async function* () {
      yield* openaiFormat.begin
      yield openaiFormat.word("half ")
      await allowed
      yield openaiFormat.word("whole")
      yield* openaiFormat.end
    })
    const id = freshId()
    const page = openPage(served.routes.url, id)
    const sent = page.chat.sendMessage({ text: "hello" })
    await page.shows("half ")
    await page.chat.stop()
    await sent
    goOn()
    await expect
      .poll(() => receipts(id))
      .toMatchObject([{ phase: "none", ended: { outcome: "completed" } }])
    expect(savedText(id)).toBe("half whole")
    expect(await the(served.model).over).toBe(false)
    // Nothing is left to go on with.
    await page.chat.resumeStream()
    expect(page.chat.status).toBe("ready")
  })

  test("the next turn starts clean", async () => {
    await using served = await serve()
    const id = freshId()
    const page = openPage(served.routes.url, id)
    const sent = page.chat.sendMessage({ text: "hello" })
    await page.shows("w3 ")
    await page.pressStop()
    await sent
    await page.chat.sendMessage({ text: "and now?" })
    expect(page.text()).toBe("whole")
    await expect
      .poll(() => receipts(id))
      .toMatchObject([{ ended: { outcome: "stopped" } }, { ended: { outcome: "completed" } }])
  })

  test("regenerate starts clean, with the id of the message it makes anew", async () => {
    await using served = await serve()
    const id = freshId()
    const page = openPage(served.routes.url, id)
    const sent = page.chat.sendMessage({ text: "hello" })
    await page.shows("w3 ")
    await page.pressStop()
    await sent
    const messageId = page.chat.messages.at(-1)?.id
    if (messageId === undefined) throw new Error("There is no answer.")
    await page.chat.regenerate({ messageId })
    expect(page.text()).toBe("whole")
    expect(page.chat.messages.at(-1)?.id).toBe(messageId)
    await expect
      .poll(() => receipts(id))
      .toMatchObject([
        { messageId, ended: { outcome: "stopped" } },
        { messageId, ended: { outcome: "completed" } }
      ])
    const runs = new Set((await receipts(id)).map(({ runId }) => runId))
    expect(runs.size).toBe(2)
  })

  test("an error of the model is a failed run, not a stopped one", async () => {
    let breakOff = () => {}
    const told = new Promise<void>((resolve) => {
      breakOff = resolve
    })
    await using served = await serve(async function* () {
      yield* openaiFormat.begin
      yield openaiFormat.word("one ")
      await told
      yield broken
    })
    const id = freshId()
    const page = openPage(served.routes.url, id)
    const sent = page.chat.sendMessage({ text: "hello" })
    await page.shows("one ")
    breakOff()
    await sent
    expect(page.chat.status).toBe("error")
    await expect.poll(() => receipts(id)).toMatchObject([{ ended: { outcome: "failed" } }])
    expect(savedText(id)).toBe("one ")
    expect(chats.get(id)?.activeRunId).toBe(undefined)
  })

  test("an answer that cannot begin is a failed run, and a reload finds none", async () => {
    globalThis.AI_SDK_DEFAULT_PROVIDER = customProvider({ languageModels: {} })
    const { watch } = stops
    using watching = vi.spyOn(stops, "watch")
    watching.mockImplementation(async (...asked) => {
      const run = await watch(...asked)
      // A run that is over before it is stored leaves nothing there.
      await run.check()
      return run
    })
    const id = freshId()
    const body = JSON.stringify({ id, messages: [] })
    const answer = POST(new Request("http://localhost", { method: "POST", body }))
    await expect(answer).rejects.toThrow("No such languageModel")
    expect(await receipts(id)).toMatchObject([{ ended: { outcome: "failed" } }])
    expect((await GET(new Request(`http://localhost/api/chat/${id}/stream`))).status).toBe(204)
  })
  test("an answer that cannot be saved is over all the same, for its run and for a reload", async () => {
    await using served = await serve(() => whole)
    const id = freshId()
    using saving = vi.spyOn(chats, "set")
    saving.mockImplementationOnce((...entry) => Map.prototype.set.apply(chats, entry))
    saving.mockImplementationOnce(() => {
      throw new Error("no disk")
    })
    const page = openPage(served.routes.url, id)
    await page.chat.sendMessage({ text: "hello" })
    expect(page.text()).toBe("whole")
    expect(saving).toHaveBeenCalledTimes(2)
    expect(served.routes.errors).toMatchObject([{ message: "no disk" }])
    await expect.poll(() => receipts(id)).toMatchObject([{ ended: { outcome: "completed" } }])
    const reload = () => GET(new Request(`http://localhost/api/chat/${id}/stream`))
    await expect.poll(async () => (await reload()).status).toBe(204)
  })

  test("an answer that a later turn has overtaken is not saved over it", async () => {
    await using served = await serve()
    const id = freshId()
    const before = openPage(served.routes.url, id)
    const sent = before.chat.sendMessage({ text: "hello" })
    await before.shows("w3 ")
    await before.chat.stop()
    await sent
    const after = openPage(served.routes.url, id, chats.get(id)?.messages)
    await after.chat.sendMessage({ text: "and now?" })
    expect(savedText(id)).toBe("whole")
    await after.pressStop()
    await expect
      .poll(() => receipts(id))
      .toMatchObject([{ ended: { outcome: "stopped" } }, { ended: { outcome: "completed" } }])
    expect(savedText(id)).toBe("whole")
  })

  test("without a Redis that keeps it there is an answer, which a reload loses", async () => {
    await using redis = await readOnlyRedis()
    vi.stubEnv("REDIS_URL", redis.url)
    vi.resetModules()
    const other = await import("../examples/ai-sdk-resumable.ts")
    const model = await serveProvider(openaiFormat, () => whole)
    modelsFrom(model.url)
    const routes = await serveRoutes({ POST: other.POST })
    const id = freshId()
    const page = openPage(routes.url, id)
    await page.chat.sendMessage({ text: "hello" })
    expect(page.text()).toBe("whole")
    await expect
      .poll(() => other.stops.receipts({ chatId: id }))
      .toMatchObject([{ ended: { outcome: "completed" } }])
    expect(other.chats.get(id)?.messages.map(textOf)).toEqual(["hello", "whole"])
    expect([...page.errors, ...routes.errors]).toEqual([])
    await routes[Symbol.asyncDispose]()
    await model[Symbol.asyncDispose]()
    await other.close()
    vi.unstubAllEnvs()
  })
})
