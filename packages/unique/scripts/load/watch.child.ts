/** The watching process: all runs, one design, and nothing else. */
import { subscribe } from "node:diagnostics_channel"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import { byHand } from "./byHand.ts"
import { type Address, type Load, now, placesOf, startsOf } from "./Load.ts"
import type { WatchFigures, WatchOrder } from "./Orders.ts"
import { probe } from "./probes.ts"
import { withLibrary } from "./withLibrary.ts"

const [, , name, loadText = "", addressText = ""] = process.argv
const load: Load = JSON.parse(loadText)
const address: Address = JSON.parse(addressText)
const design = name === "ours" ? withLibrary : byHand

// What Node's own fetch does, whoever calls it.
const requests: Array<number> = []
const sockets: Array<number> = []
subscribe("undici:request:create", () => requests.push(now()))
subscribe("undici:client:connected", () => sockets.push(now()))

const interrupts: Array<WatchFigures["interrupts"][number]> = []
const lines: Array<WatchFigures["lines"][number]> = []
const logger = Logger.make(({ logLevel, message }) => {
  lines.push({ at: now(), level: logLevel, text: [message].flat().map(String).join(" ") })
})

const heapUsed = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const watching = Effect.gen(function* () {
  const orders = yield* Queue.unbounded<WatchOrder>()
  process.on("message", (order: WatchOrder) => Queue.offerUnsafe(orders, order))
  process.on("disconnect", () => process.exit())
  process.send?.(null)
  const places = placesOf(load)
  let heap = 0
  while (true) {
    const order = yield* Queue.take(orders)
    switch (order.kind) {
      case "start": {
        const before = heapUsed()
        const begun = now()
        yield* design({
          address,
          pollMillis: load.pollMillis,
          chunkSize: load.chunkSize,
          interrupted: (index) => interrupts.push({ index, at: now() }),
          starts: (begin) =>
            Effect.forEach(
              startsOf(load),
              ({ after, index }) => {
                const place = places[index]
                return place === undefined
                  ? Effect.void
                  : Effect.andThen(
                      Effect.suspend(() => Effect.sleep(Math.max(0, begun + after - now()))),
                      begin({ index, place })
                    )
              },
              { discard: true }
            )
        })
        // Two polls: what is hot is compiled by then.
        yield* Effect.sleep(load.pollMillis * 2.5)
        heap = heapUsed() - before
        process.send?.(null)
        break
      }
      case "measure": {
        const figures = yield* probe(load.seconds / (order.turns ? 3 : 2), order.turns)
        const last = now() + load.pollMillis + 20_000
        while (interrupts.length < load.stops && now() < last) yield* Effect.sleep(50)
        const all: WatchFigures = {
          ...figures,
          interrupts,
          requests,
          sockets,
          lines,
          heap,
          maxRss: process.resourceUsage().maxRSS * 1024
        }
        process.send?.(all)
      }
    }
  }
})

await Effect.runPromise(Effect.scoped(watching).pipe(Effect.provide(Logger.layer([logger]))))
