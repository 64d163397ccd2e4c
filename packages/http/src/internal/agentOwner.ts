/**
 * The names of an agent's processes as the store has them: bound to what the agent is.
 *
 * A lease is set by its owner's name alone. By the bare name an agent of another company could set one
 * to end at once, and have every run of that process marked as lost.
 */
import * as Effect from "effect/Effect"
import { defaultTenant, ProcessId, RunRecord } from "effect-cancellation"
import type { AgentScope } from "../CurrentAgent.ts"
import { hashed } from "./hashed.ts"

export interface AgentOwners {
  /** The name that the store is given. */
  readonly stored: (owner: ProcessId) => Effect.Effect<ProcessId>
  /** The record as this agent is told it: without the owner that is another's. */
  readonly told: (record: RunRecord) => RunRecord
}

export const ownersOf = (scope: AgentScope): Effect.Effect<AgentOwners> =>
  Effect.map(hashed(identityOf(scope)), (hash) => {
    // A name too long to be kept is known only to the request that says it.
    const shortened = new Map<ProcessId, ProcessId>()
    const nameOf = (owner: ProcessId): ProcessId | undefined =>
      owner.startsWith(`${hash}:`)
        ? ProcessId.make(owner.slice(hash.length + 1))
        : shortened.get(owner)
    return {
      stored: Effect.fnUntraced(function* (owner) {
        if (Array.from(owner).length <= longest) return ProcessId.make(`${hash}:${owner}`)
        const short = ProcessId.make(`${hash}=${yield* hashed(owner)}`)
        shortened.set(short, owner)
        return short
      }),
      told: ({ owner, ...record }) => {
        const name = owner === undefined ? undefined : nameOf(owner)
        return RunRecord.make({ ...record, ...(name === undefined ? {} : { owner: name }) })
      }
    }
  })

// It must outlive a token: the runs of a credential may change while its agent holds a lease.
const identityOf = (scope: AgentScope): string =>
  JSON.stringify(
    scope._tag === "Company"
      ? [scope._tag, scope.companyId ?? defaultTenant]
      : [scope._tag, scope.agent]
  )

/** What of the 255 characters of a name is left; a `MessageRepo` has no name that is longer. */
const longest = 255 - 17
