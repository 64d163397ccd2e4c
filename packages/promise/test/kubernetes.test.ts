// The example of Kubernetes: a process of its own gets a SIGTERM while an answer is written.
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import path from "node:path"
import { createInterface } from "node:readline"
import { expect, onTestFinished, test } from "vitest"

const example = path.join(import.meta.dirname, "../examples/kubernetes.ts")

const start = async (drainTimeout: number) => {
  const child: ChildProcess = spawn(process.execPath, [example], {
    env: { ...process.env, DRAIN_TIMEOUT: String(drainTimeout), PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"]
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  if (child.stdout === null) throw new Error("It has no output.")
  const [line] = await once(createInterface(child.stdout), "line")
  const { port } = JSON.parse(String(line)) as { port: number }
  return { child, origin: `http://localhost:${port}` }
}

const read = async (response: Response) => {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  if (reader === undefined) throw new Error("There is no body.")
  let text = ""
  return {
    until: async (wanted: string) => {
      while (!text.includes(wanted)) {
        const { done, value } = await reader.read()
        if (done) throw new Error(`It ended without ${wanted}: ${text}`)
        text += value
      }
    },
    rest: async () => {
      for (let next = await reader.read(); !next.done; next = await reader.read())
        text += next.value
      return text
    }
  }
}

test("a SIGTERM stops what does not end in time, tells why, and the process ends by itself", async () => {
  const { child, origin } = await start(1000)
  expect((await fetch(`${origin}/ready`)).status).toBe(200)

  const answer = await read(await fetch(`${origin}/chat`))
  await answer.until("3\n")
  const exit = once(child, "exit")
  child.kill("SIGTERM")
  await expect.poll(async () => (await fetch(`${origin}/ready`)).status).toBe(503)

  expect(await answer.rest()).toMatch(/^1\n2\n3\n.*\nstopped: shutdown\n$/s)
  expect(await exit).toEqual([0, null])
})

test("an answer that its page has left is over: nothing waits for it", async () => {
  // Longer than the test may take.
  const { child, origin } = await start(600_000)
  const left = new AbortController()
  const answer = await read(await fetch(`${origin}/chat`, { signal: left.signal }))
  await answer.until("3\n")
  left.abort()
  const exit = once(child, "exit")
  child.kill("SIGTERM")
  expect(await exit).toEqual([0, null])
})
