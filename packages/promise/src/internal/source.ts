/**
 * What stands behind an opaque `StopStore` or `StopSignal`.
 */
import type * as Layer from "effect/Layer"
import type { MessageStore, Supports } from "effect-cancellation"
import type { StopSignal, StopStore } from "../StopStore.ts"
import { keptIn, toldBy } from "./opaque.ts"

/** A store that is loaded and built when it is used first. */
export interface StoreSource {
  /** How errors and log lines call it. */
  readonly name: string
  /** What it can do, known before it is there. */
  readonly supports: Supports
  /** Loads its adapter. The layer may bring a `StopSignal` too. */
  readonly load: () => Promise<Layer.Layer<MessageStore, unknown>>
}

/** A signal that is loaded and built when it is used first. */
export interface SignalSource {
  readonly name: string
  readonly load: () => Promise<Layer.Layer<never, unknown>>
}

class KeptStore implements StopStore {
  readonly [keptIn]: StoreSource
  constructor(source: StoreSource) {
    this[keptIn] = source
  }
}

class KeptSignal implements StopSignal {
  readonly [toldBy]: SignalSource
  constructor(source: SignalSource) {
    this[toldBy] = source
  }
}

export const storeOf = (source: StoreSource): StopStore => new KeptStore(source)
export const signalOf = (source: SignalSource): StopSignal => new KeptSignal(source)

export const storeSourceOf = (store: StopStore): StoreSource => {
  if (store instanceof KeptStore) return store[keptIn]
  throw new TypeError(
    "store is no store of stops: make one with memory(), postgres(), sqlite(), http(), unique() or defineStore()."
  )
}

export const signalSourceOf = (signal: StopSignal): SignalSource => {
  if (signal instanceof KeptSignal) return signal[toldBy]
  throw new TypeError("signal is no signal of stops: make one with redis().")
}

/** A store that can do everything but announce its stops. */
export const complete: Supports = {
  runs: true,
  stops: true,
  find: true,
  leases: true,
  erasure: true,
  hints: false
}
