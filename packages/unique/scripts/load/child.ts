/** A process that is told things one after the other, and answers each. */
import { fork } from "node:child_process"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"

/** Starts it; it ends by itself when the scope closes. */
export const startChild = Effect.fnUntraced(function* (
  file: string,
  args: ReadonlyArray<string>,
  execArgv: ReadonlyArray<string> = []
) {
  const answers = yield* Queue.unbounded<unknown>()
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      fork(path.join(import.meta.dirname, file), args, { execArgv: [...execArgv] })
    ),
    (one) =>
      Effect.callback<void>((resume) => {
        if (one.exitCode !== null || one.signalCode !== null) return resume(Effect.void)
        one.once("exit", () => resume(Effect.void))
        one.disconnect()
      })
  )
  child.on("message", (answer) => Queue.offerUnsafe(answers, answer))
  child.once("exit", (code) => {
    if (code !== 0) process.stderr.write(`${file} ended with ${code}\n`)
    Queue.shutdownUnsafe(answers)
  })
  return {
    /** What it says next. */
    answer: <A>() => Effect.map(Queue.take(answers), (answer) => answer as A),
    tell: (order: unknown) => Effect.sync(() => void child.send(order as object))
  }
})
