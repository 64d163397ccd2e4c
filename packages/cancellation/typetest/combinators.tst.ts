/**
 * What the types of the combinators promise.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { describe, expect, it } from "tstyche"
import {
  type CancellationEvent,
  CancellationWatcher,
  type MessageRef,
  type MessageRepo,
  MessageStore
} from "../src/index.ts"

declare const watcher: Context.Service.Shape<typeof CancellationWatcher>
declare const ref: MessageRef
declare class Failure {
  readonly _tag: "Failure"
}
declare class OtherFailure {
  readonly _tag: "OtherFailure"
}
interface Tools {
  readonly _: unique symbol
}
interface Log {
  readonly _: unique symbol
}
interface Answer {
  readonly text: string
}
declare const count: number
declare const work: Effect.Effect<Answer, Failure, Tools>
declare const source: Stream.Stream<Answer, Failure, Tools>
declare const onCancelled: (event: CancellationEvent) => Effect.Effect<boolean, OtherFailure, Log>

describe("runWithCancellation with cancelResult", () => {
  it("answers A | B, and passes errors and requirements through", () => {
    expect(watcher.runWithCancellation(work, { cancelResult: count })).type.toBe<
      Effect.Effect<Answer | number, Failure, Tools>
    >()
    expect(work.pipe(watcher.runWithCancellation({ cancelResult: count }))).type.toBe<
      Effect.Effect<Answer | number, Failure, Tools>
    >()
  })

  it("takes undefined for a value", () => {
    expect(work.pipe(watcher.runWithCancellation({ cancelResult: undefined }))).type.toBe<
      Effect.Effect<Answer | undefined, Failure, Tools>
    >()
    expect(watcher.runWithCancellation(work, { cancelResult: undefined })).type.toBe<
      Effect.Effect<Answer | undefined, Failure, Tools>
    >()
  })

  it("takes null for a value", () => {
    expect(work.pipe(watcher.runWithCancellation({ cancelResult: null }))).type.toBe<
      Effect.Effect<Answer | null, Failure, Tools>
    >()
  })

  it("keeps a literal written in place, and widens nothing", () => {
    expect(work.pipe(watcher.runWithCancellation({ cancelResult: "stopped" }))).type.toBe<
      Effect.Effect<Answer | "stopped", Failure, Tools>
    >()
    expect(watcher.runWithCancellation(Effect.succeed(1), { cancelResult: true })).type.toBe<
      Effect.Effect<number | true>
    >()
  })

  it("lets an empty list be a list", () => {
    const numbers = Effect.succeed<Array<number>>([1])
    expect(numbers.pipe(watcher.runWithCancellation({ cancelResult: [] }))).type.toBeAssignableTo<
      Effect.Effect<Array<number>>
    >()
  })

  it("takes a value of a type parameter", () => {
    const generic = <T>(value: T) => work.pipe(watcher.runWithCancellation({ cancelResult: value }))
    expect(generic<Date>).type.toBe<(value: Date) => Effect.Effect<Answer | Date, Failure, Tools>>()
  })
})

describe("runWithCancellation with onCancelled", () => {
  it("adds the handler's result, errors and requirements", () => {
    expect(work.pipe(watcher.runWithCancellation({ onCancelled }))).type.toBe<
      Effect.Effect<Answer | boolean, Failure | OtherFailure, Tools | Log>
    >()
    expect(watcher.runWithCancellation(work, { onCancelled })).type.toBe<
      Effect.Effect<Answer | boolean, Failure | OtherFailure, Tools | Log>
    >()
  })
})

describe("runWithCancellation with neither", () => {
  it("answers an Option", () => {
    type Expected = Effect.Effect<Option.Option<Answer>, Failure, Tools>
    expect(watcher.runWithCancellation(work)).type.toBe<Expected>()
    expect(work.pipe(watcher.runWithCancellation())).type.toBe<Expected>()
    expect(work.pipe(watcher.runWithCancellation({}))).type.toBe<Expected>()
    expect(
      work.pipe(watcher.runWithCancellation({ gracePeriod: "1 second" }))
    ).type.toBe<Expected>()
    expect(watcher.runWithCancellation(work, { pollInterval: 100 })).type.toBe<Expected>()
  })
})

describe("the static form of runWithCancellation", () => {
  it("takes the watcher from the context, in both call styles", () => {
    expect(work.pipe(CancellationWatcher.runWithCancellation({ cancelResult: count }))).type.toBe<
      Effect.Effect<Answer | number, Failure, Tools | CancellationWatcher>
    >()
    expect(CancellationWatcher.runWithCancellation(work, { cancelResult: undefined })).type.toBe<
      Effect.Effect<Answer | undefined, Failure, Tools | CancellationWatcher>
    >()
    expect(work.pipe(CancellationWatcher.runWithCancellation({ onCancelled }))).type.toBe<
      Effect.Effect<Answer | boolean, Failure | OtherFailure, Tools | Log | CancellationWatcher>
    >()
    expect(CancellationWatcher.runWithCancellation(work)).type.toBe<
      Effect.Effect<Option.Option<Answer>, Failure, Tools | CancellationWatcher>
    >()
  })

  it("refuses a misspelt option", () => {
    expect(CancellationWatcher.runWithCancellation).type.not.toBeCallableWith(work, {
      canselResult: 1
    })
  })
})

describe("streamWithCancellation", () => {
  it("leaves the stream's type as it is", () => {
    expect(watcher.streamWithCancellation(source)).type.toBe<typeof source>()
    expect(source.pipe(watcher.streamWithCancellation())).type.toBe<typeof source>()
    expect(source.pipe(watcher.streamWithCancellation({ gracePeriod: 0 }))).type.toBe<
      typeof source
    >()
  })

  it("takes the watcher from the context in its static form", () => {
    expect(source.pipe(CancellationWatcher.streamWithCancellation())).type.toBe<
      Stream.Stream<Answer, Failure, Tools | CancellationWatcher>
    >()
    expect(CancellationWatcher.streamWithCancellation(source)).type.toBe<
      Stream.Stream<Answer, Failure, Tools | CancellationWatcher>
    >()
  })
})

describe("the service and its layer", () => {
  it("need a repo and nothing else, and cannot fail", () => {
    expect(CancellationWatcher.layer({ ref })).type.toBe<
      Layer.Layer<CancellationWatcher, never, MessageRepo>
    >()
  })

  it("have members that cannot fail and need nothing", () => {
    expect(watcher.check).type.toBe<Effect.Effect<boolean>>()
    expect(watcher.isCancelled).type.toBe<Effect.Effect<boolean>>()
    expect(watcher.cancellation).type.toBe<Effect.Effect<CancellationEvent>>()
    expect(watcher.events).type.toBe<Stream.Stream<CancellationEvent>>()
    expect(watcher.abortSignal).type.toBe<Effect.Effect<AbortSignal>>()
  })

  it("pass a handler's requirements on, and swallow its errors", () => {
    expect(watcher.onCancellation(onCancelled)).type.toBe<
      Effect.Effect<void, never, Log | Scope.Scope>
    >()
  })

  it("refuse ids that nobody has looked at", () => {
    expect(CancellationWatcher.layer).type.not.toBeCallableWith({
      ref: { chatId: "chat", messageId: "message" }
    })
  })
})

describe("MessageStore.fromLookup", () => {
  it("takes a lookup that can fail in any way", () => {
    expect(MessageStore.fromLookup(() => Effect.fail("down"))).type.toBe<
      Layer.Layer<MessageStore>
    >()
  })
})
