/**
 * All parts, in the order of the table.
 */
import { burst } from "./parts/burst.ts"
import { check } from "./parts/check.ts"
import { churn } from "./parts/churn.ts"
import { importing } from "./parts/import.ts"
import { isCancelled } from "./parts/isCancelled.ts"
import { latency } from "./parts/latency.ts"
import { latencyPolling } from "./parts/latencyPolling.ts"
import { memory } from "./parts/memory.ts"
import { overhead } from "./parts/overhead.ts"
import { reads } from "./parts/reads.ts"
import { stall } from "./parts/stall.ts"
import { start } from "./parts/start.ts"
import { stream } from "./parts/stream.ts"
import type { Part } from "./Part.ts"

export const parts: ReadonlyArray<Part> = [
  overhead,
  check,
  isCancelled,
  stream,
  reads,
  memory,
  latency,
  latencyPolling,
  stall,
  burst,
  start,
  churn,
  importing
]
