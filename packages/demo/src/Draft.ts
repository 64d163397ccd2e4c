/**
 * The answer while it is written: shown word by word, saved four times a second, and completed once,
 * in a finalizer, whatever happened.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import { MessageChange, MessageContent, type Run } from "effect-cancellation"
import { isUnavailable } from "./ContentOutage.ts"
import { Drafts, type DraftText } from "./Drafts.ts"
import { encodeTools, ToolLine } from "./ToolLine.ts"

const savePause = "250 millis"

export class Draft extends Context.Service<
  Draft,
  {
    readonly write: (words: string) => Effect.Effect<void>
    /** Shows a line while a tool works, and afterwards what it brought; `undefined` if it was stopped. */
    readonly showTool: <E, R>(
      label: string,
      work: Effect.Effect<string | undefined, E, R>
    ) => Effect.Effect<string | undefined, E, R>
  }
>()("effect-cancellation-demo/Draft") {
  static readonly layer = (run: Run): Layer.Layer<Draft, never, MessageContent | Drafts> =>
    Layer.effect(this, make(run))
}

const make = Effect.fnUntraced(function* (run: Run) {
  const content = yield* MessageContent
  const drafts = yield* Drafts
  const draft = yield* Ref.make<DraftText>({ text: "", tools: [] })
  const saved = yield* Ref.make(yield* Ref.get(draft))

  const change = (f: (draft: DraftText) => DraftText) =>
    Effect.flatMap(Ref.updateAndGet(draft, f), (changed) => drafts.put(run, changed))

  const save = Effect.fnUntraced(function* (last: boolean) {
    const { text, tools } = yield* Ref.get(draft)
    yield* content.modify(
      MessageChange.make({
        ref: run.ref,
        writer: run.runId,
        text,
        references: encodeTools(tools),
        ...(last ? { setStoppedStreamingAt: true, setCompletedAt: true } : {})
      })
    )
  })

  const saveIfChanged = Effect.gen(function* () {
    const now = yield* Ref.get(draft)
    if (now === (yield* Ref.get(saved))) return
    yield* save(false)
    yield* Ref.set(saved, now)
  }).pipe(
    // The text is still here, and the next save has it all.
    Effect.catch((error) =>
      isUnavailable(error) ? Effect.void : Effect.logWarning(`Not saved yet: ${error.message}`)
    )
  )

  // A failure of the last save is a defect: the run ends as failed, never as if all were well.
  const complete = save(true).pipe(
    Effect.retry({ while: isUnavailable, schedule: lastSaves }),
    Effect.catch((error) =>
      Effect.flatMap(Ref.get(draft), ({ text }) =>
        Effect.logError(
          `The end of message ${run.ref.messageId} could not be saved (${text.length} characters in all): ${error.message}`
        ).pipe(Effect.andThen(Effect.die(error)))
      )
    ),
    Effect.ensuring(drafts.remove(run))
  )

  yield* drafts.put(run, yield* Ref.get(draft))
  yield* Effect.addFinalizer(() => complete)
  yield* Effect.forkScoped(Effect.repeat(saveIfChanged, Schedule.spaced(savePause)))

  return Draft.of({
    write: (words) => change((before) => ({ ...before, text: before.text + words })),
    showTool: Effect.fnUntraced(function* (label, work) {
      const { text, tools } = yield* Ref.get(draft)
      const index = tools.length
      const show = (line: Pick<ToolLine, "state" | "result">) =>
        change((before) => ({
          ...before,
          tools: before.tools
            .slice(0, index)
            .concat(ToolLine.make({ at: text.length, label, ...line }))
        }))
      yield* show({ state: "running" })
      return yield* Effect.onExit(work, (exit) =>
        Exit.isSuccess(exit) && exit.value !== undefined
          ? show({ state: "done", result: exit.value })
          : show({ state: "stopped" })
      )
    })
  })
})

const lastSaves = Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: "10 seconds" }))
