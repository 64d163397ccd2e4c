/**
 * The promises of a `StopSignal`, as tests.
 *
 * @since 0.1.0
 */
import { assert, layer as provide } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ChatId, MessageId, MessageRef, Run, RunId, runKey, StopSignal } from "effect-cancellation"
import { pairs, placeOf } from "./internal/hostileIds.ts"
import { listen } from "./internal/listen.ts"

/**
 * What the suite can be told.
 *
 * @category models
 * @since 0.1.0
 */
export interface SignalContractOptions {
  /**
   * Whether two builds of the layer reach each other, as two processes do on one server; then the
   * suite builds it a second time. False by default.
   */
  readonly acrossProcesses?: boolean
  /** How long a single test may take; 20 seconds by default. */
  readonly timeout?: Duration.Input
}

/**
 * Registers the tests that a `StopSignal` must pass, as a `describe` of Vitest.
 *
 * A signal may lose hints when its connection breaks; the suite asks that none is lost while it holds.
 *
 * ```ts
 * import { StopSignal } from "effect-cancellation"
 * import { StopSignalContract } from "effect-cancellation-testing"
 *
 * StopSignalContract.suite("memory", StopSignal.layerMemory)
 * ```
 *
 * @category testing
 * @since 0.1.0
 */
export const suite = <E>(
  name: string,
  signal: Layer.Layer<never, E>,
  options: SignalContractOptions = {}
): void => {
  const timeout = Duration.toMillis(Duration.fromInputUnsafe(options.timeout ?? "20 seconds"))
  provide(signal, { excludeTestServices: true, timeout: "30 seconds" })(
    `StopSignal contract: ${name}`,
    (it) => {
      it.effect(
        "reaches a subscriber of its own process",
        () =>
          Effect.gen(function* () {
            const { publish } = yield* StopSignal
            const { hears } = yield* listen(yield* StopSignal)
            const run = freshRun()
            yield* publish(run)
            yield* hears([run])
          }),
        timeout
      )

      it.effect(
        "reaches every subscriber with every hint",
        () =>
          Effect.gen(function* () {
            const { publish } = yield* StopSignal
            const listeners = yield* Effect.all(
              Array.from({ length: 3 }, () => Effect.flatMap(StopSignal, listen))
            )
            const runs = Array.from({ length: 100 }, freshRun)
            yield* Effect.forEach(runs, publish, { concurrency: 10 })
            yield* Effect.forEach(listeners, ({ hears }) => hears(runs))
          }),
        timeout
      )

      it.effect(
        "names the run that was published and no other",
        () =>
          Effect.gen(function* () {
            const { publish } = yield* StopSignal
            const { heard, hears } = yield* listen(yield* StopSignal)
            const runs = Array.from({ length: 5 }, freshRun)
            yield* Effect.forEach(runs, publish)
            yield* hears(runs)
            const published = new Set(runs.map(runKey))
            const messages = new Set(runs.map(({ ref }) => ref.messageId))
            // on a server that is shared there may be hints of others' messages
            const strange = heard().filter(
              (run) => messages.has(run.ref.messageId) && !published.has(runKey(run))
            )
            assert.deepStrictEqual(strange, [])
          }),
        timeout
      )

      it.effect(
        "carries ids that are long, strange or like each other intact",
        () =>
          Effect.gen(function* () {
            const { publish } = yield* StopSignal
            const { hears } = yield* listen(yield* StopSignal)
            const prefix = crypto.randomUUID()
            const runs = pairs.flatMap(([, id, other]) => [
              placeOf(prefix + id),
              placeOf(prefix + other)
            ])
            yield* Effect.forEach(runs, publish)
            yield* hears(runs)
          }),
        timeout
      )

      it.effect(
        "reaches a subscriber that came later with later hints",
        () =>
          Effect.gen(function* () {
            const { publish } = yield* StopSignal
            const first = yield* listen(yield* StopSignal)
            const [early, late] = [freshRun(), freshRun()]
            yield* publish(early)
            yield* first.hears([early])
            const second = yield* listen(yield* StopSignal)
            yield* publish(late)
            yield* first.hears([late])
            yield* second.hears([late])
          }),
        timeout
      )

      it.effect(
        "goes on for the others when a subscriber leaves",
        () =>
          Effect.gen(function* () {
            const { publish } = yield* StopSignal
            const staying = yield* listen(yield* StopSignal)
            yield* Effect.scoped(Effect.flatMap(StopSignal, listen))
            const run = freshRun()
            yield* publish(run)
            yield* staying.hears([run])
          }),
        timeout
      )

      it.effect(
        "publishes when nobody listens",
        () =>
          Effect.gen(function* () {
            const { publish } = yield* StopSignal
            assert.isUndefined(yield* publish(freshRun()))
          }),
        timeout
      )

      if (options.acrossProcesses !== true) return

      it.effect(
        "reaches another process, and is reached by it",
        () =>
          Effect.gen(function* () {
            const here = yield* StopSignal
            const there = yield* Effect.flatMap(Layer.build(Layer.fresh(signal)), (context) =>
              Effect.provide(StopSignal, context)
            )
            const listeners = [yield* listen(here, there), yield* listen(there, here)]
            const runs = [freshRun(), freshRun()] as const
            yield* here.publish(runs[0])
            yield* there.publish(runs[1])
            yield* Effect.forEach(listeners, ({ hears }) => hears(runs))
          }),
        timeout
      )
    }
  )
}

const freshRun = (): Run =>
  Run.make({
    ref: MessageRef.make({
      chatId: ChatId.make(crypto.randomUUID()),
      messageId: MessageId.make(crypto.randomUUID())
    }),
    runId: RunId.make(crypto.randomUUID())
  })
