/**
 * A store on a table of the application's whose rows carry a flag, and know no runs.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import {
  type ChatId,
  type CompanyId,
  defaultTenant,
  MessageRef,
  MessageStore,
  MessageStoreError,
  Run,
  RunId,
  RunNotFound,
  type StopLook,
  type StopReceipt,
  type StopTarget,
  unavailable,
  unsupported,
  type UserId
} from "effect-cancellation"
import { storeErrors } from "./errors.ts"
import { type FlagNames, messageIdOfFlag, receiptOfFlag, requestOfFlag } from "./flagRows.ts"
import type { FlagStatements, Ids, Where } from "./flagStatements.ts"
import type { CheckedTable } from "./flagTable.ts"
import type { Row } from "./rows.ts"
import type { Transactions } from "./transactions.ts"

export const makeFlagStore = (options: {
  readonly table: CheckedTable
  readonly statements: FlagStatements
  readonly transactions: Transactions
  /** It announces the stops it stores. */
  readonly hints: boolean
}): MessageStore["Service"] => {
  const { hints, statements, table } = options
  const { read, write } = options.transactions
  const names: FlagNames = {
    table: table.shown,
    messageId: JSON.stringify(table.messageId),
    userAbortedAt: JSON.stringify(table.userAbortedAt.name),
    completedAt: JSON.stringify(table.completedAt?.name)
  }
  const mapped = new Set(table.ids.map(({ role }) => role))

  /** None if no row can have these ids. */
  const idsOf = (where: Where): Ids | undefined => {
    if (!mapped.has("companyId") && (where.companyId ?? defaultTenant) !== defaultTenant) return
    if (!mapped.has("userId") && (where.userId ?? defaultTenant) !== defaultTenant) return
    const ids: Array<string> = []
    for (const { role, type } of table.ids) {
      const id =
        role === "companyId" || role === "userId" ? (where[role] ?? defaultTenant) : where[role]
      if (id === undefined) continue
      if (!type.holds(id)) return undefined
      ids.push(id)
    }
    return ids
  }

  let warned = false

  const stopRequests = Effect.fnUntraced(function* (asked: ReadonlyArray<Run>) {
    const gone: Array<Run> = []
    const sent: Array<Run> = []
    const lists: Array<Ids> = []
    for (const run of asked) {
      const ids = idsOf(run.ref)
      if (ids === undefined) gone.push(run)
      else {
        sent.push(run)
        lists.push(ids)
      }
    }
    if (gone.length > 0 && !warned) {
      warned = true
      yield* Effect.logWarning(
        `No row of ${table.shown} can be that of a run that is watched, so no stop of it is seen: its company or user has no column, or an id is none of its column's type`
      )
    }
    return lookOf(names, sent, gone, yield* read(statements.planned(statements.look(lists))))
  })

  const notFound = (where: Where) => {
    const what = where.messageId === undefined ? "message that is not complete" : "such message"
    return new MessageStoreError({
      reason: new RunNotFound({
        detail: `in ${table.shown} this chat of this company and user has no ${what}, and a stop cannot wait there for one`
      })
    })
  }

  const stopMessage = Effect.fnUntraced(function* (run: Run) {
    const ids = idsOf(run.ref)
    if (ids === undefined) return yield* notFound(run.ref)
    const once = Effect.gen(function* () {
      const [stopped] = yield* write(statements.stop(ids, run.ref))
      const row = stopped ?? (yield* read(statements.find(ids)))[0]
      if (row === undefined) return yield* notFound(run.ref)
      const receipt = yield* Effect.fromResult(receiptOfFlag(names, run, row))
      return receipt === undefined ? [] : [receipt]
    })
    // Between the two statements somebody may have made the row, or cleared its flag.
    const receipts = yield* Effect.repeat(once, { times: 3, until: ({ length }) => length > 0 })
    if (receipts.length > 0) return receipts
    return yield* unavailable(
      "requestStop",
      new Error(`${names.userAbortedAt} in ${table.shown} stays NULL; does a trigger undo it?`)
    )
  })

  const stopChat = Effect.fnUntraced(function* (chat: Chat) {
    if (table.completedAt === undefined) {
      return yield* unsupported(
        "a stop of a whole chat without a column for completedAt, which tells what is still written"
      )
    }
    const ids = idsOf(chat)
    if (ids === undefined) return yield* notFound(chat)
    yield* write(statements.stop(ids, chat))
    const rows = yield* read(statements.stoppedIn(ids))
    const receipts: Array<StopReceipt> = []
    for (const row of rows) {
      const receipt = Result.flatMap(messageIdOfFlag(names, row), (messageId) =>
        receiptOfFlag(names, runOfMessage(MessageRef.make({ ...chat, messageId })), row)
      )
      if (Result.isFailure(receipt)) {
        // It hides no other row, and is an error only if nothing else is left.
        if (rows.length === 1) return yield* receipt.failure
        yield* Effect.logWarning(receipt.failure.message)
      } else if (receipt.success !== undefined) receipts.push(receipt.success)
    }
    return receipts.length > 0 ? receipts : yield* notFound(chat)
  })

  const requestStop = (target: StopTarget) => {
    switch (target._tag) {
      case "Chat": {
        const { _tag, ...chat } = target
        return stopChat(chat)
      }
      case "Message":
        return stopMessage(runOfMessage(target.ref))
      case "Run":
        return stopMessage(target.run)
    }
  }

  return MessageStore.of({
    supports: { runs: false, stops: true, find: false, leases: false, erasure: false, hints },
    stopRequests: (asked) => storeErrors("stopRequests", stopRequests(asked)),
    requestStop: (target) => storeErrors("requestStop", requestStop(target)),
    startRuns: () => Effect.fail(unsupported("startRuns")),
    advanceRuns: () => Effect.fail(unsupported("advanceRuns")),
    findRuns: () => Effect.fail(unsupported("findRuns")),
    renewLease: () => Effect.fail(unsupported("renewLease")),
    sweepLost: Effect.fail(unsupported("sweepLost")),
    forget: () => Effect.fail(unsupported("forget"))
  })
}

interface Chat {
  readonly companyId?: CompanyId
  readonly userId?: UserId
  readonly chatId: ChatId
}

/** A receipt is of a run: where there are none, the message's id stands for it. */
const runOfMessage = (ref: MessageRef): Run => Run.make({ ref, runId: RunId.make(ref.messageId) })

const lookOf = (
  names: FlagNames,
  sent: ReadonlyArray<Run>,
  impossible: ReadonlyArray<Run>,
  rows: ReadonlyArray<Row>
): StopLook => {
  const requests: Array<StopLook["requests"][number]> = []
  const gone = Array.from(impossible)
  const failures: Array<StopLook["failures"][number]> = []
  for (const row of rows) {
    const run = sent[Number(row["position"])]
    if (run === undefined) continue
    if (row["gone"] === true || row["gone"] === 1) {
      gone.push(run)
      continue
    }
    const request = requestOfFlag(names, run.ref.messageId, row["user_aborted_at"])
    if (Result.isSuccess(request)) requests.push({ run, request: request.success })
    else failures.push({ run, error: request.failure })
  }
  const time = rows.find((row) => Number(row["position"]) === -1)
  return { requests, gone, lost: [], failures, now: Number(time?.["now"]) }
}
