/** One design under the load. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TcpProxy from "../../../sql/test/support/TcpProxy.ts"
import { startChild } from "./child.ts"
import { type Address, type Load, now } from "./Load.ts"
import type { PlatformFigures, PlatformOrder, WatchFigures, WatchOrder } from "./Orders.ts"

export type DesignName = "ours" | "by hand"

export interface Trial {
  readonly platform: PlatformFigures
  readonly watch: WatchFigures
  /** When the measured time began and ended, and when the cable was out. */
  readonly from: number
  readonly to: number
  readonly outage: Outage | undefined
}

interface Outage {
  readonly from: number
  readonly to: number
}

interface Cable {
  readonly afterSeconds: number
  readonly seconds: number
}

export const trial = Effect.fnUntraced(function* (options: {
  readonly design: DesignName
  readonly load: Load
  readonly cable: Cable | undefined
  /** A folder for the profile of the watching process. */
  readonly profile: string | undefined
}) {
  const { cable, design, load, profile } = options
  const platform = yield* startChild("platform.child.ts", [JSON.stringify(load)])
  const direct = yield* platform.answer<Address>()
  const proxy =
    cable === undefined ? undefined : yield* TcpProxy.make(Redacted.make(direct.baseUrl))
  const address = proxy === undefined ? direct : { ...direct, baseUrl: Redacted.value(proxy.url) }
  const watch = yield* startChild(
    "watch.child.ts",
    [design, JSON.stringify(load), JSON.stringify(address)],
    [
      "--expose-gc",
      ...(profile === undefined
        ? []
        : ["--cpu-prof", `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${design}.cpuprofile`])
    ]
  )
  const ask = <A>(order: WatchOrder) => Effect.andThen(watch.tell(order), watch.answer<A>())
  const askPlatform = <A>(order: PlatformOrder) =>
    Effect.andThen(platform.tell(order), platform.answer<A>())

  yield* watch.answer<null>()
  yield* ask<null>({ kind: "start" })
  const from = now()
  yield* askPlatform<null>({ kind: "press" })
  const pulled =
    cable === undefined || proxy === undefined
      ? undefined
      : yield* Effect.forkChild(
          Effect.gen(function* () {
            yield* Effect.sleep(cable.afterSeconds * 1000)
            yield* proxy.freeze
            const begun = now()
            yield* Effect.sleep(cable.seconds * 1000)
            yield* proxy.thaw
            return { from: begun, to: now() }
          })
        )
  const watched = yield* ask<WatchFigures>({ kind: "measure", turns: cable === undefined })
  const done: Trial = {
    from,
    to: from + load.seconds * 1000,
    outage: pulled === undefined ? undefined : yield* Fiber.join(pulled),
    watch: watched,
    platform: yield* askPlatform<PlatformFigures>({ kind: "tell" })
  }
  return done
}, Effect.scoped)
