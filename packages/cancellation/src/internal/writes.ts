/**
 * What a process tells the store of its runs: that they start, that a stop was observed, how they end.
 *
 * Both are gathered and tried again through an outage. Neither holds up the work: a run goes on
 * while its start is still on its way, and a run that is over before that costs nothing.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { lastWritesGivenUp } from "../CancellationMetrics.ts"
import { type Run, runKey } from "../Message.ts"
import type { Lease, MessageStore, RunChange } from "../MessageStore.ts"
import type { MessageStoreError } from "../MessageStoreError.ts"
import type { RunOutcome, RunRecord } from "../StopRequest.ts"
import { understoodRows } from "./answers.ts"
import type { Attempts } from "./attempts.ts"
import { type Chronicle, isErased, isTold } from "./chronicle.ts"
import { makeChunks } from "./chunks.ts"
import { makeLane } from "./lane.ts"
import { givenUp, waitingFor } from "./lastWrites.ts"
import { makePatience } from "./patience.ts"
import { type Listed, makeRoster } from "./roster.ts"
import { annotations } from "./words.ts"

export interface Writes {
  /** Queues the start of a run; a step. */
  readonly start: (chronicle: Chronicle) => Effect.Effect<void>
  /** Waits until an attempt to start each has succeeded or failed; what has failed is tried again now. */
  readonly answered: (chronicles: ReadonlyArray<Chronicle>) => Effect.Effect<void>
  /** Queues the news that a stop was observed; a step. */
  readonly observed: (chronicle: Chronicle) => Effect.Effect<void>
  /** Queues an outcome for each, and waits for the first attempt to write them, not for success. */
  readonly ended: (chronicles: ReadonlyArray<Chronicle>, outcome: RunOutcome) => Effect.Effect<void>
  /** Another watch of the run will tell how it ended: its start is not tried for ever. */
  readonly left: (chronicle: Chronicle) => void
  /** The runs that match and have last writes pending. */
  readonly unwritten: (matches: (run: Run) => boolean) => ReadonlyArray<Chronicle>
  /**
   * Waits until all is written or given up, at most this long; then gives up the rest. Says once
   * that it waits, if the store has failed.
   */
  readonly flush: (limit: Duration.Duration) => Effect.Effect<void>
}

interface Change extends Listed<Change> {
  readonly chronicle: Chronicle
  readonly to: RunChange["to"]
  readonly giveUpAt: number
  readonly attempted: Deferred.Deferred<void>
}

export const makeWrites = (options: {
  readonly store: MessageStore["Service"]
  readonly scope: Scope.Scope
  readonly context: Context.Context<never>
  readonly attempts: Attempts
  readonly chunkSize: number
  readonly pollTimeout: Duration.Duration
  readonly finalWriteTimeout: Duration.Duration
  readonly lease: Lease | undefined
  /** Told how a start of these went. */
  readonly startsAnswered: (
    runs: ReadonlyArray<Run>,
    exit: Exit.Exit<unknown, MessageStoreError>
  ) => Effect.Effect<void>
}): Writes => {
  const { attempts, chunkSize, context, lease, scope, store } = options
  const clock = Context.get(context, Clock.Clock)
  const finalWriteMillis = Duration.toMillis(options.finalWriteTimeout)

  const startChunks = makeChunks(chunkSize)
  const starts = makeLane<Chronicle>({
    scope,
    context,
    process: Effect.fnUntraced(function* (items) {
      const now = yield* Clock.currentTimeMillis
      const isWanted = ({ giveUpAt, start }: Chronicle) =>
        giveUpAt === undefined || (start !== "waiting" && giveUpAt > now)
      const wanted = items.filter(isWanted)
      answer(items.filter((one) => isErased(one) || !isWanted(one)))
      let again: ReadonlyArray<Chronicle> = []
      let failures = 0
      for (let from = 0, end = 0; from < wanted.length; from = end) {
        end = from + startChunks.size()
        const chunk = wanted.slice(from, end).filter((one) => !isErased(one))
        answer(wanted.slice(from, end).filter(isErased))
        if (chunk.length === 0) continue
        const sending = Deferred.makeUnsafe<void>()
        for (const chronicle of chunk) {
          chronicle.start = "sent"
          chronicle.sending = sending
        }
        const exit = yield* attempts.make(
          "startRuns",
          Effect.suspend(() =>
            store.startRuns(
              chunk.map(({ run }) => run),
              lease
            )
          ),
          understoodRows
        )
        for (const chronicle of chunk) {
          chronicle.failure = Exit.isFailure(exit) ? exit.cause : undefined
          if (Exit.isSuccess(exit)) chronicle.start = "known"
        }
        Deferred.doneUnsafe(sending, Effect.void)
        yield* options.startsAnswered(
          chunk.map(({ run }) => run),
          exit
        )
        if (Exit.isFailure(exit)) {
          yield* Effect.logDebug("Runs could not be recorded as started; tried again", exit.cause)
          startChunks.failed(chunk.length)
          again = again.concat(chunk)
          answer(chunk)
          // One failure may be one run's, two in a row are the store's.
          if (++failures === 2) {
            const rest = wanted.slice(end)
            for (const chronicle of rest) chronicle.failure = exit.cause
            answer(rest)
            return rest.concat(again)
          }
          continue
        }
        failures = 0
        startChunks.succeeded()
        yield* Effect.uninterruptible(begun(chunk, exit.value))
        answer(chunk)
      }
      return again
    })
  })

  const begun = (chunk: ReadonlyArray<Chronicle>, records: ReadonlyArray<RunRecord>) => {
    const byKey = new Map(records.map((record) => [runKey(record.run), record]))
    return Effect.forEach(
      chunk,
      (chronicle) => {
        const record = byKey.get(runKey(chronicle.run))
        return record === undefined ? Effect.void : chronicle.started(record)
      },
      { discard: true }
    )
  }

  const write = Effect.fnUntraced(function* (chunk: ReadonlyArray<Change>) {
    const outcomes = new Map<string, RunChange["to"]>()
    for (const { chronicle, to } of chunk) {
      if (to !== "observed") outcomes.set(runKey(chronicle.run), to)
    }
    // `stopped` and `abandoned` imply that the stop was observed; the other outcomes do not.
    const steps = chunk.flatMap(({ chronicle, to }): ReadonlyArray<RunChange> => {
      const outcome = outcomes.get(runKey(chronicle.run))
      const implied = to === "observed" && (outcome === "stopped" || outcome === "abandoned")
      return implied ? [] : [{ run: chronicle.run, to }]
    })
    const exit = yield* attempts.make(
      "advanceRuns",
      Effect.suspend(() => store.advanceRuns(steps)),
      understoodRows
    )
    for (const change of chunk) Deferred.doneUnsafe(change.attempted, Effect.void)
    if (Exit.isFailure(exit)) return exit
    for (const { outcome, run } of exit.value) {
      const wanted = outcomes.get(runKey(run))
      if (outcome === undefined || wanted === undefined || outcome === wanted) continue
      yield* Effect.logWarning(`A run's outcome ${wanted} was refused: it is ${outcome}`).pipe(
        Effect.annotateLogs(annotations(run))
      )
    }
    return exit
  })

  const giveUp = Effect.fnUntraced(function* (all: ReadonlyArray<Change>, otherwise: string) {
    for (const change of all) Deferred.doneUnsafe(change.attempted, Effect.void)
    const changes = all.filter(({ chronicle }) => !isErased(chronicle))
    if (changes.length === 0) return
    yield* Metric.update(lastWritesGivenUp, changes.length)
    const cause = lastFailure(changes)
    yield* Effect.logError(givenUp(changes, { cause, otherwise, hasLeases: lease !== undefined }))
    if (cause !== undefined) yield* Effect.logDebug("Why last writes were given up", cause)
  })

  const pending = makeRoster<Change>()
  let closing: { readonly limit: Duration.Duration; isSaid: boolean } | undefined

  // Whoever sees a process hang at its end must be able to read why.
  const sayWaiting = Effect.suspend(() => {
    const changes = pending.all()
    const cause = lastFailure(changes)
    if (closing === undefined || closing.isSaid || cause === undefined) return Effect.void
    closing.isSaid = true
    return Effect.logWarning(waitingFor(changes, Duration.toMillis(closing.limit), cause))
  })

  const advanceChunks = makeChunks(chunkSize)
  const advances = makeLane<Change>({
    scope,
    context,
    process: Effect.fnUntraced(function* (items) {
      const live = items.filter(({ isListed }) => isListed)
      for (const { chronicle } of live) {
        if (chronicle.sending !== undefined) yield* Deferred.await(chronicle.sending)
      }
      const unknown = live.filter(({ chronicle }) => !isTold(chronicle))
      for (const change of unknown) {
        pending.remove(change)
        Deferred.doneUnsafe(change.attempted, Effect.void)
      }
      const ready = live.filter(({ chronicle }) => chronicle.start !== "sent" && isTold(chronicle))
      let again = live.filter(({ chronicle }) => chronicle.start === "sent")
      let failures = 0
      for (let from = 0, end = 0; from < ready.length; from = end) {
        end = from + advanceChunks.size()
        const chunk = ready.slice(from, end)
        const exit = yield* write(chunk)
        if (Exit.isFailure(exit)) {
          for (const { chronicle } of chunk) chronicle.failure = exit.cause
          advanceChunks.failed(chunk.length)
          again = again.concat(chunk)
          if (++failures < 2) continue
          again = ready.slice(end).concat(again)
          break
        }
        failures = 0
        advanceChunks.succeeded()
        for (const change of chunk) pending.remove(change)
      }
      for (const change of again) Deferred.doneUnsafe(change.attempted, Effect.void)
      const now = yield* Clock.currentTimeMillis
      const late = again.filter(
        (change) => (change.giveUpAt <= now || isErased(change.chronicle)) && pending.remove(change)
      )
      yield* giveUp(late, "the store has not answered")
      if (again.length > late.length) yield* sayWaiting
      return again.filter(({ isListed }) => isListed)
    })
  })

  const advance = (change: Change): Effect.Effect<void> => {
    const { attempted, chronicle, giveUpAt, to } = change
    if (to !== "observed") chronicle.giveUpAt = giveUpAt
    // After a drain, or behind the end of its layer, the repo writes nothing more: say so of a run
    // that the store knows.
    if (scope.state._tag === "Closed") {
      Deferred.doneUnsafe(attempted, Effect.void)
      return isTold(chronicle)
        ? giveUp([change], "the repo closed before the run did")
        : Effect.void
    }
    pending.add(change)
    return advances.offer(change)
  }

  const patience = makePatience({ scope, context, limit: options.pollTimeout })

  const lastMoment = () => clock.currentTimeMillisUnsafe() + finalWriteMillis

  const changeOf = (chronicle: Chronicle, to: RunChange["to"]): Change => ({
    chronicle,
    to,
    giveUpAt: lastMoment(),
    attempted: Deferred.makeUnsafe(),
    previous: undefined,
    next: undefined,
    isListed: false
  })

  return {
    start: starts.offer,
    answered: (chronicles) =>
      Effect.suspend(() => {
        // Nothing is sent any more.
        if (scope.state._tag === "Closed") return Effect.void
        const answers = chronicles.map((one) => (one.answer ??= Deferred.makeUnsafe<void>()))
        return Effect.andThen(
          starts.hurry,
          Effect.forEach(answers, Deferred.await, { discard: true })
        )
      }),
    observed: (chronicle) => advance(changeOf(chronicle, "observed")),
    ended: (chronicles, outcome) => {
      const changes = chronicles.map((chronicle) => changeOf(chronicle, outcome))
      return Effect.andThen(
        Effect.forEach(changes, advance, { discard: true }),
        // An earlier write may hang before these, and must not add up.
        Effect.suspend(() => patience.await(changes.map(({ attempted }) => attempted)))
      )
    },
    left: (chronicle) => void (chronicle.giveUpAt = lastMoment()),
    unwritten: (matches) =>
      pending.all().flatMap(({ chronicle }) => (matches(chronicle.run) ? [chronicle] : [])),
    flush: Effect.fnUntraced(function* (limit) {
      closing ??= { limit, isSaid: false }
      yield* sayWaiting
      if (Option.isSome(yield* Effect.timeoutOption(advances.idle, limit))) return
      const left = pending.all()
      for (const change of left) pending.remove(change)
      yield* giveUp(left, "the store has not answered")
    })
  }
}

const answer = (chronicles: ReadonlyArray<Chronicle>): void => {
  for (const chronicle of chronicles) {
    if (chronicle.answer !== undefined) Deferred.doneUnsafe(chronicle.answer, Effect.void)
    chronicle.answer = undefined
  }
}

const lastFailure = (changes: ReadonlyArray<Change>) =>
  changes.findLast(({ chronicle }) => chronicle.failure !== undefined)?.chronicle.failure
