/** Random schedules of one turn, and a world that plays them: what the model, the tools, the people and
 * the stores do, in which order, and how far the fibers get between. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scheduler from "effect/Scheduler"
import { TestClock } from "effect/testing"
import { Tool, Toolkit } from "effect/ai"
import {
  type Message,
  MessageContent,
  MessageId,
  MessageRef,
  MessageRepo,
  type RunRecord,
  StopIntent,
  type StopReason
} from "effect-cancellation"
import * as fc from "fast-check"
import { AgentLoop, ChatService } from "../src/index.ts"
import { ref, runId, storedRun } from "./support/chat.ts"
import { ends, layer as modelLayer, type Script } from "./support/scriptedModel.ts"
import { layer, type Mood, Unsteady } from "./support/unsteadyContent.ts"

type Said =
  | { readonly say: "word"; readonly text: string }
  | { readonly say: "pause"; readonly ms: number }
  | { readonly say: "tool"; readonly ms: number; readonly resists: boolean }
  | { readonly say: "error" }
  | { readonly say: "die" }

/** What the program does after the loop. */
type After =
  | {
      readonly after: "complete"
      readonly ms: number
      readonly resists: boolean
      readonly end: End
    }
  | { readonly after: "twice"; readonly ms: number }
  | { readonly after: "segment" }
  | { readonly after: "modify" }
  | { readonly after: "pause"; readonly ms: number }

type End = "succeed" | "fail" | "die"

type Act =
  | { readonly act: "advance"; readonly ms: number }
  | { readonly act: "stop"; readonly reason: StopReason; readonly later: boolean }
  | { readonly act: "cancel"; readonly reason: StopReason }
  | { readonly act: "interrupt" }
  | { readonly act: "drain"; readonly ms: number }
  | { readonly act: "mood"; readonly of: "modify" | "create"; readonly mood: Mood }
  | { readonly act: "release" }

export interface Schedule {
  /** How many operations a fiber may take before it lets others go on; Effect's own is 2048. */
  readonly budget: number
  readonly saveInterval: number
  readonly writeTimeout: number
  readonly deadline: number | undefined
  readonly timeout: number | undefined
  readonly steps: ReadonlyArray<ReadonlyArray<Said>>
  readonly after: ReadonlyArray<After>
  readonly acts: ReadonlyArray<{ readonly do: Act; readonly turns: number }>
}

// Multiples of the intervals, and what falls between, so that much happens at the same instant.
const ms = fc.constantFrom(1, 50, 100, 100, 200, 250, 300, 500, 1000)
const limit = fc.constantFrom(100, 300, 500, 1000, 2500)
const ending = fc.constantFrom<End>("succeed", "succeed", "succeed", "succeed", "fail", "die")

const said: fc.Arbitrary<Said> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      say: fc.constant("word" as const),
      text: fc.constantFrom("a", "bc", " ", "", "\ud83d", "\ude00", "\0", "d\n\n")
    })
  },
  { weight: 10, arbitrary: fc.record({ say: fc.constant("pause" as const), ms }) },
  {
    weight: 6,
    arbitrary: fc.record({
      say: fc.constant("tool" as const),
      ms,
      resists: fc.constantFrom(false, false, false, true)
    })
  },
  { weight: 1, arbitrary: fc.constantFrom<Said>({ say: "error" }, { say: "die" }) }
)

const after: fc.Arbitrary<After> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      after: fc.constant("complete" as const),
      ms,
      resists: fc.constantFrom(false, false, true),
      end: ending
    })
  },
  { weight: 1, arbitrary: fc.record({ after: fc.constant("twice" as const), ms }) },
  { weight: 2, arbitrary: fc.constant<After>({ after: "segment" }) },
  { weight: 1, arbitrary: fc.constant<After>({ after: "modify" }) },
  { weight: 1, arbitrary: fc.record({ after: fc.constant("pause" as const), ms }) }
)

const mood = fc.constantFrom<Mood>(
  "steady",
  "fail",
  "hang",
  "resist",
  "loseAnswer",
  { slow: 300 },
  { slow: 2000 }
)

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      act: fc.constant("advance" as const),
      ms: fc.oneof(ms, fc.constantFrom(2000, 3000))
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      act: fc.constant("stop" as const),
      reason: fc.constantFrom<StopReason>("user", "user", "disconnect"),
      later: fc.boolean()
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      act: fc.constant("cancel" as const),
      reason: fc.constantFrom<StopReason>("parent", "shutdown")
    })
  },
  { weight: 1, arbitrary: fc.constant<Act>({ act: "interrupt" }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant("drain" as const), ms }) },
  {
    weight: 4,
    arbitrary: fc.record({
      act: fc.constant("mood" as const),
      of: fc.constantFrom<"modify" | "create">("modify", "modify", "modify", "create"),
      mood
    })
  },
  { weight: 2, arbitrary: fc.constant<Act>({ act: "release" }) }
)

/** Fibers that pause after any few operations, as one of 2048 does at a place nobody knows. */
export const anyBudget = fc.oneof(fc.constant(2048), fc.integer({ min: 20, max: 120 }))

export const schedulesWith = (budget: fc.Arbitrary<number>): fc.Arbitrary<Schedule> =>
  fc.record({
    budget,
    saveInterval: fc.constantFrom(100, 250, 1000),
    writeTimeout: fc.constantFrom(300, 5000),
    deadline: fc.oneof(
      { weight: 4, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: limit }
    ),
    timeout: fc.oneof(
      { weight: 6, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: limit }
    ),
    steps: fc.array(fc.array(said, { maxLength: 6, size: "max" }), {
      minLength: 1,
      maxLength: 3,
      size: "max"
    }),
    after: fc.array(after, { maxLength: 3 }),
    acts: fc.array(
      fc.record({
        do: act,
        turns: fc.oneof(
          { weight: 2, arbitrary: fc.constant(40) },
          { weight: 1, arbitrary: fc.nat({ max: 12 }) }
        )
      }),
      { maxLength: 14, size: "max" }
    )
  })

export interface Trace {
  readonly schedule: Schedule
  /** What the model said, a text a step, as far as it came. */
  readonly spoken: ReadonlyArray<string>
  /** The last text that somebody was shown. */
  readonly shown: string
  /** How the loop ended, and whether the run was cancelled then. */
  readonly loop: { readonly tag: string; readonly text: string; readonly flag: boolean } | undefined
  /** Post-processing that ended by itself, with the flag at its end. */
  readonly processed: ReadonlyArray<{ readonly flag: boolean; readonly resists: boolean }>
  /** What `complete` answered, with the flag and what was stored as it did. */
  readonly answered: ReadonlyArray<{
    readonly done: boolean
    readonly flag: boolean
    readonly stored: boolean
  }>
  readonly begunLate: number
  /** How the program ended, before its layers closed. */
  readonly exit: Exit.Exit<unknown, unknown> | undefined
  readonly isOver: boolean
  /** Why it was cancelled, if it was. */
  readonly reason: StopReason | undefined
  /** All messages of the turn as they are in the end. */
  readonly messages: ReadonlyArray<Message>
  /** How often each was completed, by its id. */
  readonly completions: ReadonlyMap<string, number>
  readonly record: RunRecord | undefined
  readonly fault: boolean
}

const Work = Tool.make("Work", {
  parameters: Schema.Struct({ ms: Schema.Finite, resists: Schema.Boolean }),
  success: Schema.String
})
const toolkit = Toolkit.make(Work)

const turns = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })

const lasting = ({ ms, resists }: { readonly ms: number; readonly resists: boolean }) =>
  resists ? Effect.uninterruptible(Effect.sleep(ms)) : Effect.sleep(ms)

const endOf = (end: End): Effect.Effect<void, string> => {
  switch (end) {
    case "fail":
      return Effect.fail("post-processing")
    case "die":
      return Effect.die("post-processing")
    case "succeed":
    default:
      return Effect.void
  }
}

/** Plays a schedule to its end, in which all is well again. */
export const play = (schedule: Schedule): Effect.Effect<Trace> =>
  Effect.gen(function* () {
    const repo = yield* MessageRepo
    const content = yield* MessageContent
    const unsteady = yield* Unsteady
    const spoken: Array<string> = []
    const processed: Array<Trace["processed"][number]> = []
    const answered: Array<Trace["answered"][number]> = []
    let shown = ""
    let loop: Trace["loop"]
    let begunLate = 0
    let segments = 0
    let chat: ChatService["Service"] | undefined
    const flag = Effect.suspend(() => chat?.cancellation.isCancelled ?? Effect.succeed(false))

    const parts = (step: number, index: number, one: Said): Script => {
      switch (one.say) {
        case "word":
          return [
            Effect.sync(() => void (spoken[step] = (spoken[step] ?? "") + one.text)),
            { type: "text-delta", id: "text", delta: one.text }
          ]
        case "pause":
          return [Effect.sleep(one.ms)]
        case "tool": {
          const { ms, resists } = one
          const id = `${step}.${index}`
          return [{ type: "tool-call", id, name: "Work", params: { ms, resists } }]
        }
        case "error":
          return [{ type: "error", error: "overloaded" }]
        case "die":
        default:
          return [Effect.die("model")]
      }
    }
    const last: ReadonlyArray<Said> = [{ say: "word", text: "Done." }]
    const scripts = [...schedule.steps, last, last].map((step, n): Script => [
      ...step.flatMap((one, index) => parts(n, index, one)),
      ends(step.some(({ say }) => say === "tool") ? "tool-calls" : "stop")
    ])

    const handlers = toolkit.toLayer({
      Work: (params) =>
        Effect.gen(function* () {
          if (yield* flag) begunLate++
          yield* lasting(params)
          return "worked"
        })
    })

    const completed = (id: MessageId) =>
      Effect.map(
        Effect.orDie(content.find({ chatId: ref.chatId, messageId: id })),
        ([message]) => message?.completedAt !== undefined
      )

    const complete = (
      service: ChatService["Service"],
      { end, ms, resists }: { readonly ms: number; readonly resists: boolean; readonly end: End }
    ) =>
      Effect.gen(function* () {
        const run = yield* service.cancellation.run
        const value = yield* service.complete(
          lasting({ ms, resists }).pipe(
            Effect.andThen(endOf(end)),
            Effect.andThen(
              Effect.map(flag, (isCancelled) => {
                processed.push({ flag: isCancelled, resists })
                return "done"
              })
            )
          )
        )
        const done = Option.isSome(value)
        const isCancelled = yield* flag
        answered.push({ done, flag: isCancelled, stored: yield* completed(run.ref.messageId) })
      })

    const follow = (service: ChatService["Service"], one: After) => {
      switch (one.after) {
        case "complete":
          return complete(service, one)
        case "twice": {
          const twice = complete(service, { ms: one.ms, resists: false, end: "succeed" })
          return Effect.all([twice, twice], { concurrency: 2 })
        }
        case "segment":
          return service.createAssistantMessage({
            messageId: MessageId.make(`segment-${++segments}`)
          })
        case "modify":
          return service.modifyAssistantMessage({ debugInfo: "modified" })
        case "pause":
        default:
          return Effect.sleep(one.ms)
      }
    }

    const agent = Effect.gen(function* () {
      const service = yield* ChatService
      chat = service
      // Until the store has heard of the run.
      yield* turns(40)
      const result = yield* AgentLoop.run({
        prompt: "Go",
        toolkit,
        maxIterations: 3,
        observe: (event) =>
          Effect.sync(() => {
            if (event._tag === "Text") shown = event.text
          })
      })
      loop = { tag: result._tag, text: result.text, flag: yield* flag }
      for (const one of schedule.after) yield* follow(service, one)
    })
    const limited =
      schedule.timeout === undefined ? agent : Effect.timeoutOption(agent, schedule.timeout)

    const { budget, deadline, saveInterval, writeTimeout } = schedule
    const options = {
      deadline,
      saveInterval,
      writeTimeout,
      finalWriteTimeout: "10 minutes"
    } as const
    let ended: Exit.Exit<unknown, unknown> | undefined
    const fiber = yield* limited.pipe(
      Effect.onExit((exit) => Effect.sync(() => void (ended = exit))),
      Effect.provide([
        ChatService.layer({ ref, runId, ...options }),
        modelLayer(...scripts),
        handlers
      ]),
      Effect.provideService(Scheduler.MaxOpsBeforeYield, budget),
      Effect.forkChild
    )
    yield* turns(60)

    let fault = false
    const perform = (one: Act): Effect.Effect<unknown> => {
      switch (one.act) {
        case "advance":
          return TestClock.adjust(one.ms)
        case "stop": {
          const id = one.later && segments > 0 ? `segment-${segments}` : ref.messageId
          const target = MessageRef.of({ chatId: ref.chatId, messageId: id })
          return Effect.forkChild(
            Effect.ignore(repo.requestStop(target, StopIntent.make({ reason: one.reason })))
          )
        }
        case "cancel":
          return chat === undefined ? Effect.void : chat.cancellation.cancel(one.reason)
        case "interrupt":
          return Effect.sync(() => fiber.interruptUnsafe())
        case "drain":
          return Effect.forkChild(repo.drain({ timeout: one.ms }))
        case "mood":
          fault = true
          return one.of === "modify" ? unsteady.modify(one.mood) : unsteady.create(one.mood)
        case "release":
        default:
          return unsteady.release
      }
    }
    for (const { do: one, turns: count } of schedule.acts) {
      yield* perform(one)
      yield* turns(count)
    }

    yield* unsteady.modify("steady")
    yield* unsteady.create("steady")
    for (let round = 0; round < 40 && fiber.pollUnsafe() === undefined; round++) {
      yield* turns(budget === 2048 ? 40 : 400)
      yield* TestClock.adjust(round < 20 ? 250 : 5000)
    }
    const isOver = fiber.pollUnsafe() !== undefined
    if (!isOver) yield* Fiber.interrupt(fiber).pipe(Effect.forkChild)
    // What still hangs may come now, when nobody waits for it any more.
    yield* unsteady.release
    yield* turns(40)
    yield* TestClock.adjust(5000)
    yield* turns(40)

    const completions = new Map<string, number>()
    for (const { change } of unsteady.accepted) {
      if (change.setCompletedAt !== true) continue
      const id = change.ref.messageId
      completions.set(id, (completions.get(id) ?? 0) + 1)
    }
    const cancelled = chat !== undefined && (yield* chat.cancellation.isCancelled)
    return {
      schedule,
      spoken,
      shown,
      loop,
      processed,
      answered,
      begunLate,
      exit: ended,
      isOver,
      reason:
        cancelled && chat !== undefined
          ? (yield* chat.cancellation.cancellation).request.reason
          : undefined,
      messages: yield* Effect.orDie(content.find({ chatId: ref.chatId })),
      completions,
      record: yield* storedRun,
      fault
    }
  }).pipe(Effect.provide([layer, TestClock.layer(), Logger.layer([])]), Effect.scoped)

/** Whether an exit is an interruption and nothing else. */
export const isInterrupted = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
