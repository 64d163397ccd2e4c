/**
 * What the types of runs promise: the result is the work's or that of the stop, and nothing else.
 */
import { describe, expect, it } from "tstyche"
import type { Run, StopEvent, StopReceipt, Stops } from "../src/index.ts"
import { createStops } from "../src/index.ts"

declare const run: Run
declare const stops: Stops
declare const receipt: StopReceipt
interface Answer {
  readonly text: string
}
declare const work: (signal: AbortSignal) => Promise<Answer>

describe("run.run", () => {
  it("answers the work's value or what is given for a stop", () => {
    expect(run.run(work, { whenStopped: null })).type.toBe<Promise<Answer | null>>()
    expect(run.run(work, { whenStopped: { partial: 1 } })).type.toBe<
      Promise<Answer | { partial: number }>
    >()
  })

  it("keeps the literal types of what is given", () => {
    expect(run.run(work, { whenStopped: "stopped" })).type.toBe<Promise<Answer | "stopped">>()
    expect(run.run(work, { whenStopped: 7 })).type.toBe<Promise<Answer | 7>>()
    expect(run.run(work, { whenStopped: false })).type.toBe<Promise<Answer | false>>()
  })

  it("answers what a function of the event makes, at once or later", () => {
    expect(run.run(work, { whenStopped: (event) => event.detectedAt })).type.toBe<
      Promise<Answer | Date>
    >()
    expect(run.run(work, { whenStopped: async (event) => event })).type.toBe<
      Promise<Answer | StopEvent>
    >()
  })

  it("answers exactly the work's value without it", () => {
    expect(run.run(work)).type.toBe<Promise<Answer>>()
    expect(run.run(work, { gracePeriod: 1000 })).type.toBe<Promise<Answer>>()
    expect(run.run(() => 7)).type.toBe<Promise<number>>()
  })

  it("takes undefined as a value for a stop", () => {
    expect(run.run(work, { whenStopped: undefined })).type.toBe<Promise<Answer | undefined>>()
  })

  it("takes no option that there is not", () => {
    expect(run.run).type.not.toBeCallableWith(work, { whenStoped: "stopped" })
    expect(run.run).type.not.toBeCallableWith(work, { gracePeriod: "5 seconds" })
    expect(run.run).type.not.toBeCallableWith(work, { signal: new AbortController() })
    expect(run.run).type.not.toBeCallableWith(work(run.signal))
  })
})

describe("stops.run", () => {
  const whole = async (_run: Run, _signal: AbortSignal): Promise<Answer> => ({ text: "" })

  it("gives the work its run and its signal", () => {
    void stops.run({ chatId: "c" }, (own, signal) => {
      expect(own).type.toBe<Run>()
      expect(signal).type.toBe<AbortSignal>()
      return 1
    })
  })

  it("answers as run.run does", () => {
    const message = { chatId: "c" }
    expect(stops.run(message, whole)).type.toBe<Promise<Answer>>()
    expect(stops.run(message, whole, { whenStopped: "stopped" })).type.toBe<
      Promise<Answer | "stopped">
    >()
    expect(stops.run(message, whole, { whenStopped: async (event) => event.reason })).type.toBe<
      Promise<Answer | StopEvent["reason"]>
    >()
    expect(stops.run(message, whole, { runId: "job", whenStopped: undefined })).type.toBe<
      Promise<Answer | undefined>
    >()
  })

  it("needs a chat, and takes no option that there is not", () => {
    expect(stops.run).type.not.toBeCallableWith({ messageId: "m" }, whole)
    expect(stops.run).type.not.toBeCallableWith({ chatId: "c" }, whole, { run: "job" })
  })
})

describe("run.stream", () => {
  it("makes an async iterable of one, and of what only iterates", () => {
    expect(run.stream({} as AsyncIterable<Answer>)).type.toBe<AsyncIterableIterator<Answer>>()
    expect(run.stream([1, 2])).type.toBe<AsyncIterableIterator<number>>()
  })

  it("makes a ReadableStream of one", () => {
    expect(run.stream({} as ReadableStream<Answer>)).type.toBe<ReadableStream<Answer>>()
  })

  it("makes an async iterable of a function's source, whichever it is", () => {
    expect(run.stream((signal) => iterate(signal))).type.toBe<AsyncIterableIterator<Answer>>()
    expect(run.stream(async (signal) => iterate(signal))).type.toBe<AsyncIterableIterator<Answer>>()
    expect(run.stream(() => ({}) as ReadableStream<Answer>)).type.toBe<
      AsyncIterableIterator<Answer>
    >()
  })

  it("takes neither what brings nothing, nor options of work", () => {
    expect(run.stream).type.not.toBeCallableWith(7)
    expect(run.stream).type.not.toBeCallableWith([1], { whenStopped: "stopped" })
  })
})

declare const iterate: (signal: AbortSignal) => AsyncIterable<Answer>

describe("a receipt", () => {
  it("has what its phase says, and no more", () => {
    expect(receipt).type.not.toHaveProperty("ended")
    if (receipt.phase === "pending") {
      expect(receipt.expiresAt).type.toBe<Date>()
      expect(receipt.messageId).type.toBe<string | undefined>()
    }
    if (receipt.phase === "requested") {
      expect(receipt.requested.by).type.toBe<string | undefined>()
      expect(receipt).type.not.toHaveProperty("observed")
    }
    if (receipt.phase === "observed") expect(receipt.observed.at).type.toBe<Date>()
    if (receipt.phase === "ended") expect(receipt.ended.at).type.toBe<Date>()
    if (receipt.phase === "superseded") expect(receipt).type.not.toHaveProperty("requested")
  })
})

describe("createStops", () => {
  it("takes milliseconds, and no option that there is not", () => {
    expect(createStops).type.toBeCallableWith()
    expect(createStops).type.toBeCallableWith({ gracePeriod: 1000, store: undefined })
    expect(createStops).type.not.toBeCallableWith({ pollInterval: "2 seconds" })
    expect(createStops).type.not.toBeCallableWith({ store: "postgres://localhost" })
    expect(createStops).type.not.toBeCallableWith({ runId: "job" })
    expect(stops.stop).type.not.toBeCallableWith({ chatId: "c" }, { reason: "bored" })
    expect(stops.drain).type.not.toBeCallableWith({})
  })
})
