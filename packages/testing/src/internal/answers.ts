/**
 * Answers that are wrong on purpose.
 */
import {
  CompanyId,
  MalformedRow,
  MessageRef,
  MessageStoreError,
  Run,
  RunId,
  runKey,
  RunRecord,
  type StopLook,
  type StopReceipt,
  StopRequest
} from "effect-cancellation"

/** How an operation's true answer is spoilt. */
export interface Spoilt<A> {
  readonly malformed?: (answer: A, isMalformed: (run: Run) => boolean) => A
  readonly stale: (answer: A) => A
  readonly nonsense: (answer: A) => A
}

export const malformed = (what: string): MessageStoreError =>
  new MessageStoreError({
    reason: new MalformedRow({ detail: `${what} was told to be malformed` })
  })

export const changingLook = (asked: ReadonlyArray<Run>): Spoilt<StopLook> => ({
  malformed: (look, isMalformed) => ({
    requests: look.requests.filter(({ run }) => !isMalformed(run)),
    gone: look.gone.filter((run) => !isMalformed(run)),
    lost: look.lost.filter((run) => !isMalformed(run)),
    failures: [
      ...look.failures.filter(({ run }) => !isMalformed(run)),
      ...asked.filter(isMalformed).map((run) => ({ run, error: malformed(`run ${run.runId}`) }))
    ],
    now: look.now
  }),
  stale: (look) => ({ ...look, requests: [] }),
  nonsense: (look) => {
    const strangers = asked.flatMap(strangersOf)
    return {
      requests: [
        ...twice(look.requests),
        ...strangers.map((run) => ({ run, request: strangeStop }))
      ],
      gone: [...twice(look.gone), ...strangers],
      lost: [...twice(look.lost), ...strangers],
      failures: [
        ...twice(look.failures),
        ...strangers.map((run) => ({ run, error: malformed(`run ${run.runId}`) }))
      ],
      now: look.now
    }
  }
})

export const changingRecords = (asked: ReadonlyArray<Run>): Spoilt<ReadonlyArray<RunRecord>> => ({
  stale: (records) => records.map(withoutStop),
  nonsense: (records) => [
    ...twice(records),
    ...asked
      .flatMap(strangersOf)
      .map((run) =>
        RunRecord.make({ run, startedAt: 1, current: true, request: strangeStop, observedAt: 1 })
      )
  ]
})

export const receiptsTwice: Spoilt<ReadonlyArray<StopReceipt>> = {
  stale: (receipts) => receipts,
  nonsense: (receipts) => twice(receipts)
}

/** For an answer in which nothing can be told wrongly. */
export const sameAnswer = <A>(): Spoilt<A> => ({
  stale: (answer) => answer,
  nonsense: (answer) => answer
})

export const isAmong = (runs: ReadonlyArray<Run> | "all"): ((run: Run) => boolean) => {
  if (runs === "all") return () => true
  const keys = new Set(runs.map(runKey))
  return (run) => keys.has(runKey(run))
}

const strangeStop = StopRequest.make({ userAbortedAt: 1, reason: "user" })

// As near to the run as can be without being it: whoever forgets a part of the key takes them for it.
const strangersOf = (run: Run): ReadonlyArray<Run> => [
  Run.make({
    ref: MessageRef.make({ ...run.ref, companyId: CompanyId.make("a-company-nobody-asked-about") }),
    runId: run.runId
  }),
  Run.make({ ref: run.ref, runId: RunId.make("a-run-nobody-asked-about") })
]

const withoutStop = (record: RunRecord): RunRecord => {
  const { request, ...rest } = record
  return request === undefined ? record : RunRecord.make(rest)
}

const twice = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> => [...values, ...values]
