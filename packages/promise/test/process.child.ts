// A program that is looked at from outside: whether it ends by itself, and what it lets escape.
import { createStops, memory } from "effect-cancellation-promise"
import { storeInFile } from "./process.fixture.ts"

const [mode = "", filename = ""] = process.argv.slice(2)
const place = { chatId: "chat", messageId: "message" }
const say = (line: string) => process.stdout.write(`${line}\n`)
const stops = createStops({
  store: filename === "" ? memory() : storeInFile(filename),
  log: () => {},
  gracePeriod: 10
})
const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
const turn = () => new Promise((resolve) => setImmediate(resolve))

const modes: Record<string, () => Promise<void>> = {
  // Nobody awaits what is rejected by a stop, or by the close.
  unawaited: async () => {
    const run = await stops.watch(place)
    void run.run(untilAborted)
    void stops.run(place, (own) => untilAborted(own.signal))
    void stops.respond(place, (own) => untilAborted(own.signal))
    const closed = await stops.watch({ chatId: "closed" })
    void closed.run(untilAborted)
    await closed.close()
    void closed.run(untilAborted)
    await run.check()
    await stops.stop({ chatId: "chat" })
    await turn()
    const left = await stops.watch({ chatId: "left" })
    void left.run(untilAborted)
    void left
      .stream(async function* (signal) {
        yield 1
        await untilAborted(signal)
      })
      .next()
    await turn()
    await stops.close()
    await turn()
    say("closed")
  },
  // Work that was given up fails later.
  late: async () => {
    let fail: (error: Error) => void = () => {}
    const work = () => new Promise<never>((_, reject) => (fail = reject))
    const run = await stops.watch(place)
    const result = run.run(work, { whenStopped: "given up" })
    await run.stop("user")
    say(await result)
    fail(new Error("late"))
    await turn()
    await stops.close()
  },
  // Runs that nobody closes.
  open: async () => {
    await stops.watch(place)
    const run = await stops.watch({ chatId: "other" })
    run.onStop(() => say(`stopped: ${run.event?.reason}`))
    void run.run(untilAborted)
    await stops.close()
    say("closed")
  },
  sigterm: async () => {
    process.once("SIGTERM", () => void stops.drain({ timeout: 50 }).then(() => say("drained")))
    const run = await stops.watch(place)
    await run.check()
    const alive = setInterval(() => {}, 1000)
    say("ready")
    const said = await run.run(untilAborted, { whenStopped: ({ reason }) => reason })
    clearInterval(alive)
    say(said)
  }
}

await modes[mode]?.()
