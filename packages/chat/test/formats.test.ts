// The validators refuse what the providers refuse: each rule has a history that breaks it alone.
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import { anthropicViolations, toAnthropic } from "./support/anthropicFormat.ts"
import { messageViolations, requestViolations } from "./support/chatCompletionsFormat.ts"

/** Exactly one complaint, and it says this. */
const only = (violations: ReadonlyArray<string>, expected: RegExp) => {
  assert.lengthOf(violations, 1, violations.join("\n"))
  assert.match(violations[0] ?? "", expected)
}

describe("the strict validator of chat completions", () => {
  const user = { role: "user", content: "What is the weather?" }
  const callOf = (id: string, args = "{}") => ({
    id,
    type: "function",
    function: { name: "weather", arguments: args }
  })
  const asks = (...ids: ReadonlyArray<string>) => ({
    role: "assistant",
    content: null,
    tool_calls: ids.map((id) => callOf(id))
  })
  const answers = (id: string) => ({ role: "tool", tool_call_id: id, content: "sunny" })
  const tool = {
    type: "function",
    function: { name: "weather", parameters: { type: "object" } }
  }
  const body = { model: "m", messages: [user], stream: true }

  const goodHistories: Readonly<Record<string, ReadonlyArray<unknown>>> = {
    "a question": [user],
    "all roles": [
      { role: "system", content: "Be short." },
      user,
      { ...asks("a", "b"), content: "Let me look." },
      answers("b"),
      answers("a"),
      { role: "assistant", content: "Sunny." },
      { role: "user", content: [{ type: "text", text: "Thanks." }] }
    ],
    "an image": [
      {
        role: "user",
        content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }]
      }
    ],
    "the same id in another turn": [user, asks("a"), answers("a"), asks("a"), answers("a")]
  }
  for (const [title, messages] of Object.entries(goodHistories)) {
    it(`accepts ${title}`, () => assert.deepStrictEqual(messageViolations(messages), []))
  }

  const badHistories: ReadonlyArray<readonly [string, ReadonlyArray<unknown>, RegExp]> = [
    ["no message", [], /no list with a message/],
    ["a message that is no object", [user, "hi"], /no object/],
    ["an unknown role", [{ role: "tester", content: "hi" }], /unknown role 'tester'/],
    ["an unknown field", [{ ...user, id: "1" }], /unknown field 'id'/],
    ["an empty text of the user", [{ role: "user", content: "" }], /empty string/],
    ["an empty text of the assistant", [user, { role: "assistant", content: "" }], /empty string/],
    ["an empty text of the system", [{ role: "system", content: "" }, user], /empty string/],
    ["an empty answer of a tool", [asks("a"), { ...answers("a"), content: "" }], /empty string/],
    ["an empty list of parts", [{ role: "user", content: [] }], /list with a part/],
    ["an empty part", [{ role: "user", content: [{ type: "text", text: "" }] }], /has no text/],
    [
      "a part of a strange type",
      [{ role: "user", content: [{ type: "video" }] }],
      /not allowed here/
    ],
    [
      "an image of the system",
      [{ role: "system", content: [{ type: "image_url", image_url: { url: "https://a.b" } }] }],
      /not allowed here/
    ],
    [
      "an image without an address",
      [{ role: "user", content: [{ type: "image_url", image_url: { url: "AAAA" } }] }],
      /no address/
    ],
    ["null content without calls", [user, { role: "assistant", content: null }], /neither content/],
    ["an empty list of calls", [user, { ...asks(), content: "hi" }], /no list with a call/],
    ["a call that nobody answers", [user, asks("a")], /the end: comes before the answer/],
    [
      "one of two calls unanswered",
      [user, asks("a", "b"), answers("a")],
      /answer to the tool call 'b'/
    ],
    [
      "a message between call and answer",
      [asks("a"), user],
      /messages\[1\]: comes before the answer/
    ],
    [
      "an answer that comes too late",
      [asks("a"), answers("a"), user, answers("a")],
      /answers 'a', which no tool call/
    ],
    ["an answer to no call", [user, answers("a")], /answers 'a', which no tool call/],
    ["an answer to another call", [asks("a"), answers("a"), answers("b")], /answers 'b', which no/],
    ["two answers to one call", [asks("a"), answers("a"), answers("a")], /a second time/],
    ["an id twice in a message", [asks("a", "a"), answers("a")], /has the id 'a' twice/],
    [
      "arguments that are no JSON",
      [{ ...asks(), tool_calls: [callOf("a", '{"city":')] }, answers("a")],
      /no JSON text/
    ],
    [
      "arguments that are an object",
      [
        {
          ...asks(),
          tool_calls: [{ ...callOf("a"), function: { name: "weather", arguments: {} } }]
        },
        answers("a")
      ],
      /no JSON text/
    ],
    [
      "a call of another type",
      [{ ...asks(), tool_calls: [{ ...callOf("a"), type: "custom" }] }, answers("a")],
      /not of the type 'function'/
    ],
    [
      "a name with a dot",
      [
        {
          ...asks(),
          tool_calls: [{ ...callOf("a"), function: { name: "a.b", arguments: "{}" } }]
        },
        answers("a")
      ],
      /no name of a tool/
    ]
  ]
  for (const [title, messages, expected] of badHistories) {
    it(`refuses ${title}`, () => only(messageViolations(messages), expected))
  }
  it("refuses an id of more than 40 letters, in the call and in the answer", () => {
    const id = "i".repeat(40)
    assert.deepStrictEqual(messageViolations([user, asks(id), answers(id)]), [])
    assert.deepStrictEqual(messageViolations([user, asks(`${id}i`), answers(`${id}i`)]), [
      "messages[1].tool_calls[0]: has an id of more than 40 letters",
      "messages[2]: has a tool_call_id of more than 40 letters"
    ])
  })
  it("refuses a message without content", () =>
    assert.include(messageViolations([{ role: "user" }]), "messages[0]: lacks 'content'"))
  it("refuses an answer without an id", () =>
    assert.include(
      messageViolations([asks("a"), answers("a"), { role: "tool", content: "x" }]),
      "messages[2]: lacks 'tool_call_id'"
    ))

  it("accepts a request with tools", () => {
    for (const choice of ["auto", "none", "required", undefined]) {
      const request = { ...body, tools: [tool], tool_choice: choice }
      assert.deepStrictEqual(requestViolations(request), [])
    }
    const named = { type: "function", function: { name: "weather" } }
    assert.deepStrictEqual(requestViolations({ ...body, tools: [tool], tool_choice: named }), [])
  })

  const badBodies: ReadonlyArray<readonly [string, unknown, RegExp]> = [
    ["no object", "hi", /no object/],
    ["no model", { ...body, model: "" }, /model/],
    ["an unknown field", { ...body, prompt: "hi" }, /unknown field 'prompt'/],
    ["stream options without a stream", { ...body, stream: false, stream_options: {} }, /stream/],
    ["an empty list of tools", { ...body, tools: [] }, /no list with a tool/],
    ["a choice without tools", { ...body, tool_choice: "auto" }, /only allowed with tools/],
    [
      "a choice of no tool of it",
      { ...body, tools: [tool], tool_choice: { type: "function", function: { name: "x" } } },
      /names no tool/
    ],
    ["two tools of a name", { ...body, tools: [tool, tool] }, /two tools named 'weather'/],
    ["a tool that is no function", { ...body, tools: [{ type: "x" }] }, /no function/],
    [
      "a tool without an object for parameters",
      {
        ...body,
        tools: [{ type: "function", function: { name: "a", parameters: { $ref: "#" } } }]
      },
      /JSON Schema of an object/
    ],
    [
      "a tool with a bad name",
      { ...body, tools: [{ type: "function", function: { name: "a b" } }] },
      /no name of a tool/
    ]
  ]
  for (const [title, request, expected] of badBodies) {
    it(`refuses a request with ${title}`, () => only(requestViolations(request), expected))
  }
})

describe("the strict validator of the Anthropic messages API", () => {
  const text = (words: string) => ({ type: "text", text: words })
  const thinking = { type: "thinking", thinking: "so", signature: "s" }
  const use = (id: string) => ({ type: "tool_use", id, name: "weather", input: {} })
  const result = (id: string) => ({ type: "tool_result", tool_use_id: id, content: "sunny" })
  const user = (...content: ReadonlyArray<unknown>) => ({ role: "user", content })
  const assistant = (...content: ReadonlyArray<unknown>) => ({ role: "assistant", content })
  const hi = user(text("hi"))

  const good: Readonly<Record<string, unknown>> = {
    "a question": { messages: [{ role: "user", content: "hi" }] },
    "a system text apart": { system: "Be short.", messages: [hi] },
    "tools and what follows": {
      messages: [
        hi,
        assistant(text("Let me look."), use("a"), use("b")),
        user(result("b"), { ...result("a"), is_error: true }, text("And now?")),
        assistant(text("Sunny."))
      ]
    },
    "the same role twice in a row": {
      messages: [hi, hi, assistant(text("a")), assistant(use("a")), user(result("a")), hi]
    },
    "an assistant's message at the end": { messages: [hi, assistant(text("Once upon"))] },
    "white space at the end of an earlier message": {
      messages: [hi, assistant(text("Once upon ")), hi]
    }
  }
  for (const [title, request] of Object.entries(good)) {
    it(`accepts ${title}`, () => assert.deepStrictEqual(anthropicViolations(request), []))
  }

  const bad: ReadonlyArray<readonly [string, ReadonlyArray<unknown>, RegExp]> = [
    ["no message", [], /no list with a message/],
    ["an assistant first", [assistant(text("hi")), hi], /not from the user/],
    ["a system message among the others", [hi, { role: "system", content: "x" }], /role 'system'/],
    ["an unknown field", [{ ...hi, id: 1 }], /unknown field 'id'/],
    ["an empty message", [hi, assistant()], /has no content/],
    ["an empty text", [user(text(""))], /nothing but white space/],
    ["a text of white space", [hi, assistant(text(" \n")), hi], /nothing but white space/],
    ["a block of a strange type", [user({ type: "video" })], /type 'video'/],
    ["a use that nobody answers", [hi, assistant(use("a")), hi], /'a', answered 0 times/],
    ["a use at the end", [hi, assistant(use("a"))], /'a', answered 0 times/],
    [
      "one of two uses unanswered",
      [hi, assistant(use("a"), use("b")), user(result("a"))],
      /'b', answered 0 times/
    ],
    [
      "two results for one use",
      [hi, assistant(use("a")), user(result("a"), result("a"))],
      /'a', answered 2 times/
    ],
    ["a result for no use", [user(result("a"))], /answers 'a', which the message before/],
    [
      "a result a message too late",
      [hi, assistant(use("a")), user(result("a")), assistant(text("x")), user(result("a"))],
      /answers 'a', which the message before/
    ],
    [
      "a text before a result",
      [hi, assistant(use("a")), user(text("so"), result("a"))],
      /a tool_result after another block/
    ],
    [
      "a text between results",
      [hi, assistant(use("a"), use("b")), user(result("a"), text("so"), result("b"))],
      /a tool_result after another block/
    ],
    [
      "an is_error that is no boolean",
      [hi, assistant(use("a")), user({ ...result("a"), is_error: "yes" })],
      /no boolean/
    ],
    [
      "an input that is text",
      [hi, assistant({ ...use("a"), input: "{}" }), user(result("a"))],
      /input that is no object/
    ],
    [
      "an id of another form",
      [hi, assistant(use("a.b")), user(result("a.b"))],
      /no id of the right form/
    ],
    [
      "an id twice in a history",
      [hi, assistant(use("a")), user(result("a")), assistant(use("a")), user(result("a"))],
      /two tool_use blocks with the id 'a'/
    ],
    ["a thought of the user", [user(thinking, text("hi"))], /a thought, but not of the assistant/],
    [
      "a thought without a signature",
      [hi, assistant({ ...thinking, signature: "" }, text("hi"))],
      /no signature/
    ],
    ["a thought at the end", [hi, assistant(text("hi"), thinking), hi], /ends with a thought/],
    [
      "white space at the end of the last message, the assistant's",
      [hi, assistant(text("Once upon "))],
      /ends with white space/
    ]
  ]
  for (const [title, messages, expected] of bad) {
    it(`refuses ${title}`, () => only(anthropicViolations({ messages }), expected))
  }
  it("refuses a use of the user and a result of the assistant", () => {
    const messages = [user(use("a")), assistant(result("a"))]
    assert.deepStrictEqual(anthropicViolations({ messages }), [
      "messages[0].content[0]: is a tool_use, but not of the assistant",
      "messages[1].content[0]: is a tool_result, but not of the user"
    ])
  })

  it("has a prompt in its own format, and mends nothing", () => {
    const prompt = Prompt.make([
      { role: "system", content: "Be short." },
      { role: "user", content: "What is the weather?" },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "hm" },
          {
            type: "reasoning",
            text: "so",
            options: { anthropic: { info: { type: "thinking", signature: "s" } } }
          },
          { type: "text", text: "Let me look." },
          { type: "tool-call", id: "a", name: "weather", params: { city: "Bern" } }
        ]
      },
      {
        role: "tool",
        content: [
          { type: "tool-result", id: "a", name: "weather", isFailure: true, result: { why: "x" } }
        ]
      },
      { role: "assistant", content: " " }
    ])
    const request = toAnthropic(prompt)
    assert.deepStrictEqual(request, {
      system: "Be short.",
      messages: [
        { role: "user", content: [text("What is the weather?")] },
        {
          role: "assistant",
          content: [thinking, text("Let me look."), { ...use("a"), input: { city: "Bern" } }]
        },
        { role: "user", content: [{ ...result("a"), content: '{"why":"x"}', is_error: true }] },
        { role: "assistant", content: [text(" ")] }
      ]
    })
    assert.deepStrictEqual(anthropicViolations(request), [
      "messages[3].content[0]: is a text of nothing but white space",
      "messages[3]: is the last message and ends with white space"
    ])
  })
})
