/**
 * All parts, in the order of the table.
 */
import { check } from "./parts/check.ts"
import { isCancelled } from "./parts/isCancelled.ts"
import { overhead } from "./parts/overhead.ts"
import { stream } from "./parts/stream.ts"
import type { Part } from "./Part.ts"

export const parts: ReadonlyArray<Part> = [overhead, check, isCancelled, stream]
