/**
 * Stops, asked in the name of an actor.
 *
 * What is hidden is treated as what is not there: the stop waits in the actor's own name for a run
 * that has not begun. Where the policy would not let the actor stop such a run, it waits for nobody.
 */
import * as Effect from "effect/Effect"
import {
  type ChatId,
  defaultTenant,
  MessageId,
  MessageRef,
  type MessageRepo,
  Run,
  RunId,
  RunRecord,
  StopIntent,
  type StopReceipt,
  StopTarget,
  type UserId
} from "effect-cancellation"
import { Forbidden, NotFound } from "../Problem.ts"
import type { Receipt, StopChatBody, StopMessageBody } from "../StopApi.ts"
import type { Followed } from "./followers.ts"
import { receiptOfStop } from "./receipts.ts"
import { hashed } from "./hashed.ts"
import { actorKey, targetKey } from "./stopKeys.ts"
import type { StopLimit } from "./stopLimit.ts"
import { ofStore } from "./storeProblem.ts"
import { type Decided, isVisible, type Person, type Visibility } from "./visibility.ts"

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

interface Asked {
  readonly receipts: ReadonlyArray<StopReceipt>
  readonly followed: Followed | undefined
}

export const makeStopping = (options: {
  readonly repo: MessageRepo["Service"]
  readonly visibility: Visibility
  readonly limit: StopLimit
  /** The user of the refs of what an actor starts. */
  readonly ownerOf: (actor: Person) => UserId | undefined
}) => {
  const { limit, ownerOf, repo, visibility } = options
  // Names no run and no message.
  const unknown = globalThis.crypto.randomUUID()

  const ownPlace = (actor: Person) => {
    const { companyId } = actor
    const userId = ownerOf(actor)
    return {
      ...(companyId === undefined ? {} : { companyId }),
      ...(userId === undefined ? {} : { userId })
    }
  }

  const request = (actor: Person, target: StopTarget, { note, reason = "user" }: StopChatBody) =>
    ofStore(
      repo.requestStop(
        target,
        StopIntent.make({
          reason,
          requestedBy: actor.userId,
          ...(note === undefined ? {} : { note })
        })
      )
    )

  /** Stops a run that was found. */
  const stop = Effect.fnUntraced(function* (actor: Person, before: RunRecord, body: StopChatBody) {
    const receipts = yield* request(actor, StopTarget.cases.Run.make({ run: before.run }), body)
    return receipts.map((receipt): Stopped => ({
      receipt: receiptOfStop(receipt, before.request !== undefined),
      followed: { ref: before.run.ref, runId: before.run.runId }
    }))
  })

  const isHere =
    (ref: MessageRef) =>
    ({ record: { run } }: Decided): boolean =>
      run.ref.chatId === ref.chatId &&
      (run.ref.userId ?? defaultTenant) === (ref.userId ?? defaultTenant)

  // A run that nothing is, and so what waits for it waits for nobody. The same of the same target in
  // every process, as a stop would be that waits for somebody; of one who may not stop there, his own.
  const nobodyOf = (ref: MessageRef, ...keys: ReadonlyArray<string>) =>
    Effect.map(hashed(["nobody", ...keys].join("\0")), (name) =>
      Run.make({
        ref: MessageRef.make({ ...ref, messageId: MessageId.make(name) }),
        runId: RunId.make(name)
      })
    )

  /** Has a stop wait for a run that has not begun, or answers for one that has begun meanwhile. */
  const wait = Effect.fnUntraced(function* (
    actor: Person,
    target: StopTarget,
    body: StopChatBody,
    decided: ReadonlyArray<Decided>
  ) {
    const ref = refOf(target, MessageId.make(unknown))
    const isAllowed = yield* mayStop(
      actor,
      RunRecord.make({
        run: Run.make({ ref, runId: RunId.make(unknown) }),
        startedAt: 0,
        current: true
      })
    )
    const isFor = isAllowed && !decided.some(isHere(ref))
    yield* limit.spend(actor, [target])
    const forSomebody = Effect.map(request(actor, target, body), (receipts) => ({
      receipts,
      followed: followedOf(target)
    }))
    const forNobody = Effect.fnUntraced(function* (...more: ReadonlyArray<string>) {
      const keys = isAllowed ? [targetKey(target)] : [targetKey(target), actorKey(actor)]
      const run = yield* nobodyOf(ref, ...keys, ...more)
      const receipts = yield* request(actor, StopTarget.cases.Run.make({ run }), body)
      // What is not stopped is not followed either: in the same place there may be something hidden.
      return { receipts, followed: followedOf(target) && run }
    })
    if (target._tag === "Chat") {
      // Of a chat in which nothing runs the store tells what has just ended, and that may be hidden.
      // So that it shows neither by another write nor by when a stop was first asked, there is always
      // one more that waits for nobody, and what is pending is answered by that one.
      const [hidden, asked] = yield* Effect.all(
        [forNobody(), isFor ? forSomebody : forNobody("more")],
        { concurrency: 2 }
      )
      const isTold = asked.receipts.some(({ _tag }) => _tag !== "Pending")
      return yield* answered(
        actor,
        target,
        isTold && (yield* isHeard(actor, asked)) ? asked : hidden
      )
    }
    if (!isFor) return yield* answered(actor, target, yield* forNobody())
    const asked = yield* forSomebody
    // One that has begun meanwhile may be hidden too.
    const told = (yield* isHeard(actor, asked)) ? asked : yield* forNobody()
    return yield* answered(actor, target, told)
  })

  const isHeard = (actor: Person, { receipts }: Asked) =>
    Effect.map(
      Effect.forEach(receipts, (one) => mayHear(actor, one)),
      (heard) => heard.every(Boolean)
    )

  const mayHear = (actor: Person, receipt: StopReceipt) =>
    receipt._tag === "Pending" ? Effect.succeed(true) : mayStop(actor, recordOf(receipt))

  const mayStop = (actor: Person, record: RunRecord) =>
    Effect.map(visibility.decide(actor, record, "stop"), (decision) => decision === "allow")

  const answered = (actor: Person, target: StopTarget, asked: Asked) =>
    Effect.forEach(asked.receipts, (receipt) =>
      receipt._tag === "Pending"
        ? Effect.map(limit.wait(actor, target, receipt), (repeated): Stopped => ({
            receipt: receiptOfStop({ ...receipt, target }, repeated),
            followed: asked.followed
          }))
        : Effect.succeed<Stopped>({
            receipt: receiptOfStop(receipt),
            followed: { ref: receipt.run.ref, runId: receipt.run.runId }
          })
    )

  /** How a run stands, for who may read it. */
  const read = Effect.fn("StopApi.read")(function* (
    actor: Person,
    message: Message,
    runId: RunId | undefined
  ) {
    const found = (yield* visibility.ofMessage(actor, message, runId, "read")).find(isVisible)
    if (found === undefined) return yield* new NotFound(nothing)
    if (found.decision === "forbid") return yield* new Forbidden(noReading)
    return found.record
  })

  const stopFound = Effect.fnUntraced(function* (
    actor: Person,
    message: Message,
    body: StopMessageBody
  ) {
    const decided = yield* visibility.ofMessage(actor, message, body.runId, "stop")
    const found = decided.find(isVisible)
    if (found?.decision === "forbid") return yield* new Forbidden(noStopping)
    if (found === undefined) {
      const ref = MessageRef.make({ ...ownPlace(actor), ...message })
      return yield* wait(actor, targetOf(ref, body.runId), body, decided)
    }
    const { run } = found.record
    if (isOpen(found.record)) yield* limit.spend(actor, [StopTarget.cases.Run.make({ run })])
    return yield* stop(actor, found.record, body)
  })

  /** Stops a message's current run, or the one that is named. */
  const stopMessage = Effect.fn("StopApi.stopMessage")(function* (
    actor: Person,
    message: Message,
    body: StopMessageBody
  ) {
    const stopped = yield* stopFound(actor, message, body)
    // A newer run has begun since it was found: now that one is meant, if the policy lets it.
    const isOvertaken =
      body.runId === undefined && stopped.some(({ receipt }) => receipt.phase === "superseded")
    return isOvertaken ? yield* stopFound(actor, message, body) : stopped
  })

  /** Stops all that runs in a chat and may be stopped. */
  const stopChat = Effect.fn("StopApi.stopChat")(function* (
    actor: Person,
    chatId: ChatId,
    body: StopChatBody
  ) {
    const decided = yield* visibility.ofChat(actor, chatId)
    const seen = decided.filter(isVisible)
    const allowed = seen.filter(({ decision }) => decision === "allow")
    if (seen.length > 0 && allowed.length === 0) return yield* new Forbidden(noStopping)
    if (allowed.length === 0) {
      const target = StopTarget.cases.Chat.make({ ...ownPlace(actor), chatId })
      return yield* wait(actor, target, body, decided)
    }
    // One press is one stop, however many runs it ends: none of them is refused halfway.
    const open = allowed.filter(({ record }) => isOpen(record))
    const targets = open.map(({ record: { run } }) => StopTarget.cases.Run.make({ run }))
    if (open.length > 0) yield* limit.spend(actor, targets)
    // Nor is one left because another could not be stopped.
    const exits = yield* Effect.forEach(
      allowed,
      ({ record }) => Effect.exit(stop(actor, record, body)),
      { concurrency: 8 }
    )
    return (yield* Effect.forEach(exits, (exit) => exit)).flat()
  })

  return { read, stopMessage, stopChat }
}

// The same words for what is not there and for what is hidden.
const nothing = { detail: "There is no such message, or no run of it." }
const noReading = { detail: "You may not see how far the stop of this message has come." }
const noStopping = { detail: "You may see this message, and not stop it." }

const targetOf = (ref: MessageRef, runId: RunId | undefined): StopTarget =>
  runId === undefined
    ? StopTarget.cases.Message.make({ ref })
    : StopTarget.cases.Run.make({ run: Run.make({ ref, runId }) })

const refOf = (target: StopTarget, otherwise: MessageId): MessageRef => {
  if (target._tag === "Run") return target.run.ref
  if (target._tag === "Message") return target.ref
  const { _tag, ...place } = target
  return MessageRef.make({ ...place, messageId: otherwise })
}

// Of a run that was not found before: what the receipt says of it. It has begun, whenever that was.
const recordOf = (receipt: Exclude<StopReceipt, { readonly _tag: "Pending" }>): RunRecord => {
  const { _tag, run, ...said } = receipt
  const since =
    "endedAt" in said ? said.endedAt : "request" in said ? said.request.userAbortedAt : 1
  return RunRecord.make({
    ...said,
    run,
    startedAt: Math.max(1, since),
    current: _tag !== "Superseded"
  })
}

const followedOf = (target: StopTarget): Followed | undefined => {
  if (target._tag === "Chat") return undefined
  return target._tag === "Run"
    ? { ref: target.run.ref, runId: target.run.runId }
    : { ref: target.ref, runId: undefined }
}

// Only such a run is changed by a stop.
const isOpen = ({ current, outcome, request }: RunRecord): boolean =>
  current && outcome === undefined && request === undefined
