// What becomes of single calls: uncancellable tools, approvals, wishes that cannot be met.
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { AiError, Prompt, Tool, Toolkit } from "effect/ai"
import { MessageStore } from "effect-cancellation"
import {
  type AgentEvent,
  AgentLoop,
  type AgentResult,
  ChatHistory,
  ChatService,
  type ToolCall
} from "../src/index.ts"
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
import { stored } from "./support/chat.ts"
import { Asked, calls, ends, says, type Script } from "./support/scriptedModel.ts"

const prompt = "Do it."
const run = AgentLoop.run({ prompt, toolkit })
const endsOf = (result: AgentResult) =>
  result._tag === "Stopped" && result.underWay._tag === "Tools"
    ? result.underWay.calls.map(({ end, id }) => `${id} ${end}`)
    : []

describe("an uncancellable tool", () => {
  it.effect("runs to its end through a stop, which interrupts the others at once", () => {
    const bench = makeBench((id) => Effect.as(Effect.sleep("5 seconds"), `did ${id}`))
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(run)
      yield* bench.until("begin work")
      yield* pressStop()
      yield* bench.until("cut work")
      assert.isUndefined(loop.pollUnsafe())
      assert.deepStrictEqual(bench.log, ["begin pay", "begin work", "cut work"])
      yield* pass(5000, 100)
      const result = yield* Fiber.join(loop)
      assert.deepStrictEqual(endsOf(result), ["pay ranOn", "work interrupted"])
      assert.strictEqual(resultsIn(result.messages)["pay"], "did pay")
      assert.isTrue(
        lines.some((line) => /Pay \(call pay\).*ran to its end through the stop/.test(line))
      )
      assert.strictEqual((yield* Asked).prompts.length, 1)
    }).pipe(Effect.provide(stage([wishes(call("pay", "Pay"), call("work"))], { bench, lines })))
  })

  it.effect("runs to its end through an interrupt and a timeout, and what it did is stored", () => {
    const bench = makeBench((id) => Effect.as(Effect.sleep("5 seconds"), `did ${id}`))
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const loop = yield* AgentLoop.run({
        prompt,
        toolkit,
        save: (messages) => ({ references: ChatHistory.encode(messages) })
      }).pipe(Effect.timeoutOption("1 second"), Effect.forkChild)
      yield* bench.until("begin work")
      yield* pass(4900, 100)
      assert.isUndefined(loop.pollUnsafe())
      assert.deepStrictEqual(bench.log, ["begin pay", "begin work", "cut work"])
      yield* pass(200, 100)
      assert.isTrue(Option.isNone(yield* Fiber.join(loop)))
      assert.deepStrictEqual(bench.log, ["begin pay", "begin work", "cut work", "end pay"])
      const turn = yield* ChatHistory.decode((yield* stored()).references)
      assert.strictEqual(resultsIn(turn)["pay"], "did pay")
      assert.isTrue(lines.some((line) => line.includes("ran to its end through an interrupt")))
    }).pipe(Effect.provide(stage([wishes(call("pay", "Pay"), call("work"))], { bench, lines })))
  })

  it.effect(
    "runs to its end through the failure of another tool, and what it did is stored",
    () => {
      const bench = makeBench((id) =>
        id === "work"
          ? Effect.andThen(Effect.sleep("1 second"), Effect.fail("broken"))
          : Effect.as(Effect.sleep("5 seconds"), `did ${id}`)
      )
      return Effect.gen(function* () {
        const exit = yield* ended(
          AgentLoop.run({
            prompt,
            toolkit,
            save: (messages) => ({ references: ChatHistory.encode(messages) })
          })
        )
        assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "broken")
        assert.deepStrictEqual(bench.log, ["begin pay", "begin work", "end pay"])
        const turn = yield* ChatHistory.decode((yield* stored()).references)
        assert.strictEqual(resultsIn(turn)["pay"], "did pay")
      }).pipe(Effect.provide(stage([wishes(call("pay", "Pay"), call("work"))], { bench })))
    }
  )

  it.effect("is waited for in its turn, and the next one does not begin", () => {
    const bench = makeBench((id) => Effect.as(Effect.sleep("5 seconds"), `did ${id}`))
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(AgentLoop.run({ prompt, toolkit, concurrency: 1 }))
      yield* bench.until("begin a")
      yield* pressStop()
      yield* pass(5000, 100)
      const result = yield* Fiber.join(loop)
      assert.deepStrictEqual(bench.log, ["begin a", "end a"])
      assert.deepStrictEqual(endsOf(result), ["a ranOn", "b notStarted"])
    }).pipe(Effect.provide(stage([wishes(call("a", "Pay"), call("b", "Pay"))], { bench })))
  })

  it.effect("has begun when observers are told, however slow they are", () => {
    const bench = makeBench((id) => Effect.as(Effect.sleep("1 second"), `did ${id}`))
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(
        AgentLoop.run({
          prompt,
          toolkit,
          observe: ({ _tag }) => (_tag === "ToolStarted" ? Effect.sleep("10 seconds") : Effect.void)
        })
      )
      yield* bench.until("begin a")
      yield* pressStop()
      yield* pass(10_000, 100)
      const result = yield* Fiber.join(loop)
      assert.deepStrictEqual(bench.log, ["begin a", "end a"])
      assert.deepStrictEqual(endsOf(result), ["a ranOn"])
    }).pipe(Effect.provide(stage([wishes(call("a", "Pay"))], { bench })))
  })

  it.effect("has not begun while its check has no answer: an interrupt ends that", () => {
    const bench = makeBench()
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const chat = yield* ChatService
      const asked = yield* Deferred.make<void>()
      let checks = 0
      // The first is that of the step.
      const check = Effect.suspend(() =>
        ++checks === 1
          ? chat.cancellation.check
          : Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
      )
      const loop = yield* run.pipe(
        Effect.provideService(ChatService, {
          ...chat,
          cancellation: { ...chat.cancellation, check }
        }),
        Effect.forkChild
      )
      yield* Deferred.await(asked)
      yield* Effect.forkChild(Fiber.interrupt(loop))
      yield* settle
      assert.isDefined(loop.pollUnsafe())
      assert.deepStrictEqual(bench.log, [])
      assert.isFalse(lines.some((line) => line.includes("ran to its end")))
    }).pipe(Effect.provide(stage([wishes(call("a", "Pay"))], { bench, lines })))
  })

  it.effect("that fails after the stop is a failure", () => {
    const bench = makeBench(() => Effect.andThen(Effect.sleep("1 second"), Effect.fail("no money")))
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(run)
      yield* bench.until("begin a")
      yield* pressStop()
      yield* pass(1000, 100)
      assert.strictEqual(yield* Effect.flip(Fiber.join(loop)), "no money")
    }).pipe(Effect.provide(stage([wishes(call("a", "Pay"))], { bench })))
  })
})

describe("an approval", () => {
  const text = { parameters: Schema.Struct({ text: Schema.String }), success: Schema.String }
  const messages: Array<number> = []
  const Asks = Toolkit.make(
    Tool.make("Always", { ...text, needsApproval: true }),
    Tool.make("Sometimes", { ...text, needsApproval: (params) => params.text === "risky" }),
    Tool.make("Later", {
      ...text,
      needsApproval: (params, context) =>
        Effect.sync(() => {
          messages.push(context.messages.length)
          return params.text === "risky"
        })
    })
  )
  const Lax = Toolkit.make(
    Tool.make("Lax", { ...text, failureMode: "return", needsApproval: () => false })
  )
  const unreadable = [...calls("Lax", { text: 7 }, "a"), ends("tool-calls")]
  const done: Array<string> = []
  const handler = (params: { readonly text: string }) =>
    Effect.sync(() => {
      done.push(params.text)
      return `did ${params.text}`
    })
  const handlers = Asks.toLayer({ Always: handler, Sometimes: handler, Later: handler })
  const wish = (name: string, value: string, id = `${name}-${value}`) =>
    calls(name, { text: value }, id)
  const all = wishes(
    wish("Always", "calm"),
    wish("Sometimes", "calm"),
    wish("Sometimes", "risky"),
    wish("Later", "calm"),
    wish("Later", "risky")
  )
  const onStage = (...scripts: ReadonlyArray<Script>) =>
    Effect.provide(Layer.merge(stage(scripts), handlers))
  const reset = Effect.sync(() => {
    done.length = 0
    messages.length = 0
  })

  it.effect("that nobody can give is refused, and the model is told", () =>
    Effect.gen(function* () {
      yield* reset
      const result = yield* AgentLoop.run({ prompt, toolkit: Asks })
      assert.strictEqual(result._tag, "Completed")
      const refused = (name: string) => ({
        type: "execution-denied",
        reason: `The tool ${name} needs an approval, which was not given.`
      })
      assert.deepStrictEqual(resultsIn(result.messages), {
        "Always-calm": refused("Always"),
        "Sometimes-calm": "did calm",
        "Sometimes-risky": refused("Sometimes"),
        "Later-calm": "did calm",
        "Later-risky": refused("Later")
      })
      assert.deepStrictEqual(done, ["calm", "calm"])
      assert.deepStrictEqual(messages, [1, 1])
    }).pipe(onStage(all))
  )

  it.effect("is asked for only where it is needed, with the call and what was said", () =>
    Effect.gen(function* () {
      yield* reset
      const asked: Array<unknown> = []
      const result = yield* AgentLoop.run({
        prompt,
        toolkit: Asks,
        approve: (wished, history) =>
          Effect.sync(() => {
            asked.push([wished.id, wished.params, history.map(({ role }) => role)])
            return wished.name !== "Later"
          })
      })
      assert.deepStrictEqual(asked, [
        ["Always-calm", { text: "calm" }, ["user"]],
        ["Sometimes-risky", { text: "risky" }, ["user"]],
        ["Later-risky", { text: "risky" }, ["user"]]
      ])
      assert.strictEqual(resultsIn(result.messages)["Sometimes-risky"], "did risky")
      assert.include(JSON.stringify(resultsIn(result.messages)["Later-risky"]), "not given")
    }).pipe(onStage(all))
  )

  it.effect("is needed where nobody can say whether it is, as of parameters without a sense", () =>
    Effect.gen(function* () {
      yield* reset
      const asked: Array<unknown> = []
      const approve = (isApproved: boolean) => (wished: ToolCall) =>
        Effect.sync(() => {
          asked.push(wished.params)
          return isApproved
        })
      const denied = yield* AgentLoop.run({ prompt, toolkit: Lax, approve: approve(false) })
      assert.include(JSON.stringify(resultsIn(denied.messages)["a"]), "not given")
      assert.deepStrictEqual(asked, [{ text: 7 }])
      assert.deepStrictEqual(done, [])
      const unasked = yield* AgentLoop.run({ prompt, toolkit: Lax })
      assert.include(JSON.stringify(resultsIn(unasked.messages)["a"]), "not given")
      const given = yield* AgentLoop.run({ prompt, toolkit: Lax, approve: approve(true) })
      assert.include(JSON.stringify(resultsIn(given.messages)["a"]), "ToolParameterValidationError")
    }).pipe(
      Effect.provide(
        Layer.merge(
          stage([unreadable, [ends()], unreadable, [ends()], unreadable]),
          Lax.toLayer({ Lax: handler })
        )
      )
    )
  )

  it.effect("is not waited for after a stop", () =>
    Effect.gen(function* () {
      yield* reset
      const waiting = yield* Deferred.make<void>()
      const loop = yield* Effect.forkChild(
        AgentLoop.run({
          prompt,
          toolkit: Asks,
          approve: () => Effect.andThen(Deferred.succeed(waiting, undefined), Effect.never)
        })
      )
      yield* Deferred.await(waiting)
      yield* pressStop()
      const result = yield* Fiber.join(loop)
      assert.deepStrictEqual(endsOf(result), ["Always-calm notStarted"])
      assert.deepStrictEqual(done, [])
    }).pipe(onStage(wishes(wish("Always", "calm"))))
  )

  it.effect("that comes after the stop was committed begins nothing", () =>
    Effect.gen(function* () {
      yield* reset
      yield* settle
      const store = yield* MessageStore
      const result = yield* AgentLoop.run({
        prompt,
        toolkit: Asks,
        // In another process, so that only a look at the store finds it.
        approve: () => Effect.as(Effect.provideService(stopElsewhere, MessageStore, store), true)
      })
      assert.deepStrictEqual(endsOf(result), ["Always-calm notStarted"])
      assert.deepStrictEqual(done, [])
    }).pipe(onStage(wishes(wish("Always", "calm"))))
  )

  it.effect("stored in a history lets nothing run past the loop", () =>
    Effect.gen(function* () {
      yield* reset
      const result = yield* AgentLoop.run({
        toolkit: Asks,
        prompt: Prompt.fromMessages([
          Prompt.makeMessage("user", { content: [Prompt.makePart("text", { text: "Do it." })] }),
          Prompt.makeMessage("assistant", {
            content: [
              Prompt.makePart("tool-call", {
                id: "old",
                name: "Always",
                params: { text: "old" },
                providerExecuted: false
              }),
              Prompt.makePart("tool-approval-request", { approvalId: "1", toolCallId: "old" })
            ]
          }),
          Prompt.makeMessage("tool", {
            content: [
              Prompt.makePart("tool-approval-response", { approvalId: "1", approved: true })
            ]
          })
        ])
      })
      assert.strictEqual(result._tag, "Completed")
      assert.deepStrictEqual(done, [])
      assert.include(JSON.stringify((yield* Asked).prompts), "cut short")
    }).pipe(onStage())
  )
})

describe("a wish that cannot be met", () => {
  for (const name of ["Missing", "constructor", "__proto__", "toString", "functions.Work", ""]) {
    it.effect(`for a tool ${JSON.stringify(name)} is told to the model, and the loop goes on`, () =>
      Effect.gen(function* () {
        const result = yield* run
        assert.strictEqual(result._tag, "Completed")
        assert.deepInclude(resultsIn(result.messages)["a"], {
          reason: `There is no tool ${JSON.stringify(name)}; there are: Work, Look, Pay, Try.`
        })
        const [tool] =
          (yield* Asked).prompts[1]?.content.filter(({ role }) => role === "tool") ?? []
        assert.isDefined(tool)
      }).pipe(Effect.provide(stage([wishes(call("a", name))])))
    )
  }

  it.effect("for any tool where there are none is told so", () =>
    Effect.gen(function* () {
      const result = yield* AgentLoop.run({ prompt })
      assert.deepInclude(resultsIn(result.messages)["a"], {
        reason: `There is no tool "Work"; there are: none.`
      })
    }).pipe(Effect.provide(stage([wishes(call("a"))])))
  )

  it.effect("for the tool `__proto__` that there is runs it", () => {
    const Odd = Toolkit.make(
      Tool.make("__proto__", { success: Schema.String }),
      Tool.make("constructor", { success: Schema.String })
    )
    return Effect.gen(function* () {
      const result = yield* AgentLoop.run({ prompt, toolkit: Odd })
      assert.deepStrictEqual(resultsIn(result.messages), { a: "proto", b: "made" })
    }).pipe(
      Effect.provide(
        Layer.merge(
          stage([wishes(call("a", "__proto__"), call("b", "constructor"))]),
          Odd.toLayer({
            ["__proto__"]: () => Effect.succeed("proto"),
            constructor: () => Effect.succeed("made")
          })
        )
      )
    )
  })

  it.effect("for a tool that only the provider has is told to the model", () => {
    const Hosted = Toolkit.make(
      Tool.providerDefined({
        id: "test.search",
        customName: "Search",
        providerName: "search",
        success: Schema.String
      })()
    )
    return Effect.gen(function* () {
      const result = yield* AgentLoop.run({ prompt, toolkit: Hosted })
      assert.deepInclude(resultsIn(result.messages)["a"], {
        reason: `There is no tool "Search"; there are: none.`
      })
    }).pipe(Effect.provide(stage([wishes(call("a", "Search"))])))
  })

  const unreadable: Script = [...calls("Try", { text: 7 }, "a"), ends("tool-calls")]

  it.effect(
    "with parameters that cannot be read is told to the model where the tool returns failures",
    () =>
      Effect.gen(function* () {
        const bench = makeBench()
        const result = yield* run
        assert.strictEqual(result._tag, "Completed")
        assert.include(
          JSON.stringify(resultsIn(result.messages)["a"]),
          "ToolParameterValidationError"
        )
        assert.deepStrictEqual(bench.log, [])
      }).pipe(Effect.provide(stage([unreadable])))
  )

  it.effect("with parameters that cannot be read fails the loop where the tool fails", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(run)
      assert.isTrue(
        AiError.isAiError(error) && error.reason._tag === "ToolParameterValidationError"
      )
    }).pipe(Effect.provide(stage([[...calls("Work", { text: 7 }, "a"), ends("tool-calls")]])))
  )

  for (const reason of ["length", "content-filter", "error", "unknown"] as const) {
    it.effect(`is not met in an answer that broke off (${reason}), and the model is told`, () => {
      const bench = makeBench()
      const lines: Array<string> = []
      return Effect.gen(function* () {
        const result = yield* run
        assert.strictEqual(result._tag, "Completed")
        assert.strictEqual(result.iterations, 2)
        assert.include(lines, `1 tool calls were not begun: the answer broke off (${reason})`)
        assert.deepInclude(resultsIn(result.messages)["a"], {
          reason: `This call was not begun: the answer broke off (${reason}).`
        })
        assert.deepStrictEqual(bench.log, [])
      }).pipe(Effect.provide(stage([[...call("a"), ends(reason)]], { bench, lines })))
    })
  }

  it.effect("is met in an answer that ended for some other reason", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      const result = yield* Effect.flatten(ended(run))
      assert.deepStrictEqual(resultsIn(result.messages), { a: "did a" })
      assert.deepStrictEqual(bench.log, ["begin a", "end a"])
    }).pipe(Effect.provide(stage([[...call("a"), ends("other")]], { bench })))
  })

  it.effect("of a stream that ended without saying why is not met", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      const result = yield* run
      assert.include(JSON.stringify(resultsIn(result.messages)["a"]), "broke off (unknown)")
      assert.deepStrictEqual(bench.log, [])
    }).pipe(Effect.provide(stage([call("a")], { bench })))
  })

  it.effect("twice under one id is two calls with two results", () =>
    Effect.gen(function* () {
      const result = yield* Effect.flatten(ended(run))
      assert.deepStrictEqual(resultsIn(result.messages), {
        a: "did a",
        "a-2": "did a",
        "a-3": "did a"
      })
    }).pipe(Effect.provide(stage([wishes(call("a"), call("a", "Look")), wishes(call("a"))])))
  )
})

describe("what the provider does itself", () => {
  const hosted = (withResult: boolean): Script => [
    { type: "tool-call", id: "h", name: "Search", params: { q: "x" }, providerExecuted: true },
    ...(withResult
      ? [
          {
            type: "tool-result" as const,
            id: "h",
            name: "Search",
            result: ["found"],
            isFailure: false,
            providerExecuted: true
          }
        ]
      : [])
  ]
  const Hosted = Toolkit.make(
    Tool.providerDefined({
      id: "test.search",
      customName: "Search",
      providerName: "search",
      parameters: Schema.Struct({ q: Schema.String }),
      success: Schema.Array(Schema.String)
    })()
  )
  const parts = (messages: ReadonlyArray<Prompt.Message>) =>
    messages.flatMap((one) =>
      one.role === "assistant" ? one.content.map(({ type }) => type) : [one.role]
    )

  it.effect("is no wish, and stays in the history with its result", () =>
    Effect.gen(function* () {
      const result = yield* AgentLoop.run({ prompt, toolkit: Hosted })
      assert.strictEqual(result._tag, "Completed")
      assert.strictEqual(result.iterations, 1)
      assert.deepStrictEqual(parts(result.messages), ["tool-call", "tool-result", "text"])
    }).pipe(Effect.provide(stage([[...hosted(true), ...says("Found."), ends()]])))
  )

  it.effect("and had not finished at a stop is left out", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(AgentLoop.run({ prompt, toolkit: Hosted }))
      yield* bench.until("spoken")
      yield* pressStop()
      const result = yield* Fiber.join(loop)
      assert.deepStrictEqual(parts(result.messages), ["text"])
    }).pipe(
      Effect.provide(
        stage([[...says("I search."), ...hosted(false), bench.say("spoken"), Effect.never]])
      )
    )
  })

  it.effect("is handed back as it was said after a pause, and goes on", () =>
    Effect.gen(function* () {
      const result = yield* AgentLoop.run({ prompt, toolkit: Hosted })
      assert.strictEqual(result._tag, "Completed")
      assert.strictEqual(result.iterations, 2)
      const { prompts } = yield* Asked
      assert.deepStrictEqual(parts(prompts[1]?.content ?? []), ["user", "text", "tool-call"])
      assert.deepStrictEqual(parts(result.messages), ["text", "tool-call", "tool-result", "text"])
    }).pipe(
      Effect.provide(
        stage([
          [...says("I search."), ...hosted(false), ends("pause")],
          [...hosted(true).slice(1), ...says("Found."), ends()]
        ])
      )
    )
  )

  it.effect("and paused with nothing said is asked again", () =>
    Effect.gen(function* () {
      const result = yield* AgentLoop.run({ prompt })
      assert.strictEqual(result._tag, "Completed")
      assert.strictEqual(result.iterations, 2)
      assert.strictEqual(result.text, "Done.")
    }).pipe(Effect.provide(stage([[ends("pause")]])))
  )
})

describe("results", () => {
  it.effect("that are preliminary are not told to the model", () => {
    const Slow = Toolkit.make(Tool.make("Slow", { success: Schema.Finite }))
    return Effect.gen(function* () {
      const events: Array<AgentEvent> = []
      const result = yield* AgentLoop.run({
        prompt,
        toolkit: Slow,
        observe: (event) => Effect.sync(() => void events.push(event))
      })
      assert.deepStrictEqual(resultsIn(result.messages), { a: 3 })
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        ["ToolStarted", "ToolEnded", "Text"]
      )
    }).pipe(
      Effect.provide(
        Layer.merge(
          stage([wishes(call("a", "Slow"))]),
          Slow.toLayer({
            Slow: (_, { preliminary }) =>
              Effect.gen(function* () {
                yield* preliminary(1)
                yield* preliminary(2)
                return 3
              })
          })
        )
      )
    )
  })

  it.effect("that are no JSON can be stored all the same", () => {
    const Odd = Toolkit.make(
      Tool.make("Nothing"),
      Tool.make("When", { success: Schema.Date }),
      Tool.make("Big", { success: Schema.BigInt })
    )
    return Effect.gen(function* () {
      const result = yield* AgentLoop.run({
        prompt,
        toolkit: Odd,
        save: (messages) => ({ references: ChatHistory.encode(messages) })
      })
      assert.deepStrictEqual(resultsIn(result.messages), {
        a: null,
        b: "1970-01-01T00:00:00.000Z",
        c: "12"
      })
    }).pipe(
      Effect.provide(
        Layer.merge(
          stage([wishes(call("a", "Nothing"), call("b", "When"), call("c", "Big"))]),
          Odd.toLayer({
            Nothing: () => Effect.void,
            When: () => Effect.succeed(new Date(0)),
            Big: () => Effect.succeed(12n)
          })
        )
      )
    )
  })

  it.effect("of a tool that writes the next message do not end up in the one before", () => {
    const bench = makeBench()
    const Next = Toolkit.make(Tool.make("Next"))
    return Effect.gen(function* () {
      const result = yield* AgentLoop.run({ prompt, toolkit: Next })
      assert.strictEqual(result.text, "First.\n\nDone.")
      assert.strictEqual((yield* stored()).text, "First.")
      const chat = yield* ChatService
      assert.strictEqual(yield* chat.text, "Done.")
    }).pipe(
      Effect.provide(
        Next.toLayer(
          Effect.map(ChatService, (chat) => ({
            Next: () => Effect.asVoid(Effect.orDie(chat.createAssistantMessage()))
          }))
        ).pipe(
          Layer.provideMerge(stage([[...says("First."), ...wishes(call("a", "Next"))]], { bench }))
        )
      )
    )
  })
})
