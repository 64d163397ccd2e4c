/**
 * Random schedules: who does what to which run, in which order, and how far the fibers get between.
 *
 * `schedule/world.ts` plays a schedule; `schedule/laws.ts` says what must hold of what was observed.
 */
import * as fc from "fast-check"

/** A message of the small world: two in one chat, one in another, one of another tenant. */
export type MessageIndex = 0 | 1 | 2 | 3
/** One of two attempts; the same again is a redelivery, the other one a regeneration. */
export type Attempt = 0 | 1
/** Two processes, each with its repo, on one store. */
export type ProcessIndex = 0 | 1

/** `interrupt` fails with an interruption; `killed` has its own fiber interrupted. */
export type End = "succeed" | "fail" | "die" | "interrupt" | "killed"

export interface HandlerSpec {
  readonly kind: "quick" | "slow" | "fail" | "die" | "hang"
}

/** What work does, in order. */
export type Op =
  | { readonly op: "sleep"; readonly ms: number }
  /** Waits until the schedule opens the gate, or makes it fail. */
  | { readonly op: "gate"; readonly gate: number }
  | { readonly op: "check" }
  | { readonly op: "handler"; readonly handler: HandlerSpec }
  | { readonly op: "cancel" }
  | { readonly op: "retarget"; readonly message: MessageIndex }
  /** Cannot be interrupted for so long. */
  | { readonly op: "resist"; readonly ms: number }
  /** Takes so long to clean up. */
  | { readonly op: "cleanup"; readonly ms: number }
  | { readonly op: "wrap"; readonly wrap: WrapSpec }
  /** A wrap that is interrupted from outside when the time is over. */
  | { readonly op: "deadline"; readonly ms: number; readonly wrap: WrapSpec }
  | {
      readonly op: "stream"
      readonly items: number
      readonly pause: number
      readonly grace: number | undefined
    }

export interface WrapSpec {
  readonly form: "value" | "undefined" | "option" | "onCancelled"
  readonly grace: number | undefined
  readonly poll: number | undefined
  readonly ops: ReadonlyArray<Op>
  readonly end: End
}

export interface SessionSpec {
  readonly process: ProcessIndex
  readonly message: MessageIndex
  readonly attempt: Attempt
  readonly poll: number
  readonly handlerTimeout: number
  readonly grace: number | undefined
  /** Whether it takes an `AbortSignal` as it begins. */
  readonly signal: boolean
  readonly ops: ReadonlyArray<Op>
  readonly end: End
}

export type StoreFault =
  | "fail"
  | "hang"
  | "hangUninterruptibly"
  | "slow"
  | "late"
  | "die"
  | "loseAnswer"
  | "malformed"
  | "stale"
  | "nonsense"
  | "flapping"

export type Act =
  | { readonly act: "start"; readonly session: SessionSpec }
  | {
      readonly act: "stop"
      readonly via: "store" | ProcessIndex
      readonly level: "chat" | "message" | "run"
      readonly message: MessageIndex
      readonly attempt: Attempt
    }
  /** A stop of a session's first run, and a check of the session in the same step. */
  | { readonly act: "stopNow"; readonly session: number }
  | {
      readonly act: "hint"
      readonly process: ProcessIndex
      readonly message: MessageIndex
      readonly attempt: Attempt
      readonly times: number
    }
  | {
      readonly act: "signal"
      readonly process: ProcessIndex
      readonly event: "reconnected" | "disconnect" | "crash" | "drop" | "double" | "delay" | "heal"
    }
  | {
      readonly act: "fault"
      readonly process: ProcessIndex
      readonly operations: "reads" | "starts" | "writes" | "all"
      readonly fault: StoreFault
    }
  | { readonly act: "heal"; readonly process: ProcessIndex }
  | { readonly act: "advance"; readonly ms: number }
  | { readonly act: "check"; readonly session: number }
  | { readonly act: "subscribe"; readonly session: number }
  | { readonly act: "handler"; readonly session: number; readonly handler: HandlerSpec }
  | { readonly act: "dropHandlers"; readonly session: number }
  | { readonly act: "cancel"; readonly session: number }
  | { readonly act: "retarget"; readonly session: number; readonly message: MessageIndex }
  | { readonly act: "open"; readonly gate: number; readonly fails: boolean }
  | { readonly act: "interrupt"; readonly session: number }

interface Step {
  readonly do: Act
  /** How many steps the fibers may take before the next act; -1: until they rest. */
  readonly turns: number
}

export interface Schedule {
  readonly order: number
  readonly chunkSize: number
  /** How many operations a fiber may take before it lets others go on; Effect's own is 2048. */
  readonly budget: number
  readonly steps: ReadonlyArray<Step>
}

export const gates = 3

const pollIntervals = [400, 1000, 2000]

const message = fc.constantFrom<MessageIndex>(0, 0, 0, 1, 1, 2, 3)
const attempt = fc.constantFrom<Attempt>(0, 0, 1)
const process = fc.constantFrom<ProcessIndex>(0, 0, 1)
const session = fc.nat({ max: 4 })
const end = fc.constantFrom<End>(
  "succeed",
  "succeed",
  "succeed",
  "fail",
  "die",
  "interrupt",
  "killed"
)
const handler = fc.record({
  kind: fc.constantFrom<HandlerSpec["kind"]>("quick", "quick", "slow", "fail", "die", "hang")
})
const grace = fc.constantFrom(undefined, undefined, 0, 50, 300)
// Exact multiples of the intervals, and what falls between, so that much happens at the same instant.
const ms = fc.constantFrom(1, 50, 100, 100, 200, 300, 400, 500, 1000)

const leaf: fc.Arbitrary<Op> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ op: fc.constant("sleep" as const), ms }) },
  {
    weight: 15,
    arbitrary: fc.record({ op: fc.constant("gate" as const), gate: fc.nat({ max: gates - 1 }) })
  },
  { weight: 6, arbitrary: fc.record({ op: fc.constant("check" as const) }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant("handler" as const), handler }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("cancel" as const) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("retarget" as const), message }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant("resist" as const), ms }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("cleanup" as const), ms }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant("stream" as const),
      items: fc.nat({ max: 4 }),
      pause: fc.constantFrom(0, 50, 200),
      grace
    })
  }
)

const wrapOf = (ops: fc.Arbitrary<Array<Op>>): fc.Arbitrary<WrapSpec> =>
  fc.record({
    form: fc.constantFrom<WrapSpec["form"]>("value", "value", "undefined", "option", "onCancelled"),
    grace,
    poll: fc.constantFrom(undefined, undefined, ...pollIntervals),
    ops,
    end
  })

const wrappedIn = (wrap: fc.Arbitrary<WrapSpec>): fc.Arbitrary<Op> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ op: fc.constant("wrap" as const), wrap }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("deadline" as const), ms, wrap }) }
  )

const inner = wrappedIn(wrapOf(fc.array(leaf, { maxLength: 3 })))
const outer = wrappedIn(
  wrapOf(
    fc.array(fc.oneof({ weight: 4, arbitrary: leaf }, { weight: 1, arbitrary: inner }), {
      maxLength: 3
    })
  )
)

const sessionSpec: fc.Arbitrary<SessionSpec> = fc.record({
  process,
  message,
  attempt,
  poll: fc.constantFrom(...pollIntervals),
  handlerTimeout: fc.constantFrom(0, 50, 5000),
  grace,
  signal: fc.boolean(),
  ops: fc.array(fc.oneof({ weight: 2, arbitrary: outer }, { weight: 1, arbitrary: leaf }), {
    minLength: 1,
    maxLength: 3
  }),
  end
})

const acts = {
  start: fc.record({ act: fc.constant("start" as const), session: sessionSpec }),
  stop: fc.record({
    act: fc.constant("stop" as const),
    via: fc.constantFrom<"store" | ProcessIndex>("store", "store", 0, 1),
    level: fc.constantFrom<"chat" | "message" | "run">("chat", "message", "run", "run"),
    message,
    attempt
  }),
  stopNow: fc.record({ act: fc.constant("stopNow" as const), session }),
  hint: fc.record({
    act: fc.constant("hint" as const),
    process,
    message,
    attempt,
    times: fc.constantFrom(1, 1, 2, 3)
  }),
  signal: fc.record({
    act: fc.constant("signal" as const),
    process,
    event: fc.constantFrom<(Act & { act: "signal" })["event"]>(
      "reconnected",
      "reconnected",
      "disconnect",
      "crash",
      "drop",
      "double",
      "delay",
      "heal"
    )
  }),
  fault: fc.record({
    act: fc.constant("fault" as const),
    process,
    operations: fc.constantFrom<"reads" | "starts" | "writes" | "all">(
      "reads",
      "reads",
      "starts",
      "writes",
      "all"
    ),
    fault: fc.constantFrom<StoreFault>(
      "fail",
      "hang",
      "hangUninterruptibly",
      "slow",
      "late",
      "die",
      "loseAnswer",
      "malformed",
      "stale",
      "nonsense",
      "flapping"
    )
  }),
  heal: fc.record({ act: fc.constant("heal" as const), process }),
  advance: fc.record({
    act: fc.constant("advance" as const),
    ms: fc.oneof(ms, fc.constantFrom(600, 2000, 4000, 5000), fc.integer({ min: 1, max: 2500 }))
  }),
  check: fc.record({ act: fc.constant("check" as const), session }),
  subscribe: fc.record({ act: fc.constant("subscribe" as const), session }),
  handler: fc.record({ act: fc.constant("handler" as const), session, handler }),
  dropHandlers: fc.record({ act: fc.constant("dropHandlers" as const), session }),
  cancel: fc.record({ act: fc.constant("cancel" as const), session }),
  retarget: fc.record({ act: fc.constant("retarget" as const), session, message }),
  open: fc.record({
    act: fc.constant("open" as const),
    gate: fc.nat({ max: gates - 1 }),
    fails: fc.constantFrom(false, false, false, true)
  }),
  interrupt: fc.record({ act: fc.constant("interrupt" as const), session })
} satisfies { readonly [K in Act["act"]]: fc.Arbitrary<Extract<Act, { act: K }>> }

const usual: Readonly<Record<Act["act"], number>> = {
  start: 8,
  stop: 7,
  stopNow: 2,
  hint: 4,
  signal: 2,
  fault: 3,
  heal: 2,
  advance: 9,
  check: 4,
  subscribe: 2,
  handler: 3,
  dropHandlers: 1,
  cancel: 1,
  retarget: 2,
  open: 4,
  interrupt: 2
}

const turns = fc.oneof(
  { weight: 3, arbitrary: fc.constant(-1) },
  { weight: 2, arbitrary: fc.nat({ max: 3 }) },
  { weight: 1, arbitrary: fc.nat({ max: 12 }) }
)

/**
 * Fibers that pause after any few operations, as one of 2048 does at a place nobody knows. What a law
 * says of one step cannot be seen with them; what must never be left behind can.
 */
export const anyBudget = fc.oneof(fc.constant(2048), fc.integer({ min: 3, max: 60 }))

/** Schedules in which some kinds of act are more (or less) frequent than usual. */
export const schedules = (
  weights: Partial<Record<Act["act"], number>> = {},
  budget: fc.Arbitrary<number> = fc.constant(2048)
): fc.Arbitrary<Schedule> => {
  const weightOf = (kind: Act["act"]) => weights[kind] ?? usual[kind]
  const kinds = Object.keys(usual) as Array<Act["act"]>
  const act: fc.Arbitrary<Act> = fc.oneof(
    ...kinds.map((kind) => ({ weight: weightOf(kind), arbitrary: acts[kind] }))
  )
  const first = fc.record({ do: acts.start, turns })
  return fc
    .record({
      order: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_000_000 })),
      chunkSize: fc.constantFrom(1, 2, 1000, 1000),
      budget,
      first,
      rest: fc.array(fc.record({ do: act, turns }), { minLength: 4, maxLength: 24, size: "max" })
    })
    .map(({ first, rest, ...world }) => ({ ...world, steps: [first, ...rest] }))
}
