import type { ContentSupports } from "effect-cancellation"
import { changing } from "./changing.ts"
import type { ContentTests } from "./contract.ts"
import { finding, making } from "./making.ts"
import { hostileIds, places } from "./places.ts"
import { unsupported } from "./unsupported.ts"

/** All tests of a store of texts that supports this; `name` is for what is printed. */
export const contentTests = (
  name: string,
  supports: ContentSupports
): ReadonlyArray<ContentTests> => [
  unsupported(name, supports),
  making(supports),
  finding(supports),
  changing(supports),
  places(supports),
  hostileIds(supports)
]
