/**
 * Runs as far as the platform knows them. It keeps messages and no runs: what it does not keep is
 * derived from what it does, and what cannot be derived is left out.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import {
  MalformedRow,
  MessageStoreError,
  Run,
  RunId,
  type RunQuery,
  RunRecord,
  StopRequest,
  unavailable,
  unsupported
} from "effect-cancellation"
import type { Connection } from "./connection.ts"
import { roleOf } from "./messageFields.ts"
import { type Place, placeKey, refOf } from "./place.ts"
import { identityOf } from "./turns.ts"
import { type Identity, millisOf, Progress, stopOf, wrongFields } from "./wire.ts"

/** Which messages are asked for, of which chats. */
interface Wanted {
  readonly place: Place
  /** All of the chat's if it is left out. */
  readonly messageIds?: ReadonlyArray<string>
}

export const makeFindRuns = (list: Connection["list"]) => {
  const recordsIn = Effect.fnUntraced(function* ({ messageIds, place }: Wanted) {
    const { value } = yield* Effect.mapError(list(place), (error) => unavailable("findRuns", error))
    const wanted: Array<Identity> = []
    const missing = new Set(messageIds)
    let unreadable: string | undefined
    for (const one of value) {
      const message = identityOf(place, one)
      if (typeof message !== "string") {
        missing.delete(message.id)
        const isWanted = messageIds?.includes(message.id) ?? true
        // Those whose stops are seen, and as their texts are told.
        if (isWanted && roleOf(message.role) === "assistant") wanted.push(message)
      } else if (messageIds === undefined || messageIds.includes(idOf(one) ?? "")) {
        return yield* malformed(message)
      } else if (idOf(one) === undefined) unreadable ??= message
    }
    // It might be the one that is not there.
    if (unreadable !== undefined && missing.size > 0) return yield* malformed(unreadable)
    return yield* Effect.forEach(wanted, (message) => recordOf(place, message))
  })

  return Effect.fnUntraced(function* (query: RunQuery) {
    const records = yield* Effect.forEach(yield* wantedBy(query), recordsIn, {
      concurrency: "unbounded"
    })
    return records
      .flat()
      .filter(({ outcome }) => query.runningOnly !== true || outcome === undefined)
      .toSorted((one, other) => one.startedAt - other.startedAt)
  })
}

const wantedBy = (query: RunQuery): Effect.Effect<ReadonlyArray<Wanted>, MessageStoreError> => {
  switch (query._tag) {
    case "Refs": {
      const chats = Object.values(Arr.groupBy(query.refs, placeKey))
      return Effect.succeed(
        chats.map((refs) => ({
          place: refs[0],
          messageIds: refs.map(({ messageId }) => messageId)
        }))
      )
    }
    case "Chat":
      return query.userId === undefined
        ? Effect.fail(
            unsupported("findRuns of a chat without its user", "the platform asks whose chat it is")
          )
        : Effect.succeed([
            {
              place: query,
              ...(query.messageId === undefined ? {} : { messageIds: [query.messageId] })
            }
          ])
    case "Company":
      return Effect.fail(
        unsupported("findRuns of a company", "the platform has no call for all chats of a company")
      )
  }
}

const recordOf = Effect.fnUntraced(function* (
  place: Place,
  value: Identity
): Effect.fn.Return<RunRecord, MessageStoreError> {
  const message = yield* Effect.mapError(decodeProgress(value), (error) =>
    malformed(`message ${value.id}: wrong: ${wrongFields(error)}`)
  )
  const ref = yield* Effect.mapError(refOf(place, value.id), ({ message }) =>
    malformed(`message ${value.id}: ${message}`)
  )
  const stop = stopOf(message)
  if (stop === "malformed") {
    return yield* malformed(`userAbortedAt of message ${value.id} is neither a time nor null`)
  }
  const endedAt = millisOf(message.completedAt)
  // The end of the stream, or of everything, that came after the stop is the first sign of its effect.
  const observedAt =
    stop === undefined
      ? undefined
      : [millisOf(message.stoppedStreamingAt), endedAt].find(
          (time) => time !== undefined && time >= stop
        )
  return RunRecord.make({
    run: Run.make({ ref, runId: RunId.make(ref.messageId) }),
    startedAt: millisOf(message.startedStreamingAt) ?? millisOf(message.createdAt) ?? 0,
    current: true,
    ...(stop === undefined
      ? {}
      : { request: StopRequest.make({ userAbortedAt: stop, reason: "user" }) }),
    ...(observedAt === undefined ? {} : { observedAt }),
    ...(endedAt === undefined
      ? {}
      : { endedAt, outcome: observedAt === undefined ? "completed" : "stopped" })
  })
})

const decodeProgress = Schema.decodeUnknownEffect(Progress)

const idOf = (value: unknown): string | undefined => {
  const id = Predicate.isObject(value) ? value["id"] : undefined
  return typeof id === "string" && id !== "" ? id : undefined
}

const malformed = (detail: string): MessageStoreError =>
  new MessageStoreError({ reason: new MalformedRow({ detail }) })
