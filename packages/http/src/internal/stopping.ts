/**
 * What an actor may see and stop, and the stop itself. Runs are found with the actor's own company,
 * and the policy is asked of what was found; another company's run is never found.
 */
import * as Effect from "effect/Effect"
import {
  type ChatId,
  defaultTenant,
  type MessageId,
  MessageRef,
  type MessageRepo,
  Run,
  type RunId,
  RunQuery,
  type RunRecord,
  StopIntent,
  StopTarget,
  type UserId
} from "effect-cancellation"
import type { Actor } from "../CurrentActor.ts"
import { Forbidden, NotFound, Unavailable } from "../Problem.ts"
import type { Receipt, StopChatBody, StopMessageBody } from "../StopApi.ts"
import type { StopAction, StopPolicy } from "../StopPolicy.ts"
import type { Followed } from "./followers.ts"
import type { StopLimit } from "./stopLimit.ts"
import { ofStore } from "./storeProblem.ts"
import { receiptOfStop } from "./receipts.ts"
import { within } from "./within.ts"

type Person = Actor["Service"]

interface Message {
  readonly chatId: ChatId
  readonly messageId: MessageId
}

/** A stop that was taken, and what is to be followed to see how far it comes. */
export interface Stopped {
  readonly receipt: Receipt
  /** Nothing can be followed of a chat in which nothing runs yet. */
  readonly followed: Followed | undefined
}

export type Stopping = ReturnType<typeof makeStopping>

export const makeStopping = (options: {
  readonly repo: MessageRepo["Service"]
  readonly policy: StopPolicy["Service"]
  readonly limit: StopLimit
  /** The user of the refs of what an actor starts. */
  readonly ownerOf: (actor: Person) => UserId | undefined
}) => {
  const { limit, ownerOf, policy, repo } = options

  const inChat = (
    { companyId }: Person,
    place: {
      readonly chatId: ChatId
      readonly messageId?: MessageId
      readonly runningOnly?: boolean
    }
  ) =>
    ofStore(
      repo.findRuns(
        RunQuery.cases.Chat.make({ ...(companyId === undefined ? {} : { companyId }), ...place })
      )
    )

  const decide = (actor: Person, record: RunRecord, action: StopAction) =>
    within("5 seconds", Effect.fail(undecided))(policy.decide(actor, record, action))

  /** Those that the policy does not hide, with what it says of each. */
  const visible = Effect.fnUntraced(function* (
    actor: Person,
    records: ReadonlyArray<RunRecord>,
    action: StopAction
  ) {
    const decided = yield* Effect.forEach(records, (record) =>
      Effect.map(decide(actor, record, action), (decision) => ({ record, decision }))
    )
    return decided.filter(({ decision }) => decision !== "hide")
  })

  // The run that is meant; of two users' messages of the same name one's own.
  const meant = Effect.fnUntraced(function* (
    actor: Person,
    { chatId, messageId }: Message,
    runId: RunId | undefined,
    action: StopAction
  ) {
    const records = (yield* inChat(actor, { chatId, messageId })).filter((record) =>
      runId === undefined ? record.current : record.run.runId === runId
    )
    const seen = yield* visible(actor, records, action)
    return seen.find(({ record }) => isOf(actor, record)) ?? seen[0]
  })

  const ownPlace = (actor: Person) => {
    const { companyId } = actor
    const userId = ownerOf(actor)
    return {
      ...(companyId === undefined ? {} : { companyId }),
      ...(userId === undefined ? {} : { userId })
    }
  }

  // What changes nothing is free.
  const pay = Effect.fnUntraced(function* (
    actor: Person,
    target: StopTarget,
    before: RunRecord | undefined
  ) {
    const isNew = before === undefined ? !(yield* limit.isWaiting(actor, target)) : isOpen(before)
    if (isNew) yield* limit.spend(actor)
  })

  const ask = Effect.fnUntraced(function* (
    actor: Person,
    target: StopTarget,
    { note, reason = "user" }: StopChatBody,
    before: RunRecord | undefined
  ) {
    const intent = StopIntent.make({
      reason,
      requestedBy: actor.userId,
      ...(note === undefined ? {} : { note })
    })
    const receipts = yield* ofStore(repo.requestStop(target, intent))
    return yield* Effect.forEach(receipts, (receipt) =>
      Effect.map(
        receipt._tag === "Pending"
          ? limit.wait(actor, target, receipt.request.userAbortedAt)
          : Effect.succeed(before?.request !== undefined),
        (repeated): Stopped => ({
          receipt: receiptOfStop(receipt, repeated),
          followed:
            receipt._tag !== "Pending"
              ? { ref: receipt.run.ref, runId: receipt.run.runId }
              : target._tag === "Chat"
                ? undefined
                : target._tag === "Run"
                  ? { ref: target.run.ref, runId: target.run.runId }
                  : { ref: target.ref, runId: undefined }
        })
      )
    )
  })

  const mayStop = (actor: Person, record: RunRecord) =>
    Effect.map(decide(actor, record, "stop"), (decision) => decision === "allow")

  /** How a run stands, for who may read it. */
  const read = Effect.fn("StopApi.read")(function* (
    actor: Person,
    message: Message,
    runId: RunId | undefined
  ) {
    const found = yield* meant(actor, message, runId, "read")
    if (found === undefined) return yield* new NotFound(nothing)
    if (found.decision === "forbid") return yield* new Forbidden(noReading)
    return found.record
  })

  /** Stops a message. Of one that nobody may see, or that is not there, the stop waits for a run. */
  const stopMessage = Effect.fn("StopApi.stopMessage")(function* (
    actor: Person,
    message: Message,
    body: StopMessageBody
  ) {
    const found = yield* meant(actor, message, body.runId, "stop")
    if (found?.decision === "forbid") return yield* new Forbidden(noStopping)
    const ref = found?.record.run.ref ?? MessageRef.make({ ...ownPlace(actor), ...message })
    const target =
      body.runId === undefined
        ? StopTarget.cases.Message.make({ ref })
        : StopTarget.cases.Run.make({ run: Run.make({ ref, runId: body.runId }) })
    yield* pay(actor, target, found?.record)
    return yield* ask(actor, target, body, found?.record)
  })

  /** Stops all that runs in a chat and may be stopped. */
  const stopChat = Effect.fn("StopApi.stopChat")(function* (
    actor: Person,
    chatId: ChatId,
    body: StopChatBody
  ) {
    const running = yield* inChat(actor, { chatId, runningOnly: true })
    const current = running.filter((record) => record.current)
    const seen = yield* visible(actor, current, "stop")
    const allowed = seen.filter(({ decision }) => decision === "allow")
    if (seen.length > 0 && allowed.length === 0) return yield* new Forbidden(noStopping)
    if (allowed.length === 0) {
      const target = StopTarget.cases.Chat.make({ ...ownPlace(actor), chatId })
      yield* pay(actor, target, undefined)
      return yield* ask(actor, target, body, undefined)
    }
    // One press is one stop, however many runs it ends: none of them is refused halfway.
    if (allowed.some(({ record }) => isOpen(record))) yield* limit.spend(actor)
    const stopped = yield* Effect.forEach(
      allowed,
      ({ record }) => ask(actor, StopTarget.cases.Run.make({ run: record.run }), body, record),
      { concurrency: 8 }
    )
    return stopped.flat()
  })

  return { read, mayStop, stopMessage, stopChat }
}

// The same words for what is not there and for what is hidden.
const nothing = { detail: "There is no such message, or no run of it." }
const noReading = { detail: "You may not see how far the stop of this message has come." }
const undecided = new Unavailable({
  detail: "Whether you may do this could not be found out in time; nothing was done.",
  retryAfter: 1
})
const noStopping = { detail: "You may see this message, and not stop it." }

const isOf = (actor: Person, { run }: RunRecord): boolean =>
  (run.ref.userId ?? defaultTenant) === actor.userId

// Only such a run is changed by a stop.
const isOpen = ({ current, outcome, request }: RunRecord): boolean =>
  current && outcome === undefined && request === undefined
