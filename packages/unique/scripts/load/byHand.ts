/** The usual design: each run has a poller of its own, which aborts the work. */
import * as Effect from "effect/Effect"
import type { Design } from "./Design.ts"

export const byHand: Design = ({ address, interrupted, pollMillis, starts }) =>
  starts(({ index, place }) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const { chatId, companyId, messageId, userId } = place
        const work = new AbortController()
        work.signal.addEventListener("abort", () => interrupted(index))
        const poller = startPoller({
          url: `${address.baseUrl}/messages/${messageId}?chatId=${chatId}`,
          headers: {
            authorization: `Bearer ${address.apiKey}`,
            "x-app-id": address.appId,
            "x-company-id": companyId,
            "x-user-id": userId,
            "x-api-version": "2023-12-06"
          },
          pollMillis,
          onStop: () => work.abort()
        })
        return poller
      }),
      (poller) => Effect.sync(poller.end)
    )
  )

const startPoller = (options: {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly pollMillis: number
  readonly onStop: () => void
}) => {
  const { headers, onStop, pollMillis, url } = options
  let ended = false
  let request: AbortController | undefined
  let next: NodeJS.Timeout | undefined

  const isStopped = async (): Promise<boolean> => {
    const controller = new AbortController()
    request = controller
    const limit = setTimeout(() => controller.abort(), 4000)
    try {
      const response = await fetch(url, { headers, signal: controller.signal })
      const message = (await response.json()) as { readonly userAbortedAt?: string | null }
      return response.ok && typeof message.userAbortedAt === "string"
    } catch {
      // It asks again.
      return false
    } finally {
      clearTimeout(limit)
    }
  }

  const poll = async () => {
    const stopped = await isStopped()
    if (ended) return
    if (stopped) onStop()
    else next = setTimeout(() => void poll(), pollMillis)
  }

  void poll()
  return {
    end: () => {
      ended = true
      request?.abort()
      clearTimeout(next)
    }
  }
}
