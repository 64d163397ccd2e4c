// What the next turn finds of a turn that failed, or that wrote several messages.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { type Prompt, Tool, Toolkit } from "effect/ai"
import { MessageId } from "effect-cancellation"
import { AgentLoop, ChatHistory, ChatService } from "../src/index.ts"
import {
  call,
  ended,
  makeBench,
  pass,
  resultsIn,
  stage,
  textsIn,
  toolkit,
  wishes
} from "./agent-loop.fixture.ts"
import { stored } from "./support/chat.ts"
import { says, type Script } from "./support/scriptedModel.ts"

const prompt = "Do it."
const save = (messages: ReadonlyArray<Prompt.Message>) => ({
  references: ChatHistory.encode(messages)
})
const loop = AgentLoop.run({ prompt, toolkit, save })
const turn = Effect.flatMap(stored(), ({ references }) => ChatHistory.decode(references))

const callsIn = (messages: ReadonlyArray<Prompt.Message>) =>
  messages.flatMap((one) =>
    one.role === "assistant"
      ? one.content.flatMap((part) => (part.type === "tool-call" ? [part.id] : []))
      : []
  )

describe("a step that fails", () => {
  const failure: Script = [{ type: "error", error: new Error("no more tokens") }]

  for (const [title, steps] of [
    ["first", []],
    ["second", [[...says("First."), ...wishes(call("a"))]]]
  ] as const) {
    it.effect(`in the ${title} place leaves the words that were seen in the turn`, () =>
      Effect.gen(function* () {
        const exit = yield* ended(loop)
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(textsIn(yield* turn), [
          ...(steps.length === 0 ? [] : ["First."]),
          "Then"
        ])
        const { b } = resultsIn(yield* turn)
        assert.deepStrictEqual(b, {
          type: "execution-interrupted",
          reason: "This call was not begun: the answer broke off (error)."
        })
      }).pipe(Effect.provide(stage([...steps, [...says("Then"), ...call("b"), ...failure]])))
    )
  }

  for (const [title, end] of [
    ["a timeout", Effect.timeoutOption("1 second")],
    ["an interrupt", Effect.race(Effect.sleep("1 second"))]
  ] as const) {
    it.effect(`by ${title} leaves them too`, () => {
      const bench = makeBench()
      return Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(end(loop))
        yield* pass(1100)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(textsIn(yield* turn), ["First.", "Then"])
        assert.deepInclude(resultsIn(yield* turn), { a: "did a" })
        assert.deepInclude(resultsIn(yield* turn)["b"], {
          reason: "This call was not begun: the answer broke off (interrupted)."
        })
      }).pipe(
        Effect.provide(
          stage(
            [
              [...says("First."), ...wishes(call("a"))],
              [...says("Then"), ...call("b"), Effect.never]
            ],
            { bench }
          )
        )
      )
    })
  }

  it.effect("with nothing said leaves the turn as it was", () =>
    Effect.gen(function* () {
      let saves = 0
      const exit = yield* ended(
        AgentLoop.run({
          prompt,
          toolkit,
          save: (messages) => {
            saves++
            return save(messages)
          }
        })
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(saves, 0)
      assert.isUndefined((yield* stored()).references)
    }).pipe(Effect.provide(stage([failure])))
  )

  it.effect("fails with its own error also where it cannot be stored", () => {
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const error = yield* Effect.flip(
        AgentLoop.run({
          prompt,
          toolkit,
          save: () => {
            throw new Error("save is broken")
          }
        })
      )
      assert.include(String(error), "no more tokens")
      assert.isTrue(lines.some((line) => line.includes("before it failed is not stored")))
    }).pipe(Effect.provide(stage([[...says("Then"), ...failure]], { lines })))
  })
})

describe("a turn of several messages", () => {
  it.effect("has each call once in the next history, and whole in the result", () => {
    const Next = Toolkit.make(Tool.make("Next"))
    const second = MessageId.make("second")
    return Effect.gen(function* () {
      const result = yield* AgentLoop.run({
        prompt,
        toolkit: Toolkit.merge(toolkit, Next),
        save
      }).pipe(ended, Effect.flatten)
      assert.deepStrictEqual(callsIn(result.messages), ["a", "n", "b"])
      assert.deepStrictEqual(textsIn(result.messages), ["First.", "Now.", "Second.", "Done."])

      const messages = [yield* stored(), yield* stored(second)]
      const history = yield* ChatHistory.fromMessages(messages, ({ references }) => references)
      assert.deepStrictEqual(callsIn(history.content), ["a", "n", "b"])
      assert.deepStrictEqual(textsIn(history.content), ["First.", "Now.", "Second.", "Done."])
      assert.deepInclude(resultsIn(history.content), { a: "did a", b: "did b" })
    }).pipe(
      Effect.provide(
        Next.toLayer(
          Effect.map(ChatService, (chat) => ({
            Next: () =>
              Effect.asVoid(Effect.orDie(chat.createAssistantMessage({ messageId: second })))
          }))
        ).pipe(
          Layer.provideMerge(
            stage([
              [...says("First."), ...wishes(call("a"))],
              [...says("Now."), ...wishes(call("n", "Next"))],
              [...says("Second."), ...wishes(call("b"))]
            ])
          )
        )
      )
    )
  })
})
