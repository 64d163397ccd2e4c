/**
 * A run that ends with the body of a response.
 */
import type { Run } from "../Run.ts"
import type { Thrown } from "./thrown.ts"
import type { WatchedRun } from "./watchedRun.ts"
import { within } from "./within.ts"

export const respond = async (
  { run, works }: WatchedRun,
  handler: (run: Run) => PromiseLike<Response> | Response
): Promise<Response> => {
  let tellOver: (error?: Thrown) => void = () => {}
  const over = new Promise<Thrown | undefined>((resolve) => {
    tellOver = resolve
  })
  let hasBegun = false
  let wasLeft = false
  let mustEnd = false
  let cut = () => {}

  const live = async (): Promise<void> => {
    try {
      const { stop } = await works.perform(async () => {
        hasBegun = true
        const error = await over
        if (error !== undefined) throw error.thrown
      }, {})
      // Stopped before it began, it has its time all the same: the page waits for an answer.
      if (stop !== undefined && !hasBegun) await within(works.gracePeriod, over)
      mustEnd = stop !== undefined
      if (mustEnd) cut()
    } catch {
      // It has been told to whoever reads the response, or has called this.
    } finally {
      await run.close(wasLeft ? "interrupted" : undefined)
    }
  }
  const closed = live()
  // Nobody waits for it while the body is read.
  closed.catch(() => {})

  try {
    const response = await handler(run)
    if (response.body === null) {
      tellOver()
      await closed
      return response
    }
    const reader = response.body.getReader()
    let isOver = false
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          cut = () => {
            if (isOver) return
            isOver = true
            controller.close()
            void reader.cancel(run.signal.reason).catch(() => {})
          }
          // Its handler took longer than the stop could wait.
          if (mustEnd) cut()
        },
        pull: async (controller) => {
          try {
            const { done, value } = await reader.read()
            if (isOver) return
            if (!done) return controller.enqueue(value)
            isOver = true
            controller.close()
            tellOver()
          } catch (thrown) {
            if (isOver) return
            isOver = true
            controller.error(thrown)
            tellOver({ thrown })
          }
        },
        cancel: async (reason) => {
          isOver = true
          wasLeft = true
          tellOver()
          await reader.cancel(reason)
        }
      },
      { highWaterMark: 0 }
    )
    return new Response(body, response)
  } catch (thrown) {
    tellOver({ thrown })
    await closed
    throw thrown
  }
}
