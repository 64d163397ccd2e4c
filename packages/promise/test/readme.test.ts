// What the README shows as a file is that file.
import fs from "node:fs"
import path from "node:path"
import { expect, test, vi } from "vitest"
import { openaiFormat } from "./support/openaiFormat.ts"
import { endless, the } from "./support/providers.ts"
import { serveProvider } from "./support/providersServer.ts"

const root = path.join(import.meta.dirname, "..")
const readme = fs.readFileSync(path.join(root, "README.md"), "utf8")
const shown = Array.from(
  readme.matchAll(/^```ts (\S+)\n(.*?)^```$/gms),
  ([, file = "", text = ""]) => ({ file, text })
)

test.each(shown)("$file is shown as it is", ({ file, text }) => {
  expect(text).toBe(fs.readFileSync(path.join(root, file), "utf8"))
})

test("whole files are shown, and every file that is named is there", () => {
  expect(shown.length).toBeGreaterThan(0)
  const named = Array.from(
    readme.matchAll(/\]\(((?:examples|src)\/[^)]+)\)/g),
    ([, file = ""]) => file
  )
  expect(named.filter((file) => !fs.existsSync(path.join(root, file)))).toEqual([])
})

test("every link into the page leads to a heading", () => {
  const headings = Array.from(readme.matchAll(/^#+ (.*)$/gm), ([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-")
  )
  const links = Array.from(readme.matchAll(/\]\(#([^)]+)\)/g), ([, link = ""]) => link)
  expect(links.filter((link) => !headings.includes(link))).toEqual([])
})

test("the route handler of Next.js: DELETE ends what POST answers, and the model's connection", async () => {
  await using server = await serveProvider(openaiFormat, (call) => endless(openaiFormat, call))
  vi.stubEnv("OPENAI_BASE_URL", `${server.url}/v1`)
  vi.spyOn(console, "warn").mockImplementation(() => {})
  vi.spyOn(console, "info").mockImplementation(() => {})
  const { DELETE, POST } = await import("../examples/next-route.ts")
  const request = (method: string, body: object) =>
    new Request("http://localhost/api/chat", { method, body: JSON.stringify(body) })

  const message = { id: "1", role: "user", parts: [{ type: "text", text: "hello" }] }
  const response = await POST(request("POST", { id: "chat", messages: [message] }))
  const body = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  if (body === undefined) throw new Error("There is no body.")
  let text = ""
  while (!text.includes("w3")) text += (await body.read()).value ?? ""
  const receipts = await DELETE(request("DELETE", { id: "chat" }))
  expect(await receipts.json()).toMatchObject([{ phase: "requested", chatId: "chat" }])
  for (let next = await body.read(); !next.done; next = await body.read()) text += next.value
  expect(text).toContain('{"type":"abort"')
  expect(await the(server).over).toBe(true)
})
