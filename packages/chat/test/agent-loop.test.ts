// The loop itself: its steps, its results, what it stores and tells, and where a stop finds it.
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { AiError, LanguageModel, type Prompt } from "effect/ai"
import * as Stream from "effect/Stream"
import {
  InvalidSetting,
  MessageChange,
  MessageContent,
  MessageRepo,
  type StopReason
} from "effect-cancellation"
import { type AgentEvent, AgentLoop, ChatHistory, ChatService } from "../src/index.ts"
import {
  call,
  ended,
  makeBench,
  pressStop,
  resultsIn,
  stage,
  settle,
  stopElsewhere,
  textsIn,
  toolkit,
  wishes
} from "./agent-loop.fixture.ts"
import { ref, runId, stored } from "./support/chat.ts"
import { Asked, ends, says } from "./support/scriptedModel.ts"

const prompt = "Do it."
const run = AgentLoop.run({ prompt, toolkit })
const asked = Effect.map(Asked, ({ prompts }) => prompts.length)

const finished = <A, E, R>(loop: Effect.Effect<A, E, R>) => Effect.flatten(ended(loop))

describe("the agent loop", () => {
  it.effect("goes on from model to tools to model until the model is done", () =>
    Effect.gen(function* () {
      const result = yield* finished(run)
      assert.strictEqual(result._tag, "Completed")
      assert.strictEqual(result.text, "Let me see.\n\nDone.")
      assert.strictEqual(result.iterations, 2)
      assert.deepStrictEqual(
        result.messages.map(({ role }) => role),
        ["assistant", "tool", "assistant"]
      )
      assert.deepStrictEqual(resultsIn(result.messages), { a: "did a", b: "did b" })
      const { prompts } = yield* Asked
      assert.deepStrictEqual(
        prompts.map(({ content }) => content.map(({ role }) => role)),
        [["user"], ["user", "assistant", "tool"]]
      )
      assert.strictEqual((yield* stored()).text, result.text)
    }).pipe(
      Effect.provide(stage([[...says("Let me see."), ...wishes(call("a"), call("b", "Look"))]]))
    )
  )

  it.effect("answers at once what needs no tools, without any toolkit", () =>
    Effect.gen(function* () {
      const result = yield* AgentLoop.run({ prompt })
      assert.strictEqual(result._tag, "Completed")
      assert.strictEqual(result.text, "Done.")
      assert.strictEqual(result._tag === "Completed" && result.finishReason, "stop")
    }).pipe(Effect.provide(stage([])))
  )

  it.effect("says when the limit is reached, with the results of the last tools", () =>
    Effect.gen(function* () {
      const result = yield* finished(AgentLoop.run({ prompt, toolkit, maxIterations: 2 }))
      assert.strictEqual(result._tag, "LimitReached")
      assert.strictEqual(result.iterations, 2)
      assert.deepStrictEqual(resultsIn(result.messages), { a: "did a", b: "did b" })
    }).pipe(Effect.provide(stage([wishes(call("a")), wishes(call("b")), wishes(call("c"))])))
  )

  for (const maxIterations of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    it.effect(`dies of a limit of ${maxIterations}`, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(AgentLoop.run({ prompt, maxIterations }))
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidSetting)
        assert.strictEqual(defect instanceof InvalidSetting && defect.option, "maxIterations")
        assert.strictEqual(yield* asked, 0)
      }).pipe(Effect.provide(stage([])))
    )
  }

  it.effect("sums the tokens of all steps, as far as they are told", () =>
    Effect.gen(function* () {
      const result = yield* finished(run)
      assert.strictEqual(result.usage?.inputTokens.total, 30)
      assert.strictEqual(result.usage?.outputTokens.total, 3)
      assert.strictEqual(result.usage?.outputTokens.reasoning, undefined)
    }).pipe(
      Effect.provide(
        stage([
          [...call("a"), ends("tool-calls", { input: 10, output: 1 })],
          [...call("b"), ends("tool-calls")],
          [...says("So."), ends("stop", { input: 20, output: 2 })]
        ])
      )
    )
  )

  it.effect("makes the model use tools only in the first step", () =>
    Effect.gen(function* () {
      const choices: Array<unknown> = []
      const model = yield* LanguageModel.make({
        generateText: () => Effect.die("only streams"),
        streamText: ({ toolChoice }) => {
          choices.push(toolChoice)
          return Stream.fromIterable(
            choices.length % 2 === 1
              ? [
                  { type: "tool-call", id: `a${choices.length}`, name: "Work", params: {} },
                  ends("tool-calls")
                ]
              : [ends()]
          )
        }
      })
      for (const toolChoice of [
        "required",
        { tool: "Work" },
        { mode: "required", oneOf: ["Work"] },
        "none"
      ] as const) {
        yield* finished(AgentLoop.run({ prompt, toolkit, toolChoice })).pipe(
          Effect.provideService(LanguageModel.LanguageModel, model)
        )
      }
      assert.deepStrictEqual(choices, [
        "required",
        "auto",
        { tool: "Work" },
        "auto",
        { mode: "required", oneOf: ["Work"] },
        { mode: "auto", oneOf: ["Work"] },
        "none",
        "none"
      ])
    }).pipe(Effect.provide(stage([])))
  )

  it.effect("tells what happens in the order in which it happens", () => {
    const events: Array<string> = []
    const observe = (event: AgentEvent) =>
      Effect.sync(() => {
        events.push(
          event._tag === "Text"
            ? `text ${event.text}`
            : event._tag === "ToolStarted"
              ? `started ${event.call.id}`
              : `${event.call.end} ${event.call.id}: ${event.call.isFailure}`
        )
      })
    return Effect.gen(function* () {
      yield* finished(AgentLoop.run({ prompt, toolkit, observe, concurrency: 1 }))
      assert.deepStrictEqual(events, [
        "text I",
        "text I see.",
        "started a",
        "finished a: false",
        "finished none: true",
        "finished b: true",
        "text I see.\n\nDone."
      ])
    }).pipe(
      Effect.provide(
        stage([
          [...says("I", " see."), ...wishes(call("a"), call("none", "Missing"))],
          [...call("b"), ends("length")]
        ])
      )
    )
  })

  it.effect("tells that a tool has begun before the tool has done anything", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      yield* finished(
        AgentLoop.run({
          prompt,
          toolkit,
          observe: ({ _tag }) => (_tag === "ToolStarted" ? bench.say("told") : Effect.void)
        })
      )
      assert.deepStrictEqual(bench.log, ["told", "begin a", "end a"])
    }).pipe(Effect.provide(stage([wishes(call("a"))], { bench })))
  })
})

describe("what the loop stores", () => {
  const saves = () => {
    const saved: Array<ReadonlyArray<Prompt.Message>> = []
    return {
      saved,
      save: (messages: ReadonlyArray<Prompt.Message>) => {
        saved.push(messages)
        return { references: ChatHistory.encode(messages) }
      }
    }
  }

  it.effect("is asked for before tools begin and after each step, and reaches the message", () => {
    const { save, saved } = saves()
    return Effect.gen(function* () {
      const result = yield* finished(AgentLoop.run({ prompt, toolkit, save }))
      assert.deepStrictEqual(
        saved.map((messages) => messages.length),
        [2, 2, 3]
      )
      assert.include(JSON.stringify(resultsIn(saved[0] ?? [])), "cut short")
      assert.deepStrictEqual(resultsIn(saved[1] ?? []), { a: "did a" })
      assert.deepStrictEqual(saved[2], result.messages)
      assert.deepStrictEqual((yield* stored()).references, ChatHistory.encode(result.messages))
    }).pipe(Effect.provide(stage([wishes(call("a"))])))
  })

  it.effect(
    "says before a tool runs that it may have had an effect, should the process die",
    () => {
      const bench = makeBench(() => Effect.never)
      return Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(
          AgentLoop.run({ prompt, toolkit, save: saves().save })
        )
        yield* bench.until("begin a")
        const turn = yield* ChatHistory.decode((yield* stored()).references)
        assert.deepStrictEqual(
          turn.map(({ role }) => role),
          ["assistant", "tool"]
        )
        assert.include(JSON.stringify(resultsIn(turn)), "Whether it had an effect is not known")
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(stage([wishes(call("a"))], { bench })))
    }
  )

  it.effect("holds the results that there are when another tool fails", () => {
    const bench = makeBench((id) =>
      id === "bad"
        ? Effect.andThen(Effect.sleep("1 second"), Effect.fail("no"))
        : Effect.succeed(id)
    )
    return Effect.gen(function* () {
      const exit = yield* ended(AgentLoop.run({ prompt, toolkit, save: saves().save }))
      assert.isTrue(Exit.isFailure(exit))
      const turn = yield* ChatHistory.decode((yield* stored()).references)
      const { bad, good } = resultsIn(turn)
      assert.strictEqual(good, "good")
      assert.include(JSON.stringify(bad), "cut short")
    }).pipe(Effect.provide(stage([wishes(call("good"), call("bad"))], { bench })))
  })

  it.effect("is asked for at a stop, with what the stop cut short", () => {
    const { save, saved } = saves()
    const bench = makeBench(() => Effect.never)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(AgentLoop.run({ prompt, toolkit, save }))
      yield* bench.until("begin a")
      yield* pressStop()
      const result = yield* Fiber.join(fiber)
      assert.deepStrictEqual(saved.at(-1), result.messages)
      assert.deepStrictEqual((yield* stored()).references, ChatHistory.encode(result.messages))
      assert.include(JSON.stringify(resultsIn(result.messages)), "The user stopped this call")
    }).pipe(Effect.provide(stage([wishes(call("a"))], { bench })))
  })

  it.effect("is only the text where nobody asks for more", () =>
    Effect.gen(function* () {
      yield* finished(run)
      const message = yield* stored()
      assert.strictEqual(message.text, "Done.")
      assert.strictEqual(message.references, undefined)
    }).pipe(Effect.provide(stage([wishes(call("a"))])))
  )
})

describe("a stop", () => {
  it.effect("before the first step lets the model be asked nothing", () =>
    Effect.gen(function* () {
      yield* settle
      yield* stopElsewhere
      const result = yield* run
      assert.strictEqual(result._tag, "Stopped")
      assert.deepInclude(result, { text: "", messages: [], iterations: 0, stoppedByUser: true })
      assert.deepInclude(result, { underWay: { _tag: "Nothing" } })
      assert.strictEqual(yield* asked, 0)
    }).pipe(Effect.provide(stage([])))
  )

  it.effect("that nothing announces is found by the check before a step", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run)
      yield* bench.until("begin a")
      yield* stopElsewhere
      yield* TestClock.adjust("100 millis")
      const result = yield* Fiber.join(fiber)
      assert.strictEqual(result._tag, "Stopped")
      assert.deepStrictEqual(resultsIn(result.messages), { a: "did a" })
      assert.deepInclude(result, { underWay: { _tag: "Nothing" }, iterations: 1 })
      assert.strictEqual(result._tag === "Stopped" && result.event.detectedBy, "check")
      assert.strictEqual(yield* asked, 1)
    }).pipe(Effect.provide(stage([wishes(call("a"))], { bench })))
  })

  it.effect("cuts the model short, keeps its words, and begins none of its calls", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run)
      yield* bench.until("spoken")
      yield* pressStop()
      const result = yield* Fiber.join(fiber)
      assert.strictEqual(result._tag, "Stopped")
      assert.deepInclude(result, { underWay: { _tag: "Model" }, text: "Let me", iterations: 1 })
      assert.deepStrictEqual(textsIn(result.messages), ["Let me"])
      assert.deepStrictEqual(resultsIn(result.messages), {
        a: {
          type: "execution-interrupted",
          reason: "The user stopped this call before it began; it had no effect."
        }
      })
      assert.deepStrictEqual(bench.log, ["spoken"])
      assert.strictEqual((yield* stored()).text, "Let me")
    }).pipe(
      Effect.provide(
        stage([[...says("Let me"), ...call("a"), bench.say("spoken"), Effect.never]], { bench })
      )
    )
  })

  it.effect("keeps the words and the tokens of the steps before", () => {
    const bench = makeBench()
    return Effect.gen(function* () {
      const loop = yield* Effect.forkChild(run)
      yield* bench.until("begin a")
      yield* TestClock.adjust("100 millis")
      yield* bench.until("spoken")
      yield* pressStop()
      const result = yield* Fiber.join(loop)
      assert.deepInclude(result, { text: "First.\n\nThen", iterations: 2 })
      assert.strictEqual(result.usage?.outputTokens.total, 1)
      assert.deepStrictEqual(
        result.messages.map(({ role }) => role),
        ["assistant", "tool", "assistant"]
      )
    }).pipe(
      Effect.provide(
        stage(
          [
            [...says("First."), ...call("a"), ends("tool-calls", { input: 10, output: 1 })],
            [...says("Then"), bench.say("spoken"), Effect.never]
          ],
          { bench }
        )
      )
    )
  })

  it.effect("between two operations is found by the flag, and asks the model nothing more", () =>
    Effect.gen(function* () {
      const repo = yield* MessageRepo
      const chat = yield* ChatService
      const result = yield* finished(
        AgentLoop.run({
          prompt,
          toolkit,
          observe: ({ _tag }) =>
            _tag === "ToolEnded"
              ? Effect.andThen(Effect.orDie(repo.requestStop(ref)), chat.cancellation.cancellation)
              : Effect.void
        })
      )
      assert.strictEqual(result._tag, "Stopped")
      assert.deepInclude(result, { underWay: { _tag: "Nothing" }, iterations: 1 })
      assert.deepStrictEqual(resultsIn(result.messages), { a: "did a" })
      assert.strictEqual(yield* asked, 1)
    }).pipe(Effect.provide(stage([wishes(call("a"))])))
  )

  it.effect("during tools says of each call how it ended", () => {
    const bench = makeBench((id) => (id === "a" ? Effect.succeed("did a") : Effect.never))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(AgentLoop.run({ prompt, toolkit, concurrency: 2 }))
      yield* bench.until("begin c")
      yield* pressStop()
      const result = yield* Fiber.join(fiber)
      assert.strictEqual(result._tag, "Stopped")
      const underWay = result._tag === "Stopped" ? result.underWay : undefined
      assert.deepStrictEqual(
        underWay?._tag === "Tools" && underWay.calls.map(({ end, id }) => `${id} ${end}`),
        ["a finished", "b interrupted", "c interrupted", "d notStarted"]
      )
      const results = resultsIn(result.messages)
      assert.strictEqual(results["a"], "did a")
      assert.deepInclude(results["b"], {
        reason: "The user stopped this call while it ran; it may have had an effect."
      })
      assert.deepInclude(results["d"], {
        reason: "The user stopped this call before it began; it had no effect."
      })
    }).pipe(Effect.provide(stage([wishes(call("a"), call("b"), call("c"), call("d"))], { bench })))
  })

  it.effect("says of a tool that only reads that it changes nothing", () => {
    const bench = makeBench(() => Effect.never)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(AgentLoop.run({ prompt, toolkit }))
      yield* bench.until("begin a")
      yield* pressStop()
      assert.deepInclude(resultsIn((yield* Fiber.join(fiber)).messages)["a"], {
        reason: "The user stopped this call while it ran; it changes nothing."
      })
    }).pipe(Effect.provide(stage([wishes(call("a", "Look"))], { bench })))
  })

  it.effect("whose message is deleted is a stop all the same", () => {
    const bench = makeBench(() => Effect.never)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run)
      yield* bench.until("begin a")
      const content = yield* MessageContent
      // The memory store deletes nothing; a refusal is a refusal.
      yield* content.modify(MessageChange.make({ ref, writer: runId, setCompletedAt: true }))
      yield* pressStop("deleted")
      const result = yield* Fiber.join(fiber)
      assert.strictEqual(result._tag, "Stopped")
      assert.deepInclude(result, { stoppedByUser: false })
      assert.include(JSON.stringify(result.messages), "The message was deleted")
    }).pipe(Effect.provide(stage([[...says("I pay."), ...wishes(call("a"))]], { bench })))
  })

  const reasons: ReadonlyArray<readonly [StopReason, string]> = [
    ["user", "The user stopped this call while"],
    ["disconnect", "The user left, and this call was stopped while"],
    ["deadline", "The time for the answer ran out, and this call was stopped while"],
    ["shutdown", "The server was shut down, and this call was stopped while"],
    ["parent", "What this was done for was stopped, and this call with it, while"],
    ["deleted", "The message was deleted, and this call was stopped while"],
    ["unreachable", "The server lost its database, and this call was stopped while"],
    ["other:quota", "This call was stopped (quota) while"]
  ]
  for (const [reason, words] of reasons) {
    it.effect(`with the reason ${reason} is told to the model as what it is`, () => {
      const bench = makeBench(() => Effect.never)
      return Effect.gen(function* () {
        const loop = yield* Effect.forkChild(run)
        yield* bench.until("begin a")
        yield* pressStop(reason)
        const result = yield* Fiber.join(loop)
        assert.deepInclude(result, { stoppedByUser: reason === "user" })
        assert.deepStrictEqual(resultsIn(result.messages), {
          a: {
            type: "execution-interrupted",
            reason: `${words} it ran; it may have had an effect.`
          }
        })
      }).pipe(Effect.provide(stage([wishes(call("a"))], { bench })))
    })
  }

  it.effect("leaves a finished answer alone", () =>
    Effect.gen(function* () {
      const result = yield* run
      yield* pressStop()
      assert.strictEqual(result._tag, "Completed")
    }).pipe(Effect.provide(stage([])))
  )
})

describe("a deadline and a drain", () => {
  it.effect("keep what is done, and are not the user", () => {
    const bench = makeBench(() => Effect.never)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run)
      yield* bench.until("begin a")
      yield* TestClock.adjust("30 seconds")
      const result = yield* Fiber.join(fiber)
      assert.strictEqual(result._tag, "Stopped")
      assert.deepInclude(result, { stoppedByUser: false, text: "I begin." })
      assert.strictEqual(result._tag === "Stopped" && result.event.request.reason, "deadline")
      assert.deepInclude(resultsIn(result.messages)["a"], {
        reason:
          "The time for the answer ran out, and this call was stopped while it ran; it may have had an effect."
      })
      assert.strictEqual((yield* stored()).text, "I begin.")
    }).pipe(
      Effect.provide(
        stage([[...says("I begin."), ...wishes(call("a"))]], {
          bench,
          chat: { deadline: "30 seconds" }
        })
      )
    )
  })

  it.effect("of the process gives the tools their time, then stops them", () => {
    const bench = makeBench(() => Effect.never)
    return Effect.gen(function* () {
      const repo = yield* MessageRepo
      const fiber = yield* Effect.forkChild(run)
      yield* bench.until("begin a")
      const drained = yield* Effect.forkChild(repo.drain({ timeout: "10 seconds" }))
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(bench.log, ["begin a"])
      yield* TestClock.adjust("1 second")
      const result = yield* Fiber.join(fiber)
      assert.strictEqual(result._tag, "Stopped")
      assert.deepInclude(result, { stoppedByUser: false, text: "I begin." })
      assert.strictEqual(result._tag === "Stopped" && result.event.request.reason, "shutdown")
      assert.include(JSON.stringify(result.messages), "The server was shut down")
      yield* Fiber.interrupt(drained)
    }).pipe(Effect.provide(stage([[...says("I begin."), ...wishes(call("a"))]], { bench })))
  })
})

describe("a failure stays a failure", () => {
  it.effect("of the model, with the words that came before it stored", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(run)
      assert.isTrue(AiError.isAiError(error))
      assert.strictEqual((yield* stored()).text, "Let me")
    }).pipe(
      Effect.provide(
        stage([[...says("Let me"), { type: "error", error: new Error("no more tokens") }]])
      )
    )
  )

  it.effect("of a tool whose failure mode is error", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(run), "broken")
      assert.strictEqual(yield* asked, 1)
    }).pipe(
      Effect.provide(stage([wishes(call("a"))], { bench: makeBench(() => Effect.fail("broken")) }))
    )
  )

  it.effect("but is told to the model where the failure mode is return", () =>
    Effect.gen(function* () {
      const result = yield* run
      assert.strictEqual(result._tag, "Completed")
      assert.deepStrictEqual(resultsIn(result.messages), { a: "broken" })
    }).pipe(
      Effect.provide(
        stage([wishes(call("a", "Try"))], { bench: makeBench(() => Effect.fail("broken")) })
      )
    )
  )

  it.effect("of a tool that dies", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(run)
      assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "a bug")
    }).pipe(
      Effect.provide(stage([wishes(call("a"))], { bench: makeBench(() => Effect.die("a bug")) }))
    )
  )

  it.effect("of a message that is not this run's any more", () =>
    Effect.gen(function* () {
      const chat = yield* ChatService
      yield* chat.modifyAssistantMessage({ setCompletedAt: true })
      const error = yield* Effect.flip(run)
      assert.strictEqual(
        error !== undefined && typeof error === "object" && error._tag,
        "MessageContentError"
      )
    }).pipe(Effect.provide(stage([])))
  )

  it.effect("and an interrupt from outside is no stop", () => {
    const bench = makeBench(() => Effect.never)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run)
      yield* bench.until("begin a")
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.deepStrictEqual(bench.log, ["begin a", "cut a"])
      const chat = yield* ChatService
      assert.isFalse(yield* chat.cancellation.isCancelled)
    }).pipe(Effect.provide(stage([wishes(call("a"))], { bench })))
  })
})
