/**
 * The promises of a `MessageStore`, as tests.
 *
 * @since 0.1.0
 */
import { layer as provide } from "@effect/vitest"
import * as Duration from "effect/Duration"
import type * as Layer from "effect/Layer"
import type { MessageStore, Supports } from "effect-cancellation"
import { changes } from "./internal/storeContract/changes.ts"
import { makeContract } from "./internal/storeContract/contract.ts"
import { erasure } from "./internal/storeContract/erasure.ts"
import { type ContractRows, flags } from "./internal/storeContract/flags.ts"
import { ids } from "./internal/storeContract/ids.ts"
import { interleavings } from "./internal/storeContract/interleavings.ts"
import { leases } from "./internal/storeContract/leases.ts"
import { looks } from "./internal/storeContract/looks.ts"
import { queries } from "./internal/storeContract/queries.ts"
import { starts } from "./internal/storeContract/starts.ts"
import { stops } from "./internal/storeContract/stops.ts"
import { tenants } from "./internal/storeContract/tenants.ts"
import { times } from "./internal/storeContract/times.ts"
import { expiringTombstones, tombstones } from "./internal/storeContract/tombstones.ts"
import { unsupported } from "./internal/storeContract/unsupported.ts"

/**
 * A layer under test, or a function that makes it with a given time for which a stop waits for a run
 * that has not begun: then the suite can see such a stop expire without waiting 30 seconds.
 *
 * @category models
 * @since 0.1.0
 */
export type StoreUnderTest<E> =
  | Layer.Layer<MessageStore, E>
  | ((options: { readonly tombstoneTtl: Duration.Duration }) => Layer.Layer<MessageStore, E>)

/**
 * What the suite has to know of a store.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoreContractOptions {
  /**
   * What the store does not support: `{ leases: false }`. Everything by default; `hints` is looked at
   * only if it is given. A store that says otherwise in its own `supports` fails.
   */
  readonly supports?: Partial<Supports>
  /**
   * For a layer that is no function: how long its stops wait for a run. Given, the suite waits for
   * one to expire, so it should be short, but longer than a few round trips. By default 30 seconds,
   * and expiry is not tested.
   */
  readonly tombstoneTtl?: Duration.Input
  /** How long the leases are that the suite lets expire; 200 milliseconds by default. */
  readonly leaseTtl?: Duration.Input
  /** How to make rows in a store that does not support `runs`; without it its reads are not tested. */
  readonly rows?: ContractRows
  /** Decides the order of what happens at the same time; by default another one each time. */
  readonly seed?: number
  /** How long a single test may take; 20 seconds by default. */
  readonly timeout?: Duration.Input
}

/**
 * Registers the tests that a `MessageStore` must pass, as a `describe` of Vitest.
 *
 * They use a real clock and ids that are new in each test, so the database need not be empty; but
 * they mark lost and erase whatever in it is old, so give them a database of their own.
 *
 * ```ts
 * import { MessageStore } from "effect-cancellation"
 * import { MessageStoreContract } from "effect-cancellation-testing"
 *
 * MessageStoreContract.suite("memory", MessageStore.layerMemory)
 * ```
 *
 * @category testing
 * @since 0.1.0
 */
export const suite = <E>(
  name: string,
  store: StoreUnderTest<E>,
  options: StoreContractOptions = {}
): void => {
  const supports: Supports = { ...everything, ...options.supports }
  const timeout = Duration.toMillis(Duration.fromInputUnsafe(options.timeout ?? "20 seconds"))
  const services = { excludeTestServices: true, timeout: "30 seconds" } as const
  const { expiring, standard } = layersOf(store, options)

  // Named: without a name the layer would close before the suites nested in it have run.
  provide(standard.layer, services)(`MessageStore contract: ${name}`, (it) => {
    const contract = makeContract(it, supports, timeout)
    unsupported(it, name, supports, options.supports?.hints !== undefined)
    if (!supports.runs && options.rows !== undefined) flags(it, options.rows)
    times(contract)
    looks(contract)
    starts(contract)
    stops(contract)
    tombstones(contract, standard.tombstoneTtl)
    changes(contract)
    queries(contract)
    leases(contract, Duration.fromInputUnsafe(options.leaseTtl ?? "200 millis"))
    erasure(contract)
    tenants(contract)
    ids(contract)
    interleavings(contract, options.seed ?? Math.floor(Math.random() * 2 ** 32))
  })
  if (expiring === undefined || !supports.runs || !supports.stops) return
  provide(expiring, services)(`MessageStore contract, as time passes: ${name}`, (it) =>
    expiringTombstones(makeContract(it, supports, timeout))
  )
}

const everything: Supports = {
  runs: true,
  stops: true,
  find: true,
  leases: true,
  erasure: true,
  hints: false
}

const layersOf = <E>(store: StoreUnderTest<E>, { tombstoneTtl: given }: StoreContractOptions) => {
  const tombstoneTtl = Duration.fromInputUnsafe(given ?? "30 seconds")
  return typeof store === "function"
    ? {
        standard: { layer: store({ tombstoneTtl }), tombstoneTtl },
        expiring: store({ tombstoneTtl: Duration.millis(300) })
      }
    : {
        standard: { layer: store, tombstoneTtl },
        expiring: given === undefined ? undefined : store
      }
}

export type { ContractRows } from "./internal/storeContract/flags.ts"
