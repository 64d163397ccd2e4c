// The example of Hono, with its stops in memory.
import { afterAll, expect, test } from "vitest"
import { app, stops } from "../examples/hono.ts"

afterAll(() => stops.close())

const ada = { cookie: "session=ada-1815" }
const bob = { cookie: "session=bob-1845" }

const ask = async (chatId: string) => {
  const response = await app.request(`/chats/${chatId}/messages`, { method: "POST", headers: ada })
  const body = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  if (body === undefined) throw new Error("There is no body.")
  return body
}

const stop = async (chatId: string, headers: Record<string, string>) => {
  const response = await app.request(`/chats/${chatId}/stop`, { method: "POST", headers })
  return response.json()
}

test("whoever asked stops the answer, and what came stays", async () => {
  const body = await ask("one")
  expect(await body.read()).toEqual({ done: false, value: "1 " })
  expect(await stop("one", ada)).toMatchObject([{ phase: "requested", chatId: "one" }])
  let rest = await body.read()
  while (!rest.done) rest = await body.read()
  await expect
    .poll(async () => (await app.request("/chats/one/stop", { headers: ada })).json())
    .toMatchObject([{ phase: "ended", ended: { outcome: "stopped" } }])
})

test("nobody stops, or sees, what is somebody else's", async () => {
  const body = await ask("two")
  await body.read()
  expect(await stop("two", bob)).toMatchObject([{ phase: "pending" }])
  expect(await (await app.request("/chats/two/stop", { headers: bob })).json()).toEqual([])
  expect((await body.read()).done).toBe(false)
  expect((await app.request("/chats/two/stop", { method: "POST" })).status).toBe(401)
  await body.cancel()
})

test("a page that leaves interrupts its answer: that is no stop", async () => {
  const body = await ask("three")
  // A run that ends in the step in which it began is not stored at all.
  await body.read()
  await body.read()
  await body.cancel()
  await expect
    .poll(() => stops.receipts({ chatId: "three", userId: "ada" }))
    .toMatchObject([{ phase: "none", ended: { outcome: "interrupted" } }])
})
