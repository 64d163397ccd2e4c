import { expect, test } from "vitest"
import { createStops, memory } from "effect-cancellation-promise"

test("a stop ends work", async () => {
  const stops = createStops({ store: memory() })
  await using run = await stops.watch({ chatId: "c", messageId: "m" })
  const result = run.run(
    (signal) =>
      new Promise<string>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      ),
    { whenStopped: "stopped" as const }
  )
  const receipts = await stops.stop({ chatId: "c" })
  expect(receipts).toMatchObject([{ phase: "requested" }])
  expect(await result).toBe("stopped")
  expect(run.event).toMatchObject({ reason: "user", chatId: "c" })
  expect(await run.check()).toBe(true)
  await run.close()
  expect(await stops.receipts({ chatId: "c" })).toMatchObject([{ phase: "ended" }])
  await stops.close()
})

test("a stop ends a stream", async () => {
  const stops = createStops({ store: memory() })
  const run = await stops.watch({ chatId: "c", messageId: "m" })
  const got: Array<number> = []
  let closed = false
  async function* source(signal: AbortSignal) {
    try {
      for (let i = 0; ; i++) {
        yield i
        if (i === 3) await new Promise((resolve) => signal.addEventListener("abort", resolve))
      }
    } finally {
      closed = true
    }
  }
  for await (const value of run.stream(source)) {
    got.push(value)
    if (value === 3) void stops.stop({ chatId: "c" })
  }
  expect(got).toEqual([0, 1, 2, 3])
  expect(closed).toBe(true)
  await stops.close()
})

test("respond", async () => {
  const stops = createStops({ store: memory() })
  const response = await stops.respond({ chatId: "c" }, (run) => {
    let i = 0
    return new Response(
      new ReadableStream({
        pull: async (c) => {
          if (run.signal.aborted) {
            c.enqueue(new TextEncoder().encode("!"))
            c.close()
            return
          }
          c.enqueue(new TextEncoder().encode(String(i++)))
          if (i === 5) {
            await stops.stop({ chatId: "c" })
            await new Promise((resolve) => run.signal.addEventListener("abort", resolve))
          }
        }
      }),
      { status: 201 }
    )
  })
  expect(response.status).toBe(201)
  expect(await response.text()).toBe("01234!")
  await stops.drain({ timeout: 1000 })
})
