/**
 * What the types of child runs promise.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { describe, expect, it } from "tstyche"
import type { CancellationWatcher, MessageRef, MessageRepo, Run } from "effect-cancellation"
import { ChildRuns } from "../src/ChildRuns.ts"

declare const children: Context.Service.Shape<typeof ChildRuns>
declare const ref: MessageRef
declare const run: Run
declare class Failure {
  readonly _tag: "Failure"
}
interface Tools {
  readonly _: unique symbol
}
interface Answer {
  readonly text: string
}
declare const work: Effect.Effect<Answer, Failure, Tools>
declare const watched: Effect.Effect<Answer, Failure, Tools | CancellationWatcher>
declare const stored: Effect.Effect<Answer, Failure, MessageRepo>
declare const scoped: Effect.Effect<Answer, never, Scope.Scope>

describe("ChildRuns.run", () => {
  it("answers exactly what the child answers, and takes the parent and the service", () => {
    expect(ChildRuns.run(work, { ref })).type.toBe<
      Effect.Effect<Answer, Failure, Tools | CancellationWatcher | ChildRuns>
    >()
    expect(work.pipe(ChildRuns.run({ ref, onParentStop: "continue" }))).type.toBe<
      Effect.Effect<Answer, Failure, Tools | CancellationWatcher | ChildRuns>
    >()
    expect(children.run(work, { ref })).type.toBe<
      Effect.Effect<Answer, Failure, Tools | CancellationWatcher>
    >()
    expect(work.pipe(children.run({ ref }))).type.toBe<
      Effect.Effect<Answer, Failure, Tools | CancellationWatcher>
    >()
  })

  it("needs a parent, whether or not the child looks at its own watcher", () => {
    expect(children.run(watched, { ref })).type.toBe<
      Effect.Effect<Answer, Failure, Tools | CancellationWatcher>
    >()
  })

  it("gives the child nothing but its watcher", () => {
    expect(children.run(stored, { ref })).type.toBe<
      Effect.Effect<Answer, Failure, MessageRepo | CancellationWatcher>
    >()
    expect(children.run(scoped, { ref })).type.toBe<
      Effect.Effect<Answer, never, Scope.Scope | CancellationWatcher>
    >()
  })

  it("takes the settings of a watcher, and the two words", () => {
    expect(ChildRuns.run).type.toBeCallableWith(work, {
      ref,
      pollInterval: "1 second",
      handlerTimeout: "1 second",
      gracePeriod: "1 second",
      onParentStop: "stop" as const
    })
    expect(ChildRuns.run).type.not.toBeCallableWith(work, { ref, onParentStop: "ignore" })
    expect(ChildRuns.run).type.not.toBeCallableWith(work, {})
    expect(ChildRuns.run).type.not.toBeCallableWith(work)
  })
})

describe("ChildRuns.follow", () => {
  it("never fails, and lasts as long as its scope", () => {
    expect(ChildRuns.follow(run)).type.toBe<
      Effect.Effect<void, never, ChildRuns | CancellationWatcher | Scope.Scope>
    >()
    expect(children.follow(run, { onParentStop: "continue" })).type.toBe<
      Effect.Effect<void, never, CancellationWatcher | Scope.Scope>
    >()
  })

  it("follows a run, not whatever writes a message", () => {
    expect(ChildRuns.follow).type.not.toBeCallableWith(ref)
    expect(ChildRuns.follow).type.not.toBeCallableWith(run, { onParentStop: "ignore" })
  })
})

describe("ChildRuns.layer", () => {
  it("needs the repo only", () => {
    expect(ChildRuns.layer).type.toBe<Layer.Layer<ChildRuns, never, MessageRepo>>()
  })
})
