/**
 * What comes from a program without types, made the core's own; what is none throws a `TypeError`.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  defaultTenant,
  ForgetQuery as CoreForget,
  MessageRef as CoreRef,
  Run as CoreRun,
  RunQuery,
  StopIntent as CoreIntent,
  StopReason as CoreReason,
  StopTarget as CoreTarget,
  MessageId,
  RunId
} from "effect-cancellation"
import type { ChatRef } from "../Message.ts"
import type { StopIntent, StopReason } from "../Stop.ts"
import type { ForgetQuery, StopTarget } from "../Stops.ts"

type Given = ChatRef & {
  readonly messageId?: string | undefined
  readonly runId?: string | undefined
}

export const refOf = (message: ChatRef & { readonly messageId: string }): CoreRef => {
  const { messageId, ...chat } = placeOf(message)
  return decode(CoreRef, { ...chat, messageId })
}

export const messageIdOf = (id: string): MessageId => decode(MessageId, id, "messageId")

export const runIdOf = (id: string): RunId => decode(RunId, id, "runId")

export const reasonOf = (reason: StopReason): CoreReason => decode(CoreReason, reason, "reason")

export const intentOf = (intent: StopIntent): CoreIntent =>
  decode(CoreIntent, { ...present(intent), reason: intent.reason ?? "user" })

export const targetOf = (target: StopTarget): CoreTarget => {
  const { messageId, runId, ...chat } = placeOf(target)
  if (messageId === undefined) {
    if (runId !== undefined) throw new TypeError("A runId needs the messageId of its message.")
    return decode(CoreTarget, { _tag: "Chat", ...chat })
  }
  const ref = decode(CoreRef, { ...chat, messageId })
  return runId === undefined
    ? CoreTarget.cases.Message.make({ ref })
    : CoreTarget.cases.Run.make({ run: CoreRun.make({ ref, runId: runIdOf(runId) }) })
}

/** All runs that a target may be; without a user those of the tenant's own `default`. */
export const queryOf = (target: CoreTarget): RunQuery => {
  if (target._tag !== "Chat") {
    return RunQuery.cases.Refs.make({
      refs: [target._tag === "Run" ? target.run.ref : target.ref]
    })
  }
  const { _tag, ...chat } = target
  return decode(RunQuery, { _tag, userId: defaultTenant, ...chat })
}

export const forgetOf = (query: ForgetQuery): CoreForget => {
  if ("endedBefore" in query) {
    const time = query.endedBefore.getTime()
    if (!Number.isFinite(time)) throw new TypeError("endedBefore is no valid Date.")
    return CoreForget.cases.EndedBefore.make({ time })
  }
  if ("messageId" in query) {
    throw new TypeError("A single message cannot be forgotten: name its chat, or its user.")
  }
  return decode(CoreForget, {
    _tag: "chatId" in query && query.chatId !== undefined ? "Chat" : "User",
    ...present(query)
  })
}

// A program without types may pass anything, and what it passes beside the ids is its own.
const placeOf = (target: Given) => {
  if (typeof target !== "object" || target === null) {
    throw new TypeError(`A message is named by { chatId, messageId }, not by ${typeof target}.`)
  }
  const { chatId, companyId, messageId, runId, userId } = target
  return {
    ...present({ companyId, userId }),
    chatId,
    messageId,
    runId
  }
}

const present = (input: object): object =>
  Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))

const decode = <A>(schema: Schema.Codec<A, unknown>, input: unknown, name?: string): A =>
  Result.getOrThrowWith(
    Schema.decodeUnknownResult(schema)(input),
    (error) => new TypeError(name === undefined ? error.message : `${name}: ${error.message}`)
  )
