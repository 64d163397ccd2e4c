/**
 * What the command line asks of the database, which is all it has in common with the server.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import {
  MessageRepo,
  type MessageStoreError,
  type Run,
  runKey,
  RunQuery,
  type RunRecord
} from "effect-cancellation"
import { Settings } from "./Settings.ts"
import * as Storage from "./Storage.ts"

/** A repo on the database of the server, if there is one, and what the server has in it. */
export const layer = MessageRepo.layer({ pollTimeout: "5 seconds" }).pipe(
  Layer.provideMerge(Storage.layerExisting),
  Layer.provideMerge(Settings.layer)
)

/** All runs of the demo that have not ended, oldest first. */
export const runningRuns = Effect.gen(function* () {
  const repo = yield* MessageRepo
  return yield* repo.findRuns(RunQuery.cases.Company.make({ runningOnly: true }))
})

/** The current run of the message of this name, running or not. */
export const findByMessage = Effect.fn("findByMessage")(function* (messageId: string) {
  const repo = yield* MessageRepo
  const records = yield* repo.findRuns(RunQuery.cases.Company.make({}))
  return records.findLast((record) => record.current && record.run.ref.messageId === messageId)
})

/** Asks a run to stop, and waits until it has ended, but not for ever; answers how it stands then. */
export const stopAndWait = Effect.fn("stopAndWait")(function* (
  run: Run
): Effect.fn.Return<RunRecord | undefined, MessageStoreError, MessageRepo> {
  const repo = yield* MessageRepo
  yield* repo.requestStop(run)
  const look = Effect.map(repo.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] })), (records) =>
    records.find((record) => runKey(record.run) === runKey(run))
  )
  return yield* Effect.repeat(look, {
    schedule: Schedule.spaced("25 millis").pipe(Schedule.upTo({ duration: patience })),
    until: (record) => record?.outcome !== undefined
  })
})

/** How long the command line waits for a run to end. */
export const patience = Duration.seconds(5)
