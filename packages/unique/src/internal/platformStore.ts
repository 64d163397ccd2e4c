/**
 * `MessageStore` on the platform: one read for all watched messages of a chat.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import {
  MalformedRow,
  MessageStore,
  MessageStoreError,
  type Run,
  type StopLook,
  StopRequest,
  unavailable,
  unsupported
} from "effect-cancellation"
import type { UniqueError } from "../UniqueError.ts"
import type { Connection } from "./connection.ts"
import { makeFindRuns } from "./derivedRuns.ts"
import { inTime } from "./inTime.ts"
import { placeKey } from "./place.ts"
import { oddAnswer } from "./trouble.ts"
import { type Finding, identityOf, type Turns, turnsOf } from "./turns.ts"

/** Reads in turn with all others, shared with whoever waits for the same. */
export type Reads = Pick<Connection, "list" | "find">

/** What a read says of one run, or why it says nothing. */
interface Found {
  readonly run: Run
  readonly result: Result.Result<Finding, UniqueError>
  /** By the platform's clock. */
  readonly now?: number
}

export const makePlatformStore = (options: {
  readonly reads: Reads
  readonly pollTimeout: Duration.Duration
}): MessageStore["Service"] => {
  const { pollTimeout, reads } = options

  // A list may leave out what it does not care to show: only the platform's word that there is no such
  // message means that it is gone.
  const findAlone = ({ ref }: Run, turns: Turns) =>
    Effect.flatMap(reads.find(ref, ref.messageId), (found) => {
      if (Option.isNone(found)) return Effect.succeed<Finding>({ _tag: "Missing" })
      const message = identityOf(ref, found.value.value)
      return typeof message === "string" || message.id !== ref.messageId
        ? Effect.fail(oddAnswer(200, "it is not the message asked for"))
        : Effect.succeed(turns.findingOf(message))
    })

  const lookAtChat = (runs: Arr.NonEmptyReadonlyArray<Run>) =>
    Effect.timed(inTime(pollTimeout)(reads.list(runs[0].ref))).pipe(
      Effect.flatMap(([taken, { now, value }]) => {
        const turns = turnsOf(runs[0].ref, value)
        // All of a look is given up at once, and not what was read before.
        const left = Duration.subtract(pollTimeout, taken)
        const listed = runs.map((run) => ({ run, finding: turns.finding(run.ref.messageId) }))
        return Effect.forEach(
          listed,
          ({ finding, run }): Effect.Effect<Found> =>
            finding._tag === "Missing"
              ? Effect.map(
                  Effect.result(inTime(left, pollTimeout)(findAlone(run, turns))),
                  (result) => ({ run, result, now })
                )
              : Effect.succeed({ run, result: Result.succeed(finding), now }),
          // A fiber for each message that the list has would be a good part of the work of a look.
          {
            concurrency: listed.some(({ finding }) => finding._tag === "Missing") ? "unbounded" : 1
          }
        )
      }),
      Effect.catch((error) =>
        Effect.succeed(runs.map((run): Found => ({ run, result: Result.fail(error) })))
      )
    )

  const stopRequests = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>) {
    // Where not all get their turn in time, it must not be the same ones in every look.
    const chats = yield* Random.shuffle(
      Object.values(Arr.groupBy(runs, ({ ref }) => placeKey(ref)))
    )
    const found = yield* Effect.forEach(chats, lookAtChat, { concurrency: "unbounded" })
    return yield* lookOf(found.flat())
  })

  return MessageStore.of({
    supports: {
      runs: false,
      stops: false,
      find: true,
      leases: false,
      erasure: false,
      hints: false
    },
    stopRequests,
    findRuns: makeFindRuns((place) => inTime(pollTimeout)(reads.list(place))),
    requestStop: () => Effect.fail(unsupported("requestStop", byThePage)),
    startRuns: () => Effect.fail(unsupported("startRuns", noRuns)),
    advanceRuns: () => Effect.fail(unsupported("advanceRuns", noRuns)),
    renewLease: () => Effect.fail(unsupported("renewLease", noRuns)),
    sweepLost: Effect.fail(unsupported("sweepLost", noRuns)),
    forget: () =>
      Effect.fail(unsupported("forget", "the platform erases its chats and messages by itself"))
  })
}

const byThePage =
  "only the platform's own page sets userAbortedAt, its public API has no call for it"
const noRuns = "the platform keeps messages, and neither runs nor the processes that write them"

const lookOf = Effect.fnUntraced(function* (
  found: ReadonlyArray<Found>
): Effect.fn.Return<StopLook, MessageStoreError> {
  const direct: Array<StopLook["requests"][number]> = []
  const ofTurn: Array<StopLook["requests"][number]> = []
  const gone: Array<Run> = []
  const failures: Array<StopLook["failures"][number]> = []
  for (const { result, run } of found) {
    if (Result.isFailure(result)) {
      failures.push({ run, error: unavailable("stopRequests", result.failure) })
      continue
    }
    const finding = result.success
    switch (finding._tag) {
      case "Stopped": {
        const { userAbortedAt } = finding
        const request = StopRequest.make({ userAbortedAt, reason: "user" })
        const list = finding.direct ? direct : ofTurn
        list.push({ run, request })
        break
      }
      case "Malformed": {
        const reason = new MalformedRow({ detail: finding.detail })
        failures.push({ run, error: new MessageStoreError({ reason }) })
        break
      }
      case "Missing":
        gone.push(run)
        break
      case "Running":
    }
  }
  const [first] = failures
  if (first !== undefined && found.every(({ result }) => Result.isFailure(result))) {
    return yield* first.error
  }
  const times = found.flatMap(({ now }) => now ?? [])
  return {
    // The segment that was stopped comes before others of its turn: the event names the first.
    requests: [...direct, ...ofTurn],
    gone,
    lost: [],
    failures,
    now: times.length === 0 ? yield* Clock.currentTimeMillis : Math.max(...times)
  }
})
