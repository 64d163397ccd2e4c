/** The texts on a platform of their own, what is sent for them, and what is said of it. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Tracer from "effect/Tracer"
import { TestClock } from "effect/testing"
import {
  MessageChange,
  MessageContent,
  type MessageContentError,
  MessageRef,
  NewMessage
} from "effect-cancellation"
import { UniquePlatform, type UniquePlatformSettings } from "../src/index.ts"
import { onPlatform } from "./support/platform.ts"
import { type Platform, startPlatform } from "./support/PlatformServer.ts"

export const ada = { companyId: "company_1", userId: "user_ada" }
export const chatId = "chat_1"
export const assistantId = "assistant_1"

type Rule = Parameters<Platform["respond"]>[0]
export type Trouble = Exclude<ReturnType<Rule>, undefined>
export type Request = Parameters<Rule>[0]

export const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** What stands before a platform says instead of it. */
export const page = {
  status: 200,
  headers: { "content-type": "text/html" },
  body: "<!doctype html><title>Sign in</title>"
} satisfies Trouble

export const json = (status: number, body: unknown): Trouble => ({
  status,
  body: JSON.stringify(body)
})

export const refOf = (messageId: string, owner: Partial<typeof ada> = ada): MessageRef =>
  MessageRef.of({ ...owner, chatId, messageId })

/** The ports on a platform that is there, as long as the scope. */
export const openOn = Effect.fnUntraced(function* (
  platform: Platform,
  settings: UniquePlatformSettings = { assistantId }
) {
  const context = yield* Layer.build(Layer.fresh(onPlatform(platform, settings)))
  const content = Context.get(context, MessageContent)
  const unique = Context.get(context, UniquePlatform)
  const change = (
    messageId: string,
    fields: Omit<Parameters<typeof MessageChange.make>[0], "ref">
  ) => content.modify(MessageChange.make({ ref: refOf(messageId), ...fields }))
  return { content, unique, change }
})

/** The ports on a platform of their own, with one message, on a test's clock that has the right time. */
export const open = Effect.fnUntraced(function* (settings?: UniquePlatformSettings) {
  yield* TestClock.setTime(Date.now())
  const platform = yield* startPlatform()
  const { id } = platform.add({ ...ada, chatId, text: "before" })
  return {
    platform,
    id,
    ...(yield* openOn(platform, settings)),
    /** What was sent to change or make messages, in order. */
    bodies: (method: "PATCH" | "POST" = "PATCH") =>
      platform.requests
        .filter((request) => request.method === method)
        .map(({ body }) => body as Readonly<Record<string, unknown>>),
    /** What was asked, in order. */
    calls: () => platform.requests.map(({ method }) => method).join(" "),
    /** Answers only requests of this method so. */
    troubled: (method: string, trouble: Trouble) =>
      platform.respond((request) => (request.method === method ? trouble : undefined))
  }
})

export const newMessage = (fields: Partial<Parameters<typeof NewMessage.make>[0]> = {}) =>
  NewMessage.make({ ref: refOf("wished"), role: "assistant", ...fields })

/** Why it was refused. */
export const reasonOf = <A, R>(effect: Effect.Effect<A, MessageContentError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason)

/** Runs it, and answers all that was logged and traced meanwhile. */
export const overheard = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<unknown> = []
    const spans: Array<Tracer.Span> = []
    const logger = Logger.make(({ cause, message }) => {
      lines.push(message, Cause.pretty(cause))
    })
    return Effect.exit(effect).pipe(
      Effect.withSpan("test"),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(
        Tracer.Tracer,
        Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            spans.push(span)
            return span
          }
        })
      ),
      Effect.map((exit) => ({ exit, lines, spans: spans.map(toldOf) }))
    )
  })

const toldOf = (span: Tracer.Span) => {
  const { attributes, name, status } = span
  return {
    name,
    attributes,
    events: span instanceof Tracer.NativeSpan ? span.events : [],
    // The test's own holds what the test asked for.
    exit:
      status._tag === "Ended" && (name !== "test" || Exit.isFailure(status.exit))
        ? status.exit
        : undefined
  }
}
