/**
 * The promises of a `MessageContent`, as tests.
 *
 * @since 0.1.0
 */
import { describe, layer as provide } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { type ContentSupports, fullContentSupport, MessageContent } from "effect-cancellation"
import { contentTests } from "./internal/contentContract/tests.ts"

/**
 * What the suite can be told.
 *
 * @category models
 * @since 0.1.0
 */
export interface ContentContractOptions {
  /**
   * What the store does not support: `{ writers: false }`. Everything by default. A store that says
   * otherwise in its own `supports` fails, and `roles` must have the assistant, whose messages the
   * suite makes.
   */
  readonly supports?: Partial<ContentSupports>
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
  const supports: ContentSupports = { ...fullContentSupport, ...options.supports }
  const timeout = Duration.toMillis(Duration.fromInputUnsafe(options.timeout ?? "20 seconds"))
  // Named: without a name the layer would close before the suites nested in it have run.
  provide(content, { excludeTestServices: true, timeout: "30 seconds" })(
    `MessageContent contract: ${name}`,
    (it) => {
      for (const { tests, title } of contentTests(name, supports)) {
        // Vitest refuses an empty `describe`.
        if (tests.length === 0) continue
        // oxlint-disable-next-line vitest/valid-title -- it is a string, as its type says
        describe(title, () => {
          for (const { body, title } of tests) {
            it.effect(title, () => Effect.flatMap(MessageContent, body), { timeout })
          }
        })
      }
    }
  )
}
