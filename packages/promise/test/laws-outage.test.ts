import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { MessageStore } from "effect-cancellation"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { expect, test } from "vitest"
import { complete, storeOf } from "../src/internal/source.ts"
import { aborted, place, quietStops, untilAborted } from "./laws.fixture.ts"

/** Stops in a store that can be made to misbehave. */
const faultyStops = async () => {
  const scope = Scope.makeUnsafe()
  const services = await Effect.runPromise(
    Layer.buildWithScope(StoreFaults.layer(MessageStore.layerMemory()), scope)
  )
  const stops = quietStops({
    store: storeOf({
      name: "faulty",
      supports: complete,
      load: () => Promise.resolve(Layer.succeed(MessageStore, Context.get(services, MessageStore)))
    }),
    pollTimeout: 20,
    pollInterval: 5,
    finalWriteTimeout: 20
  })
  const faults = Context.get(services, StoreFaults)
  return {
    stops,
    set: (fault: Fault) => Effect.runPromise(faults.set({ all: fault })),
    heal: () => Effect.runPromise(faults.heal)
  }
}

test.each([
  ["fails", Fault.fail],
  ["hangs", Fault.hang],
  ["dies", Fault.die],
  ["answers too late", Fault.slow("200 millis")],
  ["loses its answers", Fault.loseAnswer]
])("a store that %s fails no work, is no stop, and keeps nothing from ending", async (_, fault) => {
  const { heal, set, stops } = await faultyStops()
  await set(fault)
  const run = await stops.watch(place)
  expect(await run.run(() => "work", { whenStopped: "stopped" })).toBe("work")
  expect(await run.check()).toBe(false)
  expect(run.stopped).toBe(false)
  await expect(stops.stop(place)).rejects.toMatchObject({
    name: "StoreError",
    reason: "unavailable"
  })
  await expect(stops.receipts(place)).rejects.toMatchObject({ name: "StoreError" })
  // Once it is back, so are the stops.
  await heal()
  const result = run.run(untilAborted, { whenStopped: "stopped" })
  await stops.stop(place)
  await aborted(run.signal)
  expect(await result).toBe("stopped")
  await set(fault)
  await stops.close()
})
