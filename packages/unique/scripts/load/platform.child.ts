/** The platform in a process of its own, so that it takes nothing of the watching process's time. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { startPlatform } from "../../test/support/PlatformServer.ts"
import { latencyOf, type Load, now, placesOf, stopsOf } from "./Load.ts"
import type { PlatformFigures, PlatformOrder } from "./Orders.ts"

const load: Load = JSON.parse(process.argv[2] ?? "")

const platform = Effect.gen(function* () {
  // Their times are those of the clock that all processes share.
  const ahead = now() - Date.now()
  let requests = 0
  const served = yield* startPlatform({
    latency: () => latencyOf(load, requests++)
  })
  const places = placesOf(load)
  for (const { messageId, ...place } of places) {
    served.add({ ...place, role: "USER", text: "q".repeat(200) })
    served.add({ ...place, id: messageId, text: "a".repeat(1000) })
  }
  const orders = yield* Queue.unbounded<PlatformOrder>()
  process.on("message", (order: PlatformOrder) => Queue.offerUnsafe(orders, order))
  process.on("disconnect", () => process.exit())
  const { apiKey, appId, baseUrl } = served
  process.send?.({ apiKey, appId, baseUrl })

  const stops: Array<PlatformFigures["stops"][number]> = []
  while (true) {
    const order = yield* Queue.take(orders)
    switch (order.kind) {
      case "press":
        for (const { after, index } of stopsOf(load)) {
          yield* Effect.sync(() => {
            served.stopMessage(places[index]?.messageId ?? "")
            stops.push({ index, at: now() })
          }).pipe(Effect.delay(after), Effect.forkChild)
        }
        process.send?.(null)
        break
      case "tell": {
        const figures: PlatformFigures = {
          stops,
          requests: served.requests.map(({ at, query }) => ({
            at: at + ahead,
            chat: query["chatId"] ?? ""
          })),
          connections: served.connections,
          maxConcurrent: served.maxConcurrent
        }
        process.send?.(figures)
      }
    }
  }
})

await Effect.runPromise(Effect.scoped(platform))
