// A network between 400 agents and the database that breaks, or says nothing any more. The process
// that takes the stops still reaches the store.
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import * as Trial from "./agents/Trial.ts"
import * as Postgres from "./support/Postgres.ts"
import * as TcpProxy from "./support/TcpProxy.ts"

vi.setConfig({ testTimeout: 120_000 })

const blind = /^The store cannot be asked for stops/
const seeing = /^The store answers again/

it.live("the network is cut for 30 seconds", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const proxy = yield* TcpProxy.make(url)
    const trial = yield* Trial.make({ direct: url, url: proxy.url })
    yield* trial.underStops(
      Effect.gen(function* () {
        yield* trial.moreDetected(30)
        yield* trial.fault(
          Effect.gen(function* () {
            yield* proxy.cut
            yield* trial.complete(20)
            yield* Effect.sleep("30 seconds")
            yield* proxy.mend
          })
        )
        yield* trial.said(seeing, 2)
        yield* trial.moreDetected(30)
      })
    )
    const { figures, rows } = yield* trial.finish("The network cut for 30 seconds")
    Trial.assertKept(figures, 100)
    assert.lengthOf(
      rows.filter(({ outcome }) => outcome === "completed"),
      20
    )
  })
)

it.live("the network is frozen, and goes on where it stood", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const proxy = yield* TcpProxy.make(url)
    const trial = yield* Trial.make({ direct: url, url: proxy.url })
    yield* trial.underStops(
      Effect.gen(function* () {
        yield* trial.moreDetected(30)
        yield* trial.fault(
          Effect.gen(function* () {
            yield* proxy.freeze
            yield* trial.said(blind, 2)
            yield* Effect.sleep("12 seconds")
            yield* proxy.thaw
          })
        )
        yield* trial.said(seeing, 2)
        yield* trial.moreDetected(30)
      })
    )
    const { figures } = yield* trial.finish("The network frozen for 12 seconds, then as before")
    Trial.assertKept(figures, 100)
  })
)

it.live("the network is frozen, and every connection is lost at last", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const proxy = yield* TcpProxy.make(url)
    const trial = yield* Trial.make({ direct: url, url: proxy.url })
    yield* trial.underStops(
      Effect.gen(function* () {
        yield* trial.moreDetected(30)
        yield* trial.fault(
          Effect.gen(function* () {
            yield* proxy.freeze
            yield* trial.said(blind, 2)
            yield* Effect.sleep("4 seconds")
            yield* proxy.cut
            yield* proxy.thaw
            yield* proxy.mend
          })
        )
        yield* trial.said(seeing, 2)
        yield* trial.moreDetected(30)
      })
    )
    const { figures } = yield* trial.finish("The network frozen, then cut")
    Trial.assertKept(figures, 100)
  })
)
