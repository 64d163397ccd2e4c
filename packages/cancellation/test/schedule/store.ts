/**
 * The one store of the small world, with an observer that tells the oracle what reached it, and the
 * messages that live in it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import {
  ChatId,
  CompanyId,
  MessageId,
  MessageRef,
  type MessageStore,
  Run,
  RunId,
  StopTarget
} from "../../src/index.ts"
import type { Act, Attempt, MessageIndex } from "../schedule.ts"
import type { Aim } from "./aim.ts"

const otherCompany = CompanyId.make("other")
const attempts = { 0: RunId.make("attempt-0"), 1: RunId.make("attempt-1") } as const
const chatA = ChatId.make("chat-a")
const chatB = ChatId.make("chat-b")

export const messageIds = {
  0: MessageId.make("message-0"),
  1: MessageId.make("message-1"),
  2: MessageId.make("message-2"),
  // The same names as the first message's, for another tenant.
  3: MessageId.make("message-0")
} as const

const refs = {
  0: MessageRef.make({ chatId: chatA, messageId: messageIds[0] }),
  1: MessageRef.make({ chatId: chatA, messageId: messageIds[1] }),
  2: MessageRef.make({ chatId: chatB, messageId: messageIds[2] }),
  3: MessageRef.make({ companyId: otherCompany, chatId: chatA, messageId: messageIds[3] })
} as const

export const runOf = (message: MessageIndex, attempt: Attempt): Run =>
  Run.make({ ref: refs[message], runId: attempts[attempt] })

export const targetOf = (act: Extract<Act, { act: "stop" }>): StopTarget => {
  const ref = refs[act.message]
  switch (act.level) {
    case "chat":
      return StopTarget.cases.Chat.make({
        ...(ref.companyId === undefined ? {} : { companyId: ref.companyId }),
        chatId: ref.chatId
      })
    case "message":
      return StopTarget.cases.Message.make({ ref })
    case "run":
    default:
      return StopTarget.cases.Run.make({ run: runOf(act.message, act.attempt) })
  }
}

export const tapped = (store: MessageStore["Service"], aim: Aim): MessageStore["Service"] => {
  const afterwards = <A, E>(call: Effect.Effect<A, E>, tell: (now: number) => void) =>
    Effect.tap(call, () => Effect.map(Clock.currentTimeMillis, tell))
  return {
    ...store,
    startRuns: (runs, lease) =>
      afterwards(store.startRuns(runs, lease), (now) => {
        for (const run of runs) aim.started(run, now)
      }),
    requestStop: (target, intent) =>
      afterwards(store.requestStop(target, intent), (now) => aim.requested(target, now)),
    advanceRuns: (changes) =>
      afterwards(store.advanceRuns(changes), (now) => {
        for (const { run, to } of changes) if (to !== "observed") aim.ended(run, now)
      })
  }
}

/** Every run the store holds, and whether it holds a stop for it. */
export const findAll = (store: MessageStore["Service"]) =>
  Effect.map(
    Effect.all([
      store.findRuns({ _tag: "Company" }),
      store.findRuns({ _tag: "Company", companyId: otherCompany })
    ]),
    (found) => found.flat().map(({ request, run }) => ({ run, stopped: request !== undefined }))
  )
