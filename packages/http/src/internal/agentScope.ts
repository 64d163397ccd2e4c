/**
 * Whether a run is an agent's own. What is not is to it as if it did not exist.
 */
import { defaultTenant, type Run, runKey } from "effect-cancellation"
import type { AgentScope } from "../CurrentAgent.ts"

export type IsWithin = (run: Run) => boolean

export const withinOf = (scope: AgentScope): IsWithin => {
  if (scope._tag === "Runs") {
    const keys = new Set(scope.runs.map(runKey))
    return (run) => keys.has(runKey(run))
  }
  const companyId = scope.companyId ?? defaultTenant
  return ({ ref }) => (ref.companyId ?? defaultTenant) === companyId
}
