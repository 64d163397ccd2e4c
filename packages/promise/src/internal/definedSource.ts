/**
 * A program's own functions as a store: what they can do is known at once, the rest is loaded later.
 */
import type { FlagStoreDefinition, StoreDefinition } from "../defineStore.ts"
import type { StoreSource } from "./source.ts"

const pairs = [
  ["startRuns", "advanceRuns"],
  ["advanceRuns", "startRuns"],
  ["renewLease", "sweepLost"],
  ["sweepLost", "renewLease"],
  ["renewLease", "startRuns"]
] as const

const names: ReadonlySet<string> = new Set([
  "findStops",
  "startRuns",
  "advanceRuns",
  "requestStop",
  "findRuns",
  "renewLease",
  "sweepLost",
  "forget",
  "findFlags",
  "setFlags"
])

export const definedSource = (definition: StoreDefinition | FlagStoreDefinition): StoreSource => {
  check(definition)
  if ("findFlags" in definition) {
    const stops = definition.setFlags !== undefined
    const supports = {
      runs: false,
      stops,
      find: false,
      leases: false,
      erasure: false,
      hints: false
    }
    return {
      name: "defineStore",
      supports,
      load: async () => (await import("./definedFlags.ts")).definedFlags(definition, supports)
    }
  }
  const supports = {
    runs: definition.startRuns !== undefined,
    stops: definition.requestStop !== undefined,
    find: definition.findRuns !== undefined,
    leases: definition.renewLease !== undefined,
    erasure: definition.forget !== undefined,
    hints: false
  }
  return {
    name: "defineStore",
    supports,
    load: async () => (await import("./definedStore.ts")).definedStore(definition, supports)
  }
}

const check = (definition: unknown): void => {
  if (typeof definition !== "object" || definition === null) {
    throw new TypeError(`defineStore needs an object of functions, not ${typeof definition}.`)
  }
  const given = new Map(
    Array.from(names, (name): [string, unknown] => [name, Reflect.get(definition, name)])
  )
  for (const name of Object.keys(definition)) {
    if (!names.has(name)) throw new TypeError(`defineStore knows no function ${name}.`)
  }
  for (const [name, value] of given) {
    if (value === undefined || typeof value === "function") continue
    throw new TypeError(`${name} of defineStore is no function.`)
  }
  const has = (name: string) => given.get(name) !== undefined
  if (has("findStops") === has("findFlags")) {
    throw new TypeError("defineStore needs findStops, or findFlags, and not both.")
  }
  for (const [name, other] of pairs) {
    if (has(name) && !has(other)) throw new TypeError(`${name} of defineStore needs ${other}.`)
  }
}
