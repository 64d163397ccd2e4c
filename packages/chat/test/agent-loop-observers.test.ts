// What observers and traces are told, and that neither keeps a run from ending.
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import { Tool, Toolkit } from "effect/ai"
import { MessageRepo } from "effect-cancellation"
import { type AgentEvent, AgentLoop, type AgentResult, ChatService } from "../src/index.ts"
import {
  call,
  ended,
  makeBench,
  pass,
  pressStop,
  stage,
  toolkit,
  wishes
} from "./agent-loop.fixture.ts"
import { calls, ends, says } from "./support/scriptedModel.ts"

const prompt = "Do it."

const hangsAt =
  (tag: AgentEvent["_tag"]) =>
  ({ _tag }: AgentEvent) =>
    _tag === tag ? Effect.never : Effect.void

const endsOf = (result: AgentResult) =>
  result._tag === "Stopped" && result.underWay._tag === "Tools"
    ? result.underWay.calls.map(({ end, id }) => `${id} ${end}`)
    : []

describe("an observer that hangs", () => {
  for (const name of ["Work", "Look", "Pay"]) {
    for (const tag of ["ToolStarted", "ToolEnded"] as const) {
      it.effect(`at ${tag} of the tool ${name} keeps no stop from ending the run`, () => {
        const bench = makeBench()
        const lines: Array<string> = []
        return Effect.gen(function* () {
          const loop = yield* Effect.forkChild(
            AgentLoop.run({ prompt, toolkit, observe: hangsAt(tag) })
          )
          yield* bench.until("begin a")
          yield* pass(200)
          assert.deepStrictEqual(bench.log, ["begin a", "end a"])
          assert.isUndefined(loop.pollUnsafe())
          yield* pressStop()
          yield* pass(1100)
          assert.isDefined(loop.pollUnsafe())
          assert.strictEqual((yield* Fiber.join(loop))._tag, "Stopped")
          assert.lengthOf(
            lines.filter((line) => line.includes("observer")),
            1
          )
        }).pipe(Effect.provide(stage([wishes(call("a", name))], { bench, lines })))
      })

      it.effect(`at ${tag} of the tool ${name} keeps no interrupt from ending the run`, () => {
        const bench = makeBench()
        return Effect.gen(function* () {
          const loop = yield* Effect.forkChild(
            AgentLoop.run({ prompt, toolkit, observe: hangsAt(tag) })
          )
          yield* bench.until("begin a")
          yield* pass(200)
          yield* Fiber.interrupt(loop).pipe(Effect.forkChild)
          yield* pass(50)
          const exit = loop.pollUnsafe()
          assert.isTrue(exit && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
        }).pipe(Effect.provide(stage([wishes(call("a", name))], { bench })))
      })
    }
  }

  it.effect("keeps no drain from ending the run", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      const repo = yield* MessageRepo
      const loop = yield* Effect.forkChild(
        AgentLoop.run({ prompt, toolkit, observe: hangsAt("ToolStarted") })
      )
      yield* bench.until("begin a")
      const drain = yield* Effect.forkChild(repo.drain({ timeout: "1 second" }))
      yield* pass(2200, 100)
      const result = yield* Fiber.join(loop)
      assert.strictEqual(result._tag === "Stopped" && result.event.request.reason, "shutdown")
      yield* Fiber.interrupt(drain)
    }).pipe(Effect.provide(stage([wishes(call("a", "Pay"))], { bench })))
  })

  it.effect("costs one second in all, however many calls there are", () => {
    const bench = makeBench()
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(
        AgentLoop.run({ prompt, toolkit, concurrency: 1, observe: hangsAt("ToolEnded") })
      )
      yield* bench.until("begin a")
      yield* pressStop()
      yield* pass(1100)
      assert.isDefined(loop.pollUnsafe())
      assert.deepStrictEqual(endsOf(yield* Fiber.join(loop)), [
        "a interrupted",
        "b notStarted",
        "c notStarted"
      ])
      assert.lengthOf(
        lines.filter((line) => line.includes("observer")),
        1
      )
    }).pipe(Effect.provide(stage([wishes(call("a"), call("b"), call("c"))], { bench, lines })))
  })
})

describe("an observer", () => {
  it.effect("that is quick is told after a stop how each call ended", () => {
    const bench = makeBench((id) => Effect.as(Effect.sleep("5 seconds"), id))
    const told: Array<string> = []
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(
        AgentLoop.run({
          prompt,
          toolkit,
          concurrency: 2,
          observe: (event) =>
            event._tag === "Text"
              ? Effect.void
              : Effect.andThen(
                  Effect.sleep("200 millis"),
                  Effect.sync(() => void told.push(`${event._tag} ${event.call.id}`))
                )
        })
      )
      yield* bench.until("begin b")
      yield* pressStop()
      yield* pass(6000, 100)
      yield* Fiber.join(loop)
      assert.deepStrictEqual(
        told.filter((line) => line.endsWith("a")),
        ["ToolStarted a", "ToolEnded a"]
      )
      assert.includeMembers(told, ["ToolEnded b", "ToolEnded c"])
      assert.deepStrictEqual(
        lines.filter((line) => line.includes("observer")),
        []
      )
    }).pipe(
      Effect.provide(stage([wishes(call("a", "Pay"), call("b"), call("c"))], { bench, lines }))
    )
  })

  it.effect("that is slow hears that a call began before it hears that it ended", () => {
    const bench = makeBench((id) => Effect.succeed(id))
    const told: Array<string> = []
    return Effect.gen(function* () {
      yield* ended(
        AgentLoop.run({
          prompt,
          toolkit,
          observe: ({ _tag }) =>
            Effect.andThen(
              Effect.sleep(_tag === "ToolStarted" ? "1 minute" : 0),
              Effect.sync(() => void told.push(_tag))
            )
        })
      )
      assert.deepStrictEqual(told, ["ToolStarted", "ToolEnded", "Text"])
    }).pipe(Effect.provide(stage([wishes(call("a"))], { bench })))
  })

  it.effect("that dies fails the run, after the tool", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      const exit = yield* ended(
        AgentLoop.run({
          prompt,
          toolkit,
          observe: ({ _tag }) => (_tag === "ToolStarted" ? Effect.die("a bug") : Effect.void)
        })
      )
      assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "a bug")
      assert.deepStrictEqual(bench.log, ["begin a", "end a"])
    }).pipe(Effect.provide(stage([wishes(call("a", "Pay"))], { bench })))
  })

  it.effect("can put the text together from what was added", () => {
    let whole = ""
    const texts: Array<string> = []
    return Effect.gen(function* () {
      const chat = yield* ChatService
      yield* chat.modifyAssistantMessage({ text: "Before." })
      whole = yield* chat.text
      yield* ended(
        AgentLoop.run({
          prompt,
          toolkit,
          observe: (event) =>
            Effect.sync(() => {
              if (event._tag !== "Text") return
              whole += event.delta
              texts.push(event.delta)
              assert.strictEqual(whole, event.text)
            })
        })
      )
      assert.deepStrictEqual(texts, ["\n\nI", " see.", "\n\nDone."])
      assert.strictEqual(whole, "Before.\n\nI see.\n\nDone.")
    }).pipe(Effect.provide(stage([[...says("I", " see."), ...wishes(call("a"))]])))
  })
})

describe("a trace", () => {
  it.effect("holds no parameters of a tool, and the tool's own spans have their parent", () => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const Tell = Toolkit.make(
      Tool.make("Tell", { parameters: Schema.Struct({ text: Schema.String }) })
    )
    return Effect.gen(function* () {
      const result = yield* AgentLoop.run({ prompt, toolkit: Tell }).pipe(Effect.withTracer(tracer))
      assert.strictEqual(result.iterations, 2)
      const shown = spans.map((span) => JSON.stringify([span.name, ...span.attributes.entries()]))
      assert.deepStrictEqual(
        shown.filter((line) => /secret|parameters/.test(line)),
        []
      )
      const loop = spans.find(({ name }) => name === "AgentLoop.run")
      const own = spans.find(({ name }) => name === "the tool's own")
      assert.isDefined(loop)
      assert.strictEqual(own && Option.getOrUndefined(own.parent)?.spanId, loop?.spanId)
      assert.strictEqual(own?.traceId, loop?.traceId)
    }).pipe(
      Effect.provide(
        Layer.merge(
          stage([[...calls("Tell", { text: "secret" }, "a"), ends("tool-calls")]]),
          Tell.toLayer({ Tell: () => Effect.withSpan(Effect.void, "the tool's own") })
        )
      )
    )
  })
})
