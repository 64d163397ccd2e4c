import { assert, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import {
  type ContentSupports,
  fullContentSupport,
  Message,
  MessageContent,
  MessageId,
  MessageNotFound,
  MessageRef,
  MessageRole,
  NewMessage
} from "effect-cancellation"
import { contentTests } from "../src/internal/contentContract/tests.ts"
import { MessageContentContract } from "../src/index.ts"
import { type Content, least, lesserContent, refuse } from "./lesserContent.ts"

MessageContentContract.suite("MessageContent.layerMemory", MessageContent.layerMemory)

MessageContentContract.suite(
  "the least of stores",
  Layer.effect(
    MessageContent,
    Effect.map(MessageContent, (content) => lesserContent(content, least))
  ).pipe(Layer.provide(Layer.fresh(MessageContent.layerMemory))),
  { supports: least }
)

/** What the suite says of a store: the tests that fail, and what is printed. */
const verdict = Effect.fnUntraced(function* (
  supports: ContentSupports,
  storeOver: (memory: Content) => Content
) {
  const printed: Array<unknown> = []
  const console = {
    ...globalThis.console,
    log: (line: unknown) => {
      printed.push(line)
    }
  }
  const store = yield* Effect.map(MessageContent, storeOver).pipe(
    Effect.provide(Layer.fresh(MessageContent.layerMemory))
  )
  const tests = contentTests("the store", supports).flatMap(({ tests }) => tests)
  const failed = yield* Effect.forEach(
    tests,
    ({ body, title }) =>
      Effect.map(Effect.exit(body(store)), (exit) => (Exit.isSuccess(exit) ? [] : [title])),
    { concurrency: "unbounded" }
  ).pipe(Effect.provideService(Console.Console, console))
  return { failed: failed.flat(), printed }
})

const features = ["ids", "writers", "reopen", "nulls", "clock"] as const

/** The tests that hold a store to a feature that it says it has, one of each. */
const held: Readonly<Record<(typeof features)[number], string>> = {
  ids: "leaves a message that exists as it is",
  writers: "refuses whoever is not the writer, and whoever does not say who writes",
  reopen: "reopens a message that is still being written, and writes in the same step",
  nulls: "keeps a null for the application's own JSON",
  clock: "sets stoppedStreamingAt once"
}

/** The tests that hold a store to what it says it does instead; better times are no breach. */
const heldWithout: Readonly<Record<Exclude<(typeof features)[number], "clock">, string>> = {
  ids: "names each message itself, whatever it is asked for",
  writers: "leaves writers out, and refuses nobody for them",
  reopen: "refuses to reopen a message, and leaves it as it is",
  nulls: "refuses a null for the application's own JSON, and leaves the message as it is"
}

const saysIt = "says what the suite was told"

/** A store that does one thing and says another. */
const liar =
  (does: ContentSupports, says: ContentSupports) =>
  (memory: Content): Content => ({ ...lesserContent(memory, does), supports: says })

describe("The suite of a store of texts", () => {
  for (const [name, supports] of Object.entries({ full: fullContentSupport, least })) {
    it.live(`finds nothing to say of an honest store: ${name}`, () =>
      Effect.gen(function* () {
        const { failed } = yield* verdict(supports, (memory) => lesserContent(memory, supports))
        assert.deepStrictEqual(failed, [])
      })
    )
  }

  for (const feature of features) {
    for (const [name, others] of Object.entries({ full: fullContentSupport, least })) {
      it.live(`fails a store that says it has ${feature}, and does not (otherwise ${name})`, () =>
        Effect.gen(function* () {
          const says = { ...others, [feature]: true }
          const does = { ...others, [feature]: false }
          const { failed } = yield* verdict(says, liar(does, says))
          assert.include(failed, held[feature])
          assert.notInclude(failed, saysIt)
        })
      )

      it.live(`fails a store that says otherwise than was told of ${feature} (${name})`, () =>
        Effect.gen(function* () {
          const says = { ...others, [feature]: !others[feature] }
          const { failed } = yield* verdict(others, liar(others, says))
          assert.include(failed, saysIt)
        })
      )

      if (feature === "clock") continue
      it.live(`fails a store that has ${feature} and says it does not (otherwise ${name})`, () =>
        Effect.gen(function* () {
          const says = { ...others, [feature]: false }
          const does = { ...others, [feature]: true }
          const { failed } = yield* verdict(says, liar(does, says))
          assert.include(failed, heldWithout[feature])
          assert.notInclude(failed, saysIt)
        })
      )
    }
  }

  for (const role of ["user", "system"] as const) {
    const roles = MessageRole.literals.filter((other) => other !== role)

    it.live(`fails a store that says it makes messages of the ${role}, and does not`, () =>
      Effect.gen(function* () {
        const does = { ...fullContentSupport, roles }
        const { failed } = yield* verdict(fullContentSupport, liar(does, fullContentSupport))
        assert.include(failed, `makes a message of the ${role} and answers what find finds`)
        assert.notInclude(failed, saysIt)
      })
    )

    it.live(`fails a store that makes messages of the ${role}, and says it does not`, () =>
      Effect.gen(function* () {
        const says = { ...fullContentSupport, roles }
        const { failed } = yield* verdict(says, liar(fullContentSupport, says))
        assert.deepStrictEqual(failed, [`refuses messages of ${role}, and makes none`])
      })
    )

    it.live(`fails a store that says otherwise than was told of the ${role}`, () =>
      Effect.gen(function* () {
        const says = { ...fullContentSupport, roles }
        const { failed } = yield* verdict(fullContentSupport, liar(fullContentSupport, says))
        assert.deepStrictEqual(failed, [saysIt])
      })
    )
  }

  it.live("fails a store that answers other ids than it is given, and takes both", () =>
    Effect.gen(function* () {
      const idOf = (messageId: MessageId) => MessageId.make(messageId.replace(/^its-/, ""))
      const refOf = (ref: MessageRef) => MessageRef.make({ ...ref, messageId: idOf(ref.messageId) })
      const answered = (message: Message) => {
        const messageId = MessageId.make(`its-${message.ref.messageId}`)
        return Message.make({ ...message, ref: MessageRef.make({ ...message.ref, messageId }) })
      }
      const { failed } = yield* verdict(fullContentSupport, (memory) => ({
        ...memory,
        find: ({ messageId, ...chat }) =>
          Effect.map(
            memory.find(messageId === undefined ? chat : { ...chat, messageId: idOf(messageId) }),
            (messages) => messages.map(answered)
          ),
        create: (message) =>
          Effect.map(memory.create({ ...message, ref: refOf(message.ref) }), answered),
        modify: (change) =>
          Effect.map(memory.modify({ ...change, ref: refOf(change.ref) }), answered)
      }))
      assert.include(failed, "makes a message of the assistant and answers what find finds")
    })
  )

  it.live("prints what is left out, and nothing of a store that can do everything", () =>
    Effect.gen(function* () {
      const { printed } = yield* verdict(least, (memory) => lesserContent(memory, least))
      assert.deepStrictEqual(printed, [
        "the store: not supported: ids, writers, reopen, nulls, clock, messages of user, messages of system"
      ])
      const full = yield* verdict(fullContentSupport, (memory) => memory)
      assert.deepStrictEqual(full.printed, [])
    })
  )
})

/** Stores that say what they lack, and do something else instead. */
const breaches: Readonly<
  Record<
    string,
    {
      readonly fails: string
      readonly spoil: (store: Content, memory: Content) => Partial<Content>
    }
  >
> = {
  "answers the id that was asked for, not the one it gave": {
    fails: heldWithout.ids,
    spoil: (store) => ({
      create: (message) =>
        Effect.map(store.create(message), (made) => Message.make({ ...made, ref: message.ref }))
    })
  },
  "answers a message of another chat": {
    fails: "makes an empty message that is not complete, unless told otherwise",
    spoil: (store) => ({
      create: (message) =>
        Effect.map(store.create(message), (made) =>
          Message.make({ ...made, ref: MessageRef.of({ chatId: "other", messageId: "message" }) })
        )
    })
  },
  "finds the only message of the chat under the id that was asked for": {
    fails: heldWithout.ids,
    spoil: (store) => ({
      find: ({ messageId: _messageId, ...chat }) => store.find(chat)
    })
  },
  "finds its messages in all places": {
    fails: "takes the same ids in another place (user) for another message",
    spoil: (store) => {
      const where = new Map<string, MessageRef>()
      const placed = <A extends { readonly messageId?: MessageId }>(query: A) => ({
        ...query,
        ...where.get(query.messageId ?? "")
      })
      return {
        find: (query) => store.find(placed(query)),
        create: (message) =>
          Effect.tap(store.create(message), ({ ref }) =>
            Effect.sync(() => where.set(ref.messageId, ref))
          )
      }
    }
  },
  "answers the writer, and does not keep it": {
    fails: heldWithout.writers,
    spoil: (store) => ({
      create: (message) =>
        Effect.map(store.create(message), (made) =>
          Message.make({
            ...made,
            ...(message.writer === undefined ? {} : { writer: message.writer })
          })
        )
    })
  },
  "keeps the writer of a change": {
    fails: heldWithout.writers,
    spoil: (store) => ({
      modify: (change) =>
        Effect.map(store.modify(change), (changed) =>
          Message.make({
            ...changed,
            ...(change.writer === undefined ? {} : { writer: change.writer })
          })
        )
    })
  },
  "refuses to reopen for another reason": {
    fails: heldWithout.reopen,
    spoil: (store) => ({
      modify: (change) =>
        change.reopen === true
          ? refuse(new MessageNotFound({ messageId: change.ref.messageId }))
          : store.modify(change)
    })
  },
  "refuses to reopen, and writes all the same": {
    fails: heldWithout.reopen,
    spoil: (store, memory) => ({
      modify: (change) =>
        change.reopen === true
          ? Effect.andThen(Effect.ignore(memory.modify(change)), store.modify(change))
          : store.modify(change)
    })
  },
  "leaves out a reopen, and writes the rest": {
    fails: heldWithout.reopen,
    spoil: (store) => ({ modify: ({ reopen: _reopen, ...change }) => store.modify(change) })
  },
  "leaves out a null, and writes the rest": {
    fails: heldWithout.nulls,
    spoil: (store) => ({
      modify: ({ debugInfo, references, ...change }) =>
        store.modify({
          ...change,
          ...(references === undefined || references === null ? {} : { references }),
          ...(debugInfo === undefined || debugInfo === null ? {} : { debugInfo })
        })
    })
  },
  "refuses a null, and writes the rest": {
    fails: heldWithout.nulls,
    spoil: (store, memory) => ({
      modify: (change) => {
        const { debugInfo, ref, references, text } = change
        return text !== undefined && (references === null || debugInfo === null)
          ? Effect.andThen(memory.modify({ ref, text }), store.modify(change))
          : store.modify(change)
      }
    })
  },
  "refuses a null in a new message, and makes it": {
    fails: heldWithout.nulls,
    spoil: (store, memory) => ({
      create: (message) =>
        message.references === null
          ? Effect.andThen(memory.create(message), store.create(message))
          : store.create(message)
    })
  },
  "makes the messages of others as the assistant's": {
    fails: "refuses messages of user and system, and makes none",
    spoil: (store) => ({
      create: (message) => store.create(NewMessage.make({ ...message, role: "assistant" }))
    })
  },
  "refuses the messages of others, and makes them": {
    fails: "refuses messages of user and system, and makes none",
    spoil: (store, memory) => ({
      create: (message) =>
        message.role === "assistant"
          ? store.create(message)
          : Effect.andThen(Effect.ignore(memory.create(message)), store.create(message))
    })
  },
  "says of a new message that it was updated before it was created": {
    fails: "makes a message of the assistant and answers what find finds",
    spoil: (store) => {
      const later = (message: Message) =>
        Message.make({ ...message, createdAt: message.createdAt + 3_600_000 })
      return {
        find: (query) => Effect.map(store.find(query), (messages) => messages.map(later)),
        create: (message) => Effect.map(store.create(message), later),
        modify: (change) => Effect.map(store.modify(change), later)
      }
    }
  },
  "sets no time of the end": {
    fails: "refuses every change after completion",
    spoil: (store) => ({
      modify: (change) =>
        Effect.map(store.modify(change), ({ completedAt: _completedAt, ...message }) =>
          Message.make(message)
        )
    })
  },
  "sets no time of the end of what is made complete": {
    fails: "makes an empty message that is not complete, unless told otherwise",
    spoil: (store) => ({
      create: (message) =>
        Effect.map(store.create(message), ({ completedAt: _completedAt, ...message }) =>
          Message.make(message)
        )
    })
  },
  "sets the end of the words again and again": {
    fails: "sets stoppedStreamingAt once",
    spoil: (store) => ({
      modify: (change) =>
        Effect.map(store.modify(change), (message) =>
          Message.make({
            ...message,
            ...(change.setStoppedStreamingAt === true
              ? { stoppedStreamingAt: message.updatedAt }
              : {})
          })
        )
    })
  },
  "completes more than once": {
    fails: "lets one of many complete a message at the same time",
    spoil: (store) => ({
      modify: ({ setCompletedAt, ...change }) =>
        Effect.map(store.modify(change), (message) =>
          setCompletedAt === true
            ? Message.make({ ...message, completedAt: message.updatedAt })
            : message
        )
    })
  }
}

describe("The suite of the least of stores", () => {
  for (const [name, { fails, spoil }] of Object.entries(breaches)) {
    it.live(`fails one that ${name}`, () =>
      Effect.gen(function* () {
        const { failed } = yield* verdict(least, (memory) => {
          const store = lesserContent(memory, least)
          return { ...store, ...spoil(store, memory) }
        })
        assert.include(failed, fails)
        assert.notInclude(failed, saysIt)
      })
    )
  }
})
