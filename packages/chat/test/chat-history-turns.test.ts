// The history stays valid, whatever a model says and wherever a stop finds it.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { Prompt, type Response, Tool, Toolkit } from "effect/ai"
import { MessageContent, MessageRef, MessageRepo, NewMessage, RunId } from "effect-cancellation"
import { AgentLoop, type AgentResult, ChatHistory, ChatService } from "../src/index.ts"
import { ended, makeBench, stage, textsIn, toolkit } from "./agent-loop.fixture.ts"
import { accepted } from "./support/accepted.ts"
import { ref, stored } from "./support/chat.ts"
import * as ScriptedModel from "./support/scriptedModel.ts"

const seed = Number(process.env["CHAT_SEED"] ?? Date.now() % 0x7fffffff)
const runs = Number(process.env["CHAT_RUNS"] ?? 300)

const tools = Toolkit.merge(
  toolkit,
  Toolkit.make(
    Tool.providerDefined({
      id: "test.search",
      customName: "Search",
      providerName: "search",
      success: Schema.Array(Schema.String)
    })()
  )
)

type Part = Response.StreamPartEncoded

/** One thing that a model says. */
type Block =
  | {
      readonly is: "text" | "reasoning"
      readonly pieces: ReadonlyArray<string>
      readonly ends: boolean
    }
  | { readonly is: "call"; readonly id: string; readonly name: string; readonly params: unknown }
  | { readonly is: "hosted"; readonly id: string; readonly answers: boolean }

interface Case {
  readonly steps: ReadonlyArray<{
    readonly blocks: ReadonlyArray<Block>
    readonly reason: Response.FinishReason
  }>
  readonly concurrency: number | "unbounded"
  /**
   * Before which part of all, or in which call of all, somebody presses Stop. In a `silence` the model
   * says nothing more.
   */
  readonly stop: { readonly at: "part" | "silence" | "tool" | "never"; readonly nth: number }
  /** How long the n-th call takes, in milliseconds. */
  readonly takes: ReadonlyArray<number>
}

const pieces = fc.array(
  fc.constantFrom(
    "",
    " ",
    "\n",
    "Hello",
    " world",
    ".",
    "é",
    "\u{1F600}",
    "\ud83d",
    "\ude00",
    "\0"
  ),
  { maxLength: 4 }
)
const ids = fc.constantFrom("a", "b", "c", "a", "call_0", "functions.Work:0", "i".repeat(41), "")
const block: fc.Arbitrary<Block> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ is: fc.constant("text"), pieces, ends: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant("reasoning"), pieces, ends: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.oneof(
      fc.record({
        is: fc.constant("call"),
        id: ids,
        name: fc.constantFrom(
          "Work",
          "Look",
          "Pay",
          "Pay",
          "Try",
          "Missing",
          "constructor",
          "a.b",
          "",
          "Search"
        ),
        params: fc.constant({})
      }),
      fc.record({
        is: fc.constant("call"),
        id: ids,
        name: fc.constant("Try"),
        params: fc.constantFrom<unknown>(null, "{ broken", [1], { text: 7 }, 3)
      })
    )
  },
  { weight: 1, arbitrary: fc.record({ is: fc.constant("hosted"), id: ids, answers: fc.boolean() }) }
)

const stopped = (at: Case["stop"]["at"], max: number): fc.Arbitrary<Case["stop"]> =>
  fc.record({ at: fc.constant(at), nth: fc.integer({ min: 0, max }) })

const cases: fc.Arbitrary<Case> = fc.record({
  steps: fc.array(
    fc.record({
      blocks: fc.array(block, { maxLength: 6 }),
      reason: fc.constantFrom<Response.FinishReason>(
        "stop",
        "tool-calls",
        "tool-calls",
        "length",
        "pause"
      )
    }),
    { minLength: 1, maxLength: 4 }
  ),
  concurrency: fc.constantFrom<Case["concurrency"]>(1, 2, "unbounded"),
  stop: fc.oneof(
    stopped("part", 8),
    stopped("silence", 8),
    { weight: 3, arbitrary: stopped("tool", 2) },
    stopped("never", 0)
  ),
  takes: fc.array(fc.constantFrom(0, 50, 100, 100), { minLength: 1, maxLength: 4 })
})

const partsOf = (one: Block, key: string): ReadonlyArray<Part> => {
  switch (one.is) {
    case "text":
    case "reasoning":
      return [
        { type: `${one.is}-start`, id: key },
        ...one.pieces.map((delta): Part => ({ type: `${one.is}-delta`, id: key, delta })),
        ...(one.ends ? [{ type: `${one.is}-end` as const, id: key }] : [])
      ]
    case "call":
      return [{ type: "tool-call", id: one.id, name: one.name, params: one.params }]
    case "hosted": {
      const same = { id: one.id, name: "Search", providerExecuted: true }
      return [
        { type: "tool-call", ...same, params: null },
        ...(one.answers
          ? [{ type: "tool-result" as const, ...same, result: ["found"], isFailure: false }]
          : [])
      ]
    }
  }
}

const user = (text: string) =>
  Prompt.makeMessage("user", { content: [Prompt.makePart("text", { text })] })

interface Trace {
  readonly result: AgentResult
  readonly stored: ReadonlyArray<Prompt.Message>
  readonly asked: ReadonlyArray<Prompt.Prompt>
  readonly next: AgentResult
  readonly nextAsked: ReadonlyArray<Prompt.Prompt>
}

const nextRef = MessageRef.of({ chatId: ref.chatId, messageId: "next" })
const nextRun = RunId.make("next-run")

/** Plays a turn, and then the next one on top of what is stored of it. */
const play = (one: Case): Effect.Effect<Trace, unknown> =>
  Effect.gen(function* () {
    let press: Effect.Effect<void> = Effect.void
    let partCount = 0
    let callCount = 0
    const maybePress = (at: Case["stop"]["at"], nth: number) =>
      one.stop.at === at && one.stop.nth === nth ? press : Effect.void
    const maybeSilence = (nth: number) =>
      one.stop.at === "silence" && one.stop.nth === nth
        ? Effect.andThen(press, Effect.never)
        : maybePress("part", nth)
    const bench = makeBench((id, name) =>
      Effect.suspend(() => {
        const nth = callCount++
        return maybePress("tool", nth).pipe(
          Effect.andThen(Effect.sleep(one.takes[nth % one.takes.length] ?? 0)),
          Effect.andThen(name === "Try" ? Effect.fail("tried") : Effect.succeed(`did ${id}`))
        )
      })
    )
    const scripts = one.steps.map(({ blocks, reason }): ScriptedModel.Script => [
      ...blocks
        .flatMap((said, index) => partsOf(said, `${index}`))
        .flatMap((part) => [Effect.suspend(() => maybeSilence(partCount++)), part]),
      ScriptedModel.ends(reason)
    ])
    return yield* Effect.gen(function* () {
      const repo = yield* MessageRepo
      press = Effect.orDie(Effect.asVoid(repo.requestStop(ref)))
      const result = yield* Effect.flatten(
        ended(
          AgentLoop.run({
            prompt: "Begin.",
            toolkit: tools,
            concurrency: one.concurrency,
            save: (messages) => ({ references: ChatHistory.encode(messages) })
          })
        )
      )
      const { prompts } = yield* ScriptedModel.Asked
      const turn = yield* ChatHistory.decode(
        JSON.parse(JSON.stringify((yield* stored()).references ?? []))
      )
      const content = yield* MessageContent
      yield* content.create(NewMessage.make({ ref: nextRef, role: "assistant", writer: nextRun }))
      const next = yield* Effect.gen(function* () {
        const result = yield* AgentLoop.run({
          prompt: Prompt.fromMessages([user("Begin."), ...turn, user("And now?")]),
          toolkit: tools
        })
        return { next: result, nextAsked: (yield* ScriptedModel.Asked).prompts }
      }).pipe(
        Effect.provide(
          Layer.merge(ChatService.layer({ ref: nextRef, runId: nextRun }), ScriptedModel.layer())
        )
      )
      return { result, stored: turn, asked: prompts, ...next }
    }).pipe(Effect.provide(stage(scripts, { bench })))
  }).pipe(Effect.provide(TestClock.layer()))

/** What the model said in one piece each, as far as a text can be kept. */
const blocksSaid = (one: Case) => [
  // After its last script.
  "Done.",
  ...one.steps.flatMap(({ blocks }) =>
    blocks.flatMap((said) => (said.is === "text" ? [said.pieces.join("")] : []))
  )
]

const isOfTheModel = (one: Case) => (text: string) =>
  blocksSaid(one).some((said) =>
    Array.from({ length: said.length + 1 }, (_, length) =>
      said.slice(0, length).toWellFormed().replaceAll("\0", "\uFFFD")
    ).includes(text)
  )

const countOf = (messages: ReadonlyArray<Prompt.Message>, type: "tool-call" | "tool-result") =>
  messages.flatMap((message) =>
    typeof message.content === "string"
      ? []
      : message.content.filter((part) => part.type === type && !part.providerExecuted)
  ).length

describe(`the history of random turns (seed ${seed})`, () => {
  it(
    "is accepted by both providers, says who stopped what, and begins the next turn",
    async () => {
      const seen = {
        stopped: 0,
        cutInModel: 0,
        cutInTools: 0,
        notStarted: 0,
        ranOn: 0,
        completed: 0
      }
      const property = fc.asyncProperty(cases, async (one) => {
        const { asked, next, nextAsked, result, stored } = await Effect.runPromise(play(one))
        const { messages } = result
        const whole = [user("Begin."), ...messages, user("And now?")]
        accepted(whole)
        assert.deepStrictEqual(ChatHistory.valid(whole), whole)
        assert.deepStrictEqual(stored, messages)
        for (const { content } of asked) accepted([...content, user("Go on.")])

        assert.strictEqual(countOf(messages, "tool-call"), countOf(messages, "tool-result"))
        assert.deepStrictEqual(
          textsIn(messages).filter((text) => !isOfTheModel(one)(text)),
          []
        )
        const said = JSON.stringify(messages)
        assert.notInclude(said, "Whether it had an effect is not known")
        const stops = said.split("The user stopped this call").length - 1

        assert.strictEqual(next._tag, "Completed")
        assert.strictEqual(next.text, "Done.")
        assert.deepStrictEqual(nextAsked[0]?.content, whole)

        if (result._tag !== "Stopped") {
          assert.strictEqual(stops, 0)
          seen.completed++
          return
        }
        seen.stopped++
        const calls = result.underWay._tag === "Tools" ? result.underWay.calls : []
        const cut = calls.filter(({ end }) => end === "interrupted" || end === "notStarted")
        if (result.underWay._tag === "Model") {
          seen.cutInModel++
          // All calls of the answer that was cut, if it had any, and none of an answer before.
          const last = messages.at(-1)
          assert.include([0, last?.role === "tool" ? last.content.length : 0], stops)
        } else assert.strictEqual(stops, cut.length)
        if (cut.some(({ end }) => end === "interrupted")) seen.cutInTools++
        if (cut.some(({ end }) => end === "notStarted")) seen.notStarted++
        if (calls.some(({ end }) => end === "ranOn")) seen.ranOn++
      })
      await fc.assert(property, { numRuns: runs, seed })
      // What never met what it is about has shown nothing.
      for (const [what, times] of Object.entries(seen)) {
        assert.isAbove(times, 0, `${what} ${JSON.stringify(seen)}`)
      }
    },
    runs * 400
  )
})
