// Whoever has read a stream to its end may close its run in the same step.
import { expect, test } from "vitest"
import { createStops, memory } from "effect-cancellation-promise"

async function* numbers(fails: boolean) {
  yield 1
  if (fails) throw new Error("broken")
  yield 2
}

test.each([false, true])("the run knows how its stream ended (failed: %s)", async (fails) => {
  await using stops = createStops({ store: memory(), log: () => {} })
  const got: Array<number> = []
  const read = async () => {
    await using run = await stops.watch({ chatId: "c" })
    // A run that is over before its start is stored leaves no receipt.
    expect(await run.check()).toBe(false)
    for await (const value of run.stream(numbers(fails))) got.push(value)
  }
  expect(await read().then(() => "done", String)).toBe(fails ? "Error: broken" : "done")
  expect(got).toEqual(fails ? [1] : [1, 2])
  expect(await stops.receipts({ chatId: "c" })).toMatchObject([
    { phase: "none", ended: { outcome: fails ? "failed" : "completed" } }
  ])
})

test("a source that has ended is not told to end", async () => {
  await using stops = createStops({ store: memory(), log: () => {} })
  await using run = await stops.watch({ chatId: "c" })
  let told = 0
  const source = {
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ done: true as const, value: undefined }),
      return: async () => {
        told++
        return { done: true as const, value: undefined }
      }
    })
  }
  for await (const _ of run.stream(source)) expect.unreachable()
  expect(told).toBe(0)
})
