/**
 * A store made of a program's own functions, which know a flag on messages and no runs.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  MessageStore,
  MessageStoreError,
  Run,
  RunNotFound,
  type StopReceipt as Receipt,
  StopReceipt,
  type StopTarget,
  type Supports,
  unavailable,
  unsupported
} from "effect-cancellation"
import type { FlagStoreDefinition } from "../defineStore.ts"
import {
  ask,
  isRow,
  malformed,
  refOfRow,
  requestOfRow,
  rowsOf,
  storedChat,
  storedMessage
} from "./definedRows.ts"
import { runIdOf } from "./ids.ts"

export const definedFlags = (
  definition: FlagStoreDefinition,
  supports: Supports
): Layer.Layer<MessageStore> =>
  Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (lookup) =>
      MessageStore.of({
        supports,
        stopRequests: (runs) => look(lookup, runs),
        requestStop: (target) =>
          definition.setFlags === undefined
            ? Effect.fail(unsupported("requestStop"))
            : setFlags(definition, target),
        startRuns: () => Effect.fail(unsupported("startRuns")),
        advanceRuns: () => Effect.fail(unsupported("advanceRuns")),
        findRuns: () => Effect.fail(unsupported("findRuns")),
        renewLease: () => Effect.fail(unsupported("renewLease")),
        sweepLost: Effect.fail(unsupported("sweepLost")),
        forget: () => Effect.fail(unsupported("forget"))
      })
    )
  ).pipe(Layer.provide(lookupOf(definition)))

/** How many rows of a look name no message. */
const Nameless = Context.Reference<{ count: number }>("effect-cancellation-promise/Nameless", {
  defaultValue: () => ({ count: 0 })
})

/** The core's own store of a lookup, of the rows that name a message. */
const lookupOf = (definition: FlagStoreDefinition): Layer.Layer<MessageStore> =>
  MessageStore.fromLookup(
    Effect.fnUntraced(function* (refs) {
      const nameless = yield* Nameless
      const answer = yield* ask("findFlags", () => definition.findFlags(refs.map(storedMessage)))
      const rows = yield* rowsOf("findFlags", answer)
      return rows.flatMap((row) => {
        const ref = refOfRow(row)
        if (ref !== undefined && isRow(row)) return [{ ref, userAbortedAt: row["userAbortedAt"] }]
        nameless.count++
        return []
      })
    })
  )

const look = Effect.fnUntraced(function* (
  lookup: MessageStore["Service"],
  runs: ReadonlyArray<Run>
) {
  // Looks may overlap.
  const nameless = { count: 0 }
  const answer = yield* lookup.stopRequests(runs).pipe(
    Effect.provideService(Nameless, nameless),
    // The lookup's own error says it already.
    Effect.mapError(inner)
  )
  if (nameless.count === 0) return answer
  // A row whose ids cannot be read may be this message's: that is no reason to call it deleted.
  const failures = answer.gone.map((run) => ({
    run,
    error: malformed("findFlags answered a row that names no message")
  }))
  return { ...answer, gone: [], failures: [...answer.failures, ...failures] }
})

const inner = (error: MessageStoreError): MessageStoreError =>
  error.reason._tag === "StoreUnavailable" && error.reason.cause instanceof MessageStoreError
    ? error.reason.cause
    : error

const setFlags = Effect.fnUntraced(function* (definition: FlagStoreDefinition, target: StopTarget) {
  const place =
    target._tag === "Chat"
      ? storedChat(target)
      : storedMessage(target._tag === "Run" ? target.run.ref : target.ref)
  const answer = yield* ask("setFlags", async () => await definition.setFlags?.(place))
  const receipts: Array<Receipt> = []
  for (const row of yield* rowsOf("setFlags", answer)) {
    const ref = refOfRow(row)
    if (ref === undefined || !isRow(row)) {
      return yield* malformed("setFlags answered a row that names no message")
    }
    if (row["userAbortedAt"] === null || row["userAbortedAt"] === undefined) {
      return yield* unavailable(
        "setFlags",
        new TypeError("setFlags of defineStore answered a row without its flag")
      )
    }
    const request = yield* Effect.fromResult(requestOfRow(row))
    // A receipt is of a run: where there are none, the message's id stands for it.
    const run =
      target._tag === "Run" ? target.run : Run.make({ ref, runId: runIdOf(ref.messageId) })
    receipts.push(StopReceipt.cases.Requested.make({ run, request }))
  }
  if (receipts.length > 0) return receipts
  return yield* new MessageStoreError({
    reason: new RunNotFound({ detail: "setFlags of defineStore answered no row" })
  })
})
