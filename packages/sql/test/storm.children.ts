/** Programs of their own that a test starts, and lets loose all at once. */
import { spawn } from "node:child_process"
import path from "node:path"
import * as Effect from "effect/Effect"

/**
 * Starts a file of this folder once for each list of arguments, waits until all have said `ready`,
 * lets them loose by the end of their input, and answers what each of them said last, as JSON. A
 * program that fails kills the test with all it said.
 */
export const runAll = Effect.fnUntraced(function* (
  file: string,
  args: ReadonlyArray<ReadonlyArray<string>>
) {
  const children = yield* Effect.forEach(args, (each) => start(file, each), {
    concurrency: "unbounded"
  })
  return yield* Effect.forEach(children, (child) => child.end, { concurrency: "unbounded" })
}, Effect.scoped)

const start = Effect.fnUntraced(function* (file: string, args: ReadonlyArray<string>) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [path.join(import.meta.dirname, file), ...args], {
        stdio: ["pipe", "pipe", "pipe"]
      })
    ),
    (started) => Effect.sync(() => void started.kill("SIGKILL"))
  )
  const said = { out: "", error: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.out += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said.error += text))
  const closed = new Promise<number | null>((resolve) => {
    child.once("close", resolve)
  })
  const failed = () => new Error(`${file} ${args.join(" ")} failed:\n${said.out}\n${said.error}`)

  yield* Effect.callback<void>((resume) => {
    const look = () => {
      if (said.out.includes("ready\n")) resume(Effect.void)
    }
    child.stdout.on("data", look)
    child.once("close", () => resume(Effect.die(failed())))
    look()
  })
  const end = Effect.flatMap(
    Effect.promise(() => {
      child.stdin.end()
      return closed
    }),
    (code): Effect.Effect<unknown> =>
      code === 0
        ? Effect.sync(() => JSON.parse(said.out.trim().split("\n").at(-1) ?? "null"))
        : Effect.die(failed())
  )
  return { end }
})

/** In such a program: says that it is ready, and waits until it is let loose. */
export const letLoose = Effect.callback<void>((resume) => {
  process.stdin.once("end", () => resume(Effect.void)).resume()
  process.stdout.write("ready\n")
})

/** In such a program: what it says last. */
export const answer = (value: unknown) =>
  Effect.sync(() => void process.stdout.write(`${JSON.stringify(value)}\n`))
