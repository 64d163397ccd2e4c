/**
 * What a store promises of one chat, as functions of its state, and a search for one order of
 * operations in which each could have been answered as it was.
 */
import {
  type ProcessId,
  receiptOf,
  type Run,
  type RunChange,
  runKey,
  RunRecord,
  type StopLook,
  StopReceipt,
  StopRequest,
  type StopTarget
} from "effect-cancellation"

interface State {
  /** In the order in which they were started. */
  readonly runs: ReadonlyArray<RunRecord>
  readonly waiting: ReadonlyArray<{ readonly key: string; readonly request: StopRequest }>
}

/** What an operation does, if it could have been answered so; undefined if it could not. */
type Step = (state: State) => State | undefined

/** An operation that was called, and answered, at these moments of the test's own. */
export interface Event {
  readonly what: string
  readonly from: number
  readonly to: number
  readonly step: Step
}

const empty: State = { runs: [], waiting: [] }

const keyOf = (target: StopTarget): string => {
  if (target._tag === "Chat") return "chat"
  return target._tag === "Run" ? runKey(target.run) : target.ref.messageId
}

// How a thing is compared: whatever way the store wrote it, and not when a run was started.
const said = ({ current, endedAt, observedAt, outcome, owner, request, run }: RunRecord) =>
  [runKey(run), owner, current, request && { ...request }, observedAt, endedAt, outcome] as const

const same = (left: unknown, right: unknown): boolean =>
  JSON.stringify(left) === JSON.stringify(right)

const find = (state: State, run: Run): RunRecord | undefined =>
  state.runs.find((record) => runKey(record.run) === runKey(run))

const withRun = (state: State, changed: RunRecord): State => ({
  ...state,
  runs: state.runs.map((record) => (runKey(record.run) === runKey(changed.run) ? changed : record))
})

const answers = (state: State, runs: ReadonlyArray<Run>, records: ReadonlyArray<RunRecord>) =>
  same(records.map(said), runs.flatMap((run) => find(state, run) ?? []).map(said))

const startOne = (state: State, run: Run, owner: ProcessId): State => {
  const known = find(state, run)
  if (known !== undefined) {
    return known.outcome === undefined ? withRun(state, RunRecord.make({ ...known, owner })) : state
  }
  const keys = [runKey(run), run.ref.messageId, "chat"]
  const [request] = keys
    .flatMap((key) => state.waiting.filter((tombstone) => tombstone.key === key))
    .map((tombstone) => tombstone.request)
    .toSorted((one, other) => one.userAbortedAt - other.userAbortedAt)
  return {
    waiting: state.waiting.filter(({ key }) => !keys.includes(key)),
    runs: [
      ...state.runs.map((record) =>
        record.run.ref.messageId === run.ref.messageId
          ? RunRecord.make({ ...record, current: false })
          : record
      ),
      RunRecord.make({
        run,
        owner,
        startedAt: 0,
        current: true,
        ...(request === undefined ? {} : { request })
      })
    ]
  }
}

export const started =
  (runs: ReadonlyArray<Run>, owner: ProcessId, records: ReadonlyArray<RunRecord>): Step =>
  (state) => {
    const next = runs.reduce((before, run) => startOne(before, run, owner), state)
    return answers(next, runs, records) ? next : undefined
  }

const aimedAt = (state: State, target: StopTarget): ReadonlyArray<RunRecord> => {
  if (target._tag === "Run") return state.runs.filter(({ run }) => same(run, target.run))
  const current = state.runs.filter((record) => record.current)
  if (target._tag === "Message") {
    return current.filter(({ run }) => run.ref.messageId === target.ref.messageId)
  }
  const running = current.filter(({ outcome }) => outcome === undefined)
  return running.length > 0 ? running : current.slice(-1)
}

const requestIn = (receipt: StopReceipt | undefined) =>
  receipt === undefined || receipt._tag === "Superseded" ? undefined : receipt.request

const receiptNow = (record: RunRecord): StopReceipt => {
  const { endedAt, outcome, run } = record
  if (record.request === undefined && endedAt !== undefined && outcome !== undefined) {
    return StopReceipt.cases.TooLate.make({ run, endedAt, outcome })
  }
  return receiptOf(record) ?? StopReceipt.cases.Superseded.make({ run })
}

export const stopped =
  (target: StopTarget, actor: string, receipts: ReadonlyArray<StopReceipt>): Step =>
  (state) => {
    const aimed = aimedAt(state, target)
    if (aimed.length === 0) {
      const [receipt] = receipts
      if (receipt?._tag !== "Pending" || receipts.length > 1) return undefined
      const key = keyOf(target)
      const waiting = state.waiting.find((tombstone) => tombstone.key === key)
      if (waiting !== undefined) return same(waiting.request, receipt.request) ? state : undefined
      if (receipt.request.requestedBy !== actor) return undefined
      return { ...state, waiting: [...state.waiting, { key, request: receipt.request }] }
    }
    let next = state
    const expected = aimed.map((record, index) => {
      const request = requestIn(receipts[index])
      const isOpen = record.current && record.outcome === undefined && record.request === undefined
      if (!isOpen || request?.requestedBy !== actor) return receiptNow(record)
      const changed = RunRecord.make({ ...record, request: StopRequest.make({ ...request }) })
      next = withRun(next, changed)
      return receiptNow(changed)
    })
    return same(receipts, expected) ? next : undefined
  }

const advanceOne = (state: State, { run, to }: RunChange, answer: RunRecord | undefined): State => {
  const record = find(state, run)
  if (record === undefined || record.outcome !== undefined) return state
  const sees = to === "observed" || to === "stopped" || to === "abandoned"
  const observedAt = sees && record.request !== undefined ? answer?.observedAt : record.observedAt
  return withRun(
    state,
    RunRecord.make({
      ...record,
      ...(observedAt === undefined ? {} : { observedAt }),
      ...(to === "observed" ? {} : { outcome: to, endedAt: answer?.endedAt ?? 0 })
    })
  )
}

export const advanced =
  (changes: ReadonlyArray<RunChange>, records: ReadonlyArray<RunRecord>): Step =>
  (state) => {
    const answerOf = (run: Run) => records.find((record) => same(record.run, run))
    const next = changes.reduce(
      (before, change) => advanceOne(before, change, answerOf(change.run)),
      state
    )
    const runs = changes.map(({ run }) => run)
    return answers(next, runs, records) ? next : undefined
  }

/** Which leases have expired is not known, but whose never does. */
export const swept =
  (isAlive: (owner: ProcessId) => boolean, records: ReadonlyArray<RunRecord>): Step =>
  (state) => {
    let next = state
    for (const record of records) {
      const before = find(state, record.run)
      const { endedAt = 0 } = record
      if (before?.owner === undefined || before.outcome !== undefined) return undefined
      if (isAlive(before.owner)) return undefined
      next = withRun(next, RunRecord.make({ ...before, outcome: "lost", endedAt }))
    }
    const runs = records.map(({ run }) => run)
    return answers(next, runs, records) ? next : undefined
  }

export const foundAll =
  (records: ReadonlyArray<RunRecord>): Step =>
  (state) =>
    same(records.map(said), state.runs.map(said)) ? state : undefined

/** In any order: none is promised. */
export const looked =
  (runs: ReadonlyArray<Run>, { gone, lost, requests }: StopLook): Step =>
  (state) => {
    const view = (run: Run): unknown => {
      const record = find(state, run)
      if (record === undefined) return "gone"
      return record.request ?? (record.outcome === "lost" ? "lost" : "nothing")
    }
    const seen = new Map<string, unknown>([
      ...gone.map((run) => [runKey(run), "gone"] as const),
      ...lost.map((run) => [runKey(run), "lost"] as const),
      ...requests.map(({ request, run }) => [runKey(run), request] as const)
    ])
    const agrees = runs.every((run) => same(view(run), seen.get(runKey(run)) ?? "nothing"))
    return agrees ? state : undefined
  }

/** Of the whole chat. */
export const forgotten =
  (count: number): Step =>
  (state) =>
    count === state.runs.length ? empty : undefined

/**
 * Looks for an order in which everything that was over before another thing began comes before it.
 * Answers nothing if there is one, else what could not be put after the longest that was found.
 */
export const outOfOrder = (events: ReadonlyArray<Event>): string | undefined => {
  const dead = new Set<string>()
  let longest: ReadonlyArray<Event> = []

  const search = (
    order: ReadonlyArray<Event>,
    left: ReadonlyArray<Event>,
    state: State
  ): boolean => {
    if (order.length > longest.length) longest = order
    if (left.length === 0) return true
    const place = JSON.stringify([left.map(({ from }) => from), state])
    if (dead.has(place)) return false
    dead.add(place)
    const firstEnd = Math.min(...left.map(({ to }) => to))
    return left.some((event) => {
      const next = event.from < firstEnd ? event.step(state) : undefined
      return (
        next !== undefined &&
        search(
          [...order, event],
          left.filter((other) => other !== event),
          next
        )
      )
    })
  }

  if (search([], events, empty)) return undefined
  const rest = events.filter((event) => !longest.includes(event))
  const told = ({ from, to, what }: Event) => `${from}-${to} ${what}`
  return [...longest.map(told), "and none of these can come next:", ...rest.map(told)].join("\n")
}
