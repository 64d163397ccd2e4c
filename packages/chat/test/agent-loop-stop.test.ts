// Nothing fires after Stop: counted at the store, from the moment in which the stop is committed.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { MessageRepo, MessageStore } from "effect-cancellation"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { AgentLoop, type AgentResult, ChatService } from "../src/index.ts"
import {
  call,
  ended,
  makeBench,
  pass,
  pressStop,
  resultsIn,
  settle,
  stage,
  stopElsewhere,
  toolkit,
  wishes
} from "./agent-loop.fixture.ts"
import { ref } from "./support/chat.ts"
import type { Script } from "./support/scriptedModel.ts"

const prompt = "Do it."
const seed = Number(process.env["CHAT_SEED"] ?? Date.now() % 0x7fffffff)
const runs = Number(process.env["CHAT_RUNS"] ?? 200)

interface Case {
  /** How many world-changing tools each answer of the model wishes for. */
  readonly steps: ReadonlyArray<number>
  readonly concurrency: number | "unbounded"
  /** In milliseconds: until a read, or the commit, happens at the store; and until its answer comes. */
  readonly readsIn: number
  readonly answersIn: number
  readonly commitsIn: number
  readonly modelTakes: number
  /** When the person presses Stop. */
  readonly stopAt: number
}

const cases: fc.Arbitrary<Case> = fc.record({
  steps: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 }),
  concurrency: fc.constantFrom<Case["concurrency"]>(1, 1, 2, "unbounded"),
  readsIn: fc.constantFrom(0, 0, 10, 30),
  answersIn: fc.constantFrom(0, 0, 10, 30),
  commitsIn: fc.constantFrom(0, 20),
  modelTakes: fc.constantFrom(0, 50),
  stopAt: fc.integer({ min: 0, max: 1200 })
})

interface Trace {
  readonly result: AgentResult
  /** The number of the step of the store in which the stop was committed. */
  readonly committed: number
  /** For each tool that began: in which step it did, and in which its check had begun. */
  readonly starts: ReadonlyArray<{ readonly at: number; readonly checkBegan: number }>
  readonly calls: number
}

/** Plays a case with polling only: nothing but a check, or the end of an hour, finds the stop. */
const play = (one: Case): Effect.Effect<Trace, unknown> =>
  Effect.gen(function* () {
    let moment = 0
    let committed = Number.POSITIVE_INFINITY
    // Begins of checks whose answers came, and that no tool or step has used yet.
    let answered: Array<number> = []
    const starts: Array<{ at: number; checkBegan: number }> = []

    const store = Layer.effect(
      MessageStore,
      Effect.map(MessageStore, (inner) =>
        MessageStore.of({
          ...inner,
          stopRequests: (runs) =>
            Effect.gen(function* () {
              const began = ++moment
              yield* Effect.sleep(one.readsIn)
              const look = yield* inner.stopRequests(runs)
              yield* Effect.sleep(one.answersIn)
              answered.push(began)
              return look
            }),
          requestStop: (target, intent) =>
            Effect.andThen(
              Effect.sleep(one.commitsIn),
              Effect.tap(inner.requestStop(target, intent), () =>
                Effect.sync(() => {
                  committed = ++moment
                })
              )
            )
        })
      )
    ).pipe(Layer.provide(MessageStore.layerMemory()))

    const bench = makeBench((id) =>
      Effect.suspend(() => {
        const checkBegan = answered.shift()
        if (checkBegan === undefined) return Effect.die(`${id} begins without a check`)
        starts.push({ at: ++moment, checkBegan })
        return Effect.as(Effect.sleep("100 millis"), `did ${id}`)
      })
    )
    // The model is asked: the check before the step is used.
    const thinks = Effect.suspend(() => {
      answered = []
      return Effect.sleep(one.modelTakes)
    })
    const scripts: ReadonlyArray<Script> = one.steps.map((count, step) => [
      thinks,
      ...wishes(
        ...Array.from({ length: count }, (_, index) =>
          call(`${step}-${index}`, index % 3 === 2 ? "Pay" : "Work")
        )
      )
    ])

    return yield* Effect.gen(function* () {
      const loop = yield* Effect.forkChild(
        AgentLoop.run({ prompt, toolkit, concurrency: one.concurrency })
      )
      yield* Effect.forkChild(Effect.andThen(Effect.sleep(one.stopAt), stopElsewhere))
      while (loop.pollUnsafe() === undefined) yield* pass(10, 10)
      const result = yield* Fiber.join(loop)
      const calls = one.steps.reduce((sum, count) => sum + count, 0)
      return { result, committed, starts, calls }
    }).pipe(Effect.provide(stage(scripts, { bench, store })))
  }).pipe(Effect.provide(TestClock.layer()))

describe(`nothing fires after Stop (seed ${seed})`, () => {
  it(
    "with polling only: no tool begins whose check began after the commit of the stop",
    async () => {
      const seen = { stoppedMidway: 0, beganAfterCommit: 0, cutOnes: 0, cases: 0 }
      const property = fc.asyncProperty(cases, async (one) => {
        const { calls, committed, result, starts } = await Effect.runPromise(play(one))
        const late = starts.filter(({ checkBegan }) => checkBegan > committed)
        assert.deepStrictEqual(late, [])
        seen.cases++
        if (result._tag !== "Stopped") return
        if (starts.length > 0 && starts.length < calls) seen.stoppedMidway++
        if (starts.some(({ at }) => at > committed)) seen.beganAfterCommit++
        if (result.underWay._tag === "Tools") seen.cutOnes++
      })
      await fc.assert(property, { numRuns: runs, seed })
      // What never came near the commit has shown nothing.
      assert.isAbove(seen.stoppedMidway, 40, JSON.stringify(seen))
      assert.isAbove(seen.beganAfterCommit, 0, JSON.stringify(seen))
    },
    runs * 400
  )

  const five = Array.from({ length: 5 }, (_, index) => call(`${index}`))

  for (const [title, scripts] of [
    ["of five steps", five.map((one) => wishes(one))],
    ["of one answer, one at a time", [wishes(...five)]]
  ] as const) {
    it.effect(
      `with push from another process: of five tools ${title}, only the first begins`,
      () => {
        const bench = makeBench()
        return Effect.gen(function* () {
          const loop = yield* Effect.forkChild(AgentLoop.run({ prompt, toolkit, concurrency: 1 }))
          yield* bench.until("begin 0")
          yield* Effect.gen(function* () {
            const other = yield* MessageRepo
            yield* other.requestStop(ref)
          }).pipe(Effect.provide(MessageRepo.layer(), { local: true }), Effect.orDie)
          const result = yield* Fiber.join(loop)
          assert.deepStrictEqual(bench.log, ["begin 0", "cut 0"])
          assert.strictEqual(result._tag, "Stopped")
          assert.strictEqual(result._tag === "Stopped" && result.event.detectedBy, "hint")
        }).pipe(Effect.provide(stage(scripts, { bench })))
      }
    )
  }

  it.effect("interrupts tools that run at the same time, and waits for their finalizers", () => {
    const bench = makeBench((id) =>
      Effect.ensuring(
        Effect.never,
        Effect.andThen(Effect.sleep("2 seconds"), bench.say(`cleaned ${id}`))
      )
    )
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(
        Effect.tap(AgentLoop.run({ prompt, toolkit }), () => bench.say("result"))
      )
      yield* bench.until("begin 4")
      yield* pressStop()
      yield* pass(1900, 100)
      assert.isUndefined(loop.pollUnsafe())
      yield* pass(200, 100)
      const result = yield* Fiber.join(loop)
      assert.strictEqual(bench.log.at(-1), "result")
      assert.sameMembers(
        bench.log,
        five.flatMap((_, id) => [`begin ${id}`, `cleaned ${id}`, `cut ${id}`]).concat("result")
      )
      assert.lengthOf(Object.keys(resultsIn(result.messages)), 5)
    }).pipe(Effect.provide(stage([wishes(...five)], { bench })))
  })

  it.effect(
    "asks the store before a step and before each tool that changes the world, and never else",
    () => {
      const bench = makeBench()
      return Effect.gen(function* () {
        yield* settle
        const faults = yield* StoreFaults
        const before = (yield* faults.counts).stopRequests.calls
        const loop = yield* Effect.forkChild(AgentLoop.run({ prompt, toolkit }))
        yield* pass(500)
        const result = yield* Fiber.join(loop)
        assert.strictEqual(result.iterations, 3)
        // Three steps, and the tools a, d and e.
        assert.strictEqual((yield* faults.counts).stopRequests.calls - before, 6)
      }).pipe(
        Effect.provide(
          stage(
            [
              wishes(call("a"), call("b", "Look"), call("c", "Look")),
              wishes(call("d", "Try"), call("e", "Pay"), call("f", "Look"), call("g", "Missing"))
            ],
            { bench }
          )
        )
      )
    }
  )

  for (const name of ["Work", "Pay"]) {
    for (const observe of [undefined, () => Effect.yieldNow]) {
      it.effect(
        `the tool ${name} is begun in the step that has the answer of its check${observe ? ", whoever is told" : ""}`,
        () =>
          Effect.gen(function* () {
            const chat = yield* ChatService
            const handlers = yield* toolkit
            const log: Array<string> = []
            const fibers: Array<number> = []
            const note = (line: string) =>
              Effect.withFiber<void>(({ id }) => {
                log.push(line)
                fibers.push(id)
                return Effect.void
              })
            const check = Effect.tap(chat.cancellation.check, () =>
              Effect.tap(note("checked"), () =>
                Effect.sync(() => queueMicrotask(() => log.push("others")))
              )
            )
            const handle: typeof handlers.handle = (...call) =>
              Effect.andThen(note("begun"), handlers.handle(...call))
            yield* ended(
              AgentLoop.run({
                prompt,
                toolkit: { ...handlers, handle },
                observe
              }).pipe(
                Effect.provideService(ChatService, {
                  ...chat,
                  cancellation: { ...chat.cancellation, check }
                })
              )
            )
            const begun = log.indexOf("begun")
            assert.deepStrictEqual(log.slice(begun - 1, begun + 2), ["checked", "begun", "others"])
            // The check before the step, and that of the tool.
            assert.strictEqual(fibers[1], fibers[2])
          }).pipe(Effect.provide(stage([wishes(call("a", name))])))
      )
    }
  }

  it.effect("a tool that only reads does not begin either once the stop is known", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(AgentLoop.run({ prompt, toolkit, concurrency: 1 }))
      yield* bench.until("begin a")
      yield* pressStop()
      const result = yield* Fiber.join(loop)
      assert.deepStrictEqual(bench.log, ["begin a", "cut a"])
      assert.include(JSON.stringify(resultsIn(result.messages)["b"]), "before it began")
    }).pipe(Effect.provide(stage([wishes(call("a"), call("b", "Look"))], { bench })))
  })

  it.effect("a store that does not answer keeps no tool from running", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      yield* settle
      yield* (yield* StoreFaults).set({ stopRequests: Fault.fail })
      const loop = yield* Effect.forkChild(AgentLoop.run({ prompt, toolkit }))
      yield* pass(500)
      assert.deepStrictEqual(resultsIn((yield* Fiber.join(loop)).messages), { a: "did a" })
    }).pipe(Effect.provide(stage([wishes(call("a"))], { bench })))
  })
})
