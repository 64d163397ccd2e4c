import * as Redacted from "effect/Redacted"
import type { Cluster } from "./Cluster.ts"

/** Where a cluster's server answers. */
export const urlOf = (
  { password }: Pick<Cluster, "password">,
  port: number,
  database = "postgres"
): Redacted.Redacted =>
  Redacted.make(`postgres://postgres:${Redacted.value(password)}@127.0.0.1:${port}/${database}`)
