/**
 * The promises of a `MessageContent`, as tests.
 *
 * @since 0.1.0
 */
import { layer as provide } from "@effect/vitest"
import * as Duration from "effect/Duration"
import type * as Layer from "effect/Layer"
import type { MessageContent } from "effect-cancellation"
import { changing } from "./internal/contentContract/changing.ts"
import { making } from "./internal/contentContract/making.ts"
import { places } from "./internal/contentContract/places.ts"

/**
 * What the suite can be told.
 *
 * @category models
 * @since 0.1.0
 */
export interface ContentContractOptions {
  /** How long a single test may take; 20 seconds by default. */
  readonly timeout?: Duration.Input
}

/**
 * Registers the tests that a `MessageContent` must pass, as a `describe` of Vitest.
 *
 * They use a real clock and ids that are new in each test, so the database need not be empty.
 *
 * ```ts
 * import { MessageContent } from "effect-cancellation"
 * import { MessageContentContract } from "effect-cancellation-testing"
 *
 * MessageContentContract.suite("memory", MessageContent.layerMemory)
 * ```
 *
 * @category testing
 * @since 0.1.0
 */
export const suite = <E>(
  name: string,
  content: Layer.Layer<MessageContent, E>,
  options: ContentContractOptions = {}
): void => {
  const timeout = Duration.toMillis(Duration.fromInputUnsafe(options.timeout ?? "20 seconds"))
  // Named: without a name the layer would close before the suites nested in it have run.
  provide(content, { excludeTestServices: true, timeout: "30 seconds" })(
    `MessageContent contract: ${name}`,
    (it) => {
      making({ it, timeout })
      changing({ it, timeout })
      places({ it, timeout })
    }
  )
}
