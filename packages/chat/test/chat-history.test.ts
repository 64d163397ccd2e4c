// Histories that every provider accepts: judged by the strict validators of both formats.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { Prompt } from "effect/ai"
import { Message, MessageRef } from "effect-cancellation"
import { ChatCompletionsModel, ChatHistory } from "../src/index.ts"
import { resultsIn, textsIn } from "./agent-loop.fixture.ts"
import { accepted } from "./support/accepted.ts"

const user = (text: string) =>
  Prompt.makeMessage("user", { content: [Prompt.makePart("text", { text })] })
const text = (words: string) => Prompt.makePart("text", { text: words })
const thought = (words: string) => Prompt.makePart("reasoning", { text: words })
const call = (id: string, params: unknown = {}, name = "Work", providerExecuted = false) =>
  Prompt.makePart("tool-call", { id, name, params, providerExecuted })
const result = (id: string, value: unknown, providerExecuted = false) =>
  Prompt.makePart("tool-result", {
    id,
    name: "Work",
    isFailure: false,
    result: value,
    providerExecuted
  })
const says = (...content: ReadonlyArray<Prompt.AssistantMessagePart>) =>
  Prompt.makeMessage("assistant", { content })
const tells = (...content: ReadonlyArray<Prompt.ToolMessagePart>) =>
  Prompt.makeMessage("tool", { content })

const shape = (messages: ReadonlyArray<Prompt.Message>) =>
  messages.map((one) =>
    typeof one.content === "string"
      ? one.role
      : `${one.role}: ${one.content
          .map((part) =>
            part.type === "text"
              ? part.text
              : part.type === "tool-call" || part.type === "tool-result"
                ? `${part.type} ${part.id}`
                : part.type
          )
          .join(", ")}`
  )

/** Mends a turn, and answers it once both validators accept it between two questions. */
const mended = (...messages: ReadonlyArray<Prompt.Message>) => {
  const valid = ChatHistory.valid([user("Begin."), ...messages])
  accepted([...valid, user("And now?")])
  assert.deepStrictEqual(ChatHistory.valid(valid), valid, "mending twice is mending once")
  return valid.slice(1)
}

describe("a history that a killed process left", () => {
  it("gets a result for each call that has none", () => {
    const valid = mended(says(text("I pay."), call("a"), call("b")), tells(result("b", "done")))
    assert.deepStrictEqual(shape(valid), [
      "assistant: I pay., tool-call a, tool-call b",
      "tool: tool-result a, tool-result b"
    ])
    assert.deepStrictEqual(resultsIn(valid), {
      a: {
        type: "execution-interrupted",
        reason: "This call was cut short. Whether it had an effect is not known."
      },
      b: "done"
    })
  })

  it("loses results of no call, and results that come twice", () => {
    const valid = mended(
      tells(result("lost", "done")),
      says(call("a")),
      tells(result("a", "first"), result("a", "second"), result("other", "done")),
      user("So?"),
      tells(result("a", "late"))
    )
    assert.deepStrictEqual(shape(valid), [
      "assistant: tool-call a",
      "tool: tool-result a",
      "user: So?"
    ])
    assert.deepStrictEqual(resultsIn(valid), { a: "first" })
  })

  it("finds results in several messages, and inside of the assistant's", () => {
    const valid = mended(
      says(call("a"), call("b"), call("c"), result("c", "inside")),
      tells(result("b", "two")),
      tells(result("a", "one"))
    )
    assert.deepStrictEqual(shape(valid), [
      "assistant: tool-call a, tool-call b, tool-call c",
      "tool: tool-result a, tool-result b, tool-result c"
    ])
    assert.deepStrictEqual(resultsIn(valid), { a: "one", b: "two", c: "inside" })
  })

  it("answers a call whose result comes only after further words", () => {
    const valid = mended(says(call("a")), says(text("Wait.")), tells(result("a", "late")))
    assert.deepStrictEqual(shape(valid), [
      "assistant: tool-call a",
      "tool: tool-result a",
      "assistant: Wait."
    ])
    assert.deepStrictEqual(resultsIn(valid), { a: "late" })
  })
})

describe("what providers refuse", () => {
  it("is left out where it says nothing", () => {
    const valid = mended(
      says(text(""), text(" \n")),
      says(thought("Hm.")),
      user(" "),
      Prompt.makeMessage("system", { content: "\n" }),
      says(thought("Hm."), text("Yes."), text(""), thought("Or no?")),
      Prompt.makeMessage("user", { content: [text(""), text("Go on.")] })
    )
    assert.deepStrictEqual(shape(valid), ["assistant: reasoning, Yes.", "user: Go on."])
  })

  it("keeps thoughts that the provider has signed where something follows them, and only there", () => {
    const signed = Prompt.makePart("reasoning", {
      text: "hm",
      options: { anthropic: { info: { type: "thinking", signature: "s" } } }
    })
    const valid = mended(
      says(signed, text("So."), signed, call("a")),
      tells(result("a", 1)),
      says(signed),
      user("Go on."),
      says(text("Well."), signed)
    )
    assert.deepStrictEqual(shape(valid), [
      "assistant: reasoning, So., reasoning, tool-call a",
      "tool: tool-result a",
      "user: Go on.",
      "assistant: Well."
    ])
  })

  it("is left out where the provider's own call was cut short, or its result is alone", () => {
    const valid = mended(
      says(text("I search."), call("h", {}, "Search", true)),
      user("Well?"),
      says(result("h", "late", true), text("Found."))
    )
    assert.deepStrictEqual(shape(valid), [
      "assistant: I search.",
      "user: Well?",
      "assistant: Found."
    ])
  })

  it("stays where the provider's own call has its result, in one message or in two", () => {
    const one = [says(call("h", {}, "Search", true), result("h", "found", true), text("So."))]
    const two = [says(call("h", {}, "Search", true)), says(result("h", "found", true), text("So."))]
    for (const turn of [one, two]) {
      assert.strictEqual(
        shape(ChatHistory.valid(turn)).join(", ").replaceAll("assistant: ", ""),
        "tool-call h, tool-result h, So."
      )
    }
  })

  it("is a question for approval that nobody answers any more", () => {
    const valid = mended(
      says(
        call("a"),
        Prompt.makePart("tool-approval-request", { approvalId: "1", toolCallId: "a" })
      ),
      tells(Prompt.makePart("tool-approval-response", { approvalId: "1", approved: true }))
    )
    assert.deepStrictEqual(shape(valid), ["assistant: tool-call a", "tool: tool-result a"])
  })

  it("is an id that is used twice, in one answer or in two, or has odd letters", () => {
    const valid = mended(
      says(call("a"), call("a"), call("functions.x:0"), call("")),
      tells(result("a", 1), result("functions.x:0", 3), result("a", 2), result("", 4)),
      says(call("a")),
      tells(result("a", 5))
    )
    assert.deepStrictEqual(resultsIn(valid), {
      a: 1,
      "a-2": 2,
      functions_x_0: 3,
      call: 4,
      "a-3": 5
    })
  })

  it("is an id that is too long, also with what makes it another", () => {
    const long = "i".repeat(60)
    const other = `${"i".repeat(45)}.other`
    const many = Array.from({ length: 11 }, () => call(long))
    const valid = mended(
      says(call(long), call(other)),
      tells(result(other, 2), result(long, 1)),
      says(...many),
      tells(...many.map((_, index) => result(long, 3 + index)))
    )
    const results = resultsIn(valid)
    assert.lengthOf(Object.keys(results), 13)
    assert.strictEqual(results["i".repeat(40)], 1)
    assert.strictEqual(results[`${"i".repeat(38)}-2`], 2)
    assert.strictEqual(results[`${"i".repeat(37)}-13`], 13)
  })

  it("is not the id that a provider gave a call of its own, which may be longer", () => {
    const id = `ws_${"0".repeat(50)}`
    const valid = mended(says(call(id, {}, "Search", true), result(id, 1, true), text("So.")))
    assert.include(shape(valid)[0], `tool-call ${id}, tool-result ${id}`)
  })

  it("is a name of a tool with odd letters, or too long, or none", () => {
    const valid = mended(
      says(call("a", {}, "functions.x"), call("b", {}, "y".repeat(70)), call("c", {}, ""))
    )
    const names = valid.flatMap((one) =>
      one.role === "assistant"
        ? one.content.flatMap((part) => (part.type === "tool-call" ? [part.name] : []))
        : []
    )
    assert.deepStrictEqual(names, ["functions_x", "y".repeat(64), "tool"])
  })

  it("is parameters that are no object, and values that are no JSON", () => {
    const circular: Record<string, unknown> = {}
    circular["self"] = circular
    const valid = mended(
      says(call("a", "{ broken"), call("b", [1]), call("c", undefined), call("d", { big: 1n })),
      tells(
        result("a", undefined),
        result("b", new Date(0)),
        result("c", circular),
        result("d", { left: undefined, nan: Number.NaN })
      )
    )
    const params = valid.flatMap((one) =>
      one.role === "assistant"
        ? one.content.flatMap((part) => (part.type === "tool-call" ? [part.params] : []))
        : []
    )
    assert.deepStrictEqual(params, [{ value: "{ broken" }, { value: [1] }, {}, { big: "1" }])
    assert.deepStrictEqual(resultsIn(valid), {
      a: null,
      b: "1970-01-01T00:00:00.000Z",
      c: "[object Object]",
      d: { nan: null }
    })
  })

  it("is half of a character, as a cut can leave it, and NUL", () => {
    const valid = mended(
      says(text("a\ud83d"), call("a", { x: "\udc00" })),
      tells(result("a", "\0"))
    )
    assert.isTrue(textsIn(valid).every((words) => words.isWellFormed()))
    assert.deepStrictEqual(textsIn(valid), ["a\uFFFD"])
    assert.deepStrictEqual(resultsIn(valid), { a: "\uFFFD" })
  })
})

describe("a turn as JSON", () => {
  it.effect("comes back as it was, through the text that a database keeps", () =>
    Effect.gen(function* () {
      const turn = ChatHistory.valid([
        Prompt.makeMessage("assistant", {
          content: [
            Prompt.makePart("reasoning", { text: "Hm.", options: { x: { signature: "s" } } }),
            text("I pay."),
            call("a", { deep: [{ x: null }, 1.5, "é\u2028"] }),
            call("h", {}, "Search", true),
            result("h", ["found"], true)
          ]
        }),
        tells(result("a", { ok: true }))
      ])
      const json = JSON.stringify(ChatHistory.encode(turn))
      assert.deepStrictEqual(yield* ChatHistory.decode(JSON.parse(json)), turn)
    })
  )

  it.effect("is valid also if it was not", () =>
    Effect.gen(function* () {
      const turn = yield* ChatHistory.decode(ChatHistory.encode([says(call("a", undefined))]))
      assert.deepStrictEqual(shape(turn), ["assistant: tool-call a", "tool: tool-result a"])
    })
  )

  for (const stored of [undefined, null, "[]", {}, [{ role: "tester" }], [{ role: "user" }], 7]) {
    it.effect(`is not read from ${JSON.stringify(stored)}`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* Effect.flip(ChatHistory.decode(stored)))._tag, "SchemaError")
      })
    )
  }
})

describe("the history of a chat", () => {
  const message = (
    role: "user" | "assistant" | "system",
    words: string,
    references?: Schema.Json
  ) =>
    Message.make({
      ref: MessageRef.of({ chatId: "chat", messageId: `${role}-${words.length}` }),
      role,
      text: words,
      createdAt: 0,
      updatedAt: 0,
      ...(references === undefined ? {} : { references })
    })
  const stored = ChatHistory.encode([says(text("I pay."), call("a")), tells(result("a", "paid"))])

  it.effect("is the texts, and the turns where they are stored", () =>
    Effect.gen(function* () {
      const prompt = yield* ChatHistory.fromMessages(
        [
          message("system", "Be short."),
          message("user", "Pay.", stored),
          message("assistant", "I pay.", stored),
          message("user", "Again."),
          message("assistant", "  "),
          message("assistant", "Just words."),
          message("user", " "),
          message("user", "So?")
        ],
        ({ references }) => references
      )
      accepted(prompt.content)
      assert.deepStrictEqual(shape(prompt.content), [
        "system",
        "user: Pay.",
        "assistant: I pay., tool-call a",
        "tool: tool-result a",
        "user: Again.",
        "assistant: Just words.",
        "user: So?"
      ])
    })
  )

  it.effect("uses no id again of which two turns have made use", () =>
    Effect.gen(function* () {
      const turns = [
        message("assistant", "1", stored),
        message("user", "u"),
        message("assistant", "2", stored)
      ]
      const prompt = yield* ChatHistory.fromMessages(
        [message("user", "Pay."), ...turns, message("user", "So?")],
        ({ references }) => references
      )
      accepted(prompt.content)
      assert.deepStrictEqual(resultsIn(prompt.content), { a: "paid", "a-2": "paid" })
    })
  )

  it.effect("has the text of a turn that cannot be read, and says so in the log", () => {
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const prompt = yield* ChatHistory.fromMessages(
        [message("user", "Pay."), message("assistant", "I paid.", [{ role: "tester" }])],
        ({ references }) => references
      )
      assert.deepStrictEqual(shape(prompt.content), ["user: Pay.", "assistant: I paid."])
      assert.lengthOf(lines, 1)
      assert.match(lines[0] ?? "", /stored turn of message assistant-7 cannot be read/)
    }).pipe(
      Effect.provide(
        Logger.layer([Logger.make(({ message: line }) => void lines.push(String(line)))])
      )
    )
  })

  it.effect("is what the model is asked with next", () =>
    Effect.gen(function* () {
      const prompt = yield* ChatHistory.fromMessages([message("user", "Hello.")])
      const messages = ChatCompletionsModel.toMessages(prompt)
      assert.isTrue(Result.isSuccess(messages))
    })
  )
})
