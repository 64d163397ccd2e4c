// An agent whose tool is an agent, each with a message, a run and a stop of its own.
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Tool, Toolkit } from "effect/ai"
import {
  CancellationWatcher,
  MessageContent,
  MessageQuery,
  MessageRepo,
  MessageStore,
  NewMessage
} from "effect-cancellation"
import { StoreFaults } from "effect-cancellation-testing"
import { type AgentResult, AgentLoop, ChatService, ChildRuns } from "../src/index.ts"
import { named, outcomes, refOf, settle } from "./child-runs.fixture.ts"
import * as ScriptedModel from "./support/scriptedModel.ts"

const Research = Tool.make("Research", {
  success: Schema.String,
  dependencies: [ChildRuns, CancellationWatcher, MessageContent]
})
const toolkit = Toolkit.make(Research)

const layer = ChildRuns.layer.pipe(
  Layer.provideMerge(MessageRepo.layer()),
  Layer.provideMerge(StoreFaults.layer(MessageStore.layerMemory())),
  Layer.merge(MessageContent.layerMemory)
)

const shown = Effect.fnUntraced(function* (name: string) {
  const content = yield* MessageContent
  const { chatId, messageId } = refOf(name)
  const [message] = yield* Effect.orDie(content.find(MessageQuery.make({ chatId, messageId })))
  return message
})

/** An agent whose tool is another, which has said half of what it has to say. */
const setUp = Effect.gen(function* () {
  const content = yield* MessageContent
  for (const name of ["parent", "child"]) {
    const { ref, runId } = named(name)
    yield* Effect.orDie(content.create(NewMessage.make({ ref, role: "assistant", writer: runId })))
  }
  const speaking = yield* Deferred.make<void>()
  const results: Array<AgentResult> = []
  const child = AgentLoop.run({ prompt: "Who was first?" }).pipe(
    Effect.provide(
      Layer.merge(
        ChatService.layerWatched(),
        ScriptedModel.layer([
          { type: "text-start", id: "text" },
          { type: "text-delta", id: "text", delta: "It was " },
          Effect.asVoid(Deferred.succeed(speaking, undefined)),
          Effect.never
        ])
      )
    ),
    Effect.tap((result) => Effect.sync(() => results.push(result))),
    ChildRuns.run(named("child"))
  )
  const parent = yield* AgentLoop.run({
    prompt: "Find out who was first",
    toolkit: Effect.provide(
      toolkit,
      toolkit.toLayer({ Research: () => Effect.map(Effect.orDie(child), ({ _tag }) => _tag) })
    )
  }).pipe(
    Effect.provide([
      ChatService.layer(named("parent")),
      ScriptedModel.layer([
        ...ScriptedModel.says("I ask. "),
        ...ScriptedModel.calls("Research"),
        ScriptedModel.ends("tool-calls")
      ])
    ]),
    Effect.forkChild
  )
  yield* Deferred.await(speaking)
  yield* settle
  return { parent, results }
})

describe("an agent whose tool is an agent", () => {
  it.effect("is stopped with it, and both keep what they have said", () =>
    Effect.gen(function* () {
      const { parent, results } = yield* setUp
      const repo = yield* MessageRepo
      yield* repo.requestStop(refOf("parent"))
      const result = yield* Fiber.join(parent)
      assert.strictEqual(result._tag, "Stopped")
      const [below] = results
      assert.strictEqual(below?._tag, "Stopped")
      if (below?._tag !== "Stopped") return
      assert.strictEqual(below.event.request.reason, "parent")
      assert.isFalse(below.stoppedByUser)
      assert.strictEqual(below.text, "It was ")
      assert.strictEqual((yield* shown("parent"))?.text, "I ask. ")
      assert.strictEqual((yield* shown("child"))?.text, "It was ")
      assert.deepStrictEqual(yield* outcomes, ["parent: stopped", "child: stopped"])
    }).pipe(Effect.provide(layer))
  )

  it.effect("goes on when the one below is stopped, and hears what it has", () =>
    Effect.gen(function* () {
      const { parent, results } = yield* setUp
      const repo = yield* MessageRepo
      yield* repo.requestStop(refOf("child"))
      const result = yield* Fiber.join(parent)
      assert.strictEqual(result._tag, "Completed")
      assert.strictEqual(result.text, "I ask. \n\nDone.")
      assert.strictEqual(results[0]?._tag, "Stopped")
      assert.deepStrictEqual(yield* outcomes, ["parent: completed", "child: stopped"])
    }).pipe(Effect.provide(layer))
  )

  it.effect("that was stopped before starts none: the model below is never asked", () =>
    Effect.gen(function* () {
      const { prompts, seen } = yield* Effect.gen(function* () {
        yield* CancellationWatcher.cancel("user")
        return yield* AgentLoop.run({ prompt: "Who was first?" }).pipe(
          Effect.zip(ScriptedModel.Asked),
          Effect.map(([seen, { prompts }]) => ({ seen, prompts })),
          Effect.provide(Layer.merge(ChatService.layerWatched(), ScriptedModel.layer())),
          ChildRuns.run(named("child"))
        )
      }).pipe(Effect.provide(CancellationWatcher.layer(named("parent"))))
      assert.strictEqual(seen._tag, "Stopped")
      assert.lengthOf(prompts, 0)
    }).pipe(Effect.provide(layer))
  )
})
