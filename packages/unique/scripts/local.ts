// `npm run unique`: the example of an agent behind a webhook, and a stand-in for the Unique platform,
// on this machine. A person presses Stop while an answer is written; then the agent itself is ended.
import { styleText } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Deferred, Duration, Effect, Fiber } from "effect"
import { type ExampleAgent, startExampleAgent } from "../test/support/exampleAgent.ts"
import { type Platform, startPlatform } from "../test/support/PlatformServer.ts"

const ada = { companyId: "company_1", userId: "user_ada" }
/** After so many words of an answer it is cut short. */
const patience = 30

const program = Effect.gen(function* () {
  const platform = yield* startPlatform()
  const agent = yield* startExampleAgent(platform, { SHUTDOWN_TIMEOUT: "10 millis" })
  yield* say(
    "",
    `  The platform  ${platform.baseUrl.padEnd(42)}  ${faint("a stand-in")}`,
    `  The agent     ${agent.webhook.padEnd(42)}  ${faint("packages/unique/examples/webhook.ts")}`
  )

  const first = yield* ask(platform, agent, "chat_1", "What becomes of a Stop?")
  const stop = platform.pressStop("chat_1", ada)
  first.mark("■")
  const [interrupted] = yield* Effect.timed(agent.logged("The model was interrupted"))
  yield* first.written
  yield* say(
    "",
    `  ${red("■")} Ada pressed Stop. The model was interrupted ${strong(`after ${ms(interrupted)}`)}: the agent looks`,
    `  every 2 s. All was stored ${Date.now() - Date.parse(stop.at)} ms after the Stop. The platform has these messages:`
  )
  yield* showMessages(platform, "chat_1")

  const second = yield* ask(platform, agent, "chat_2", "And when the agent itself is ended?")
  second.mark("▲")
  const [ending] = yield* Effect.timed(Effect.andThen(agent.kill("SIGTERM"), agent.exited))
  yield* second.written
  yield* say(
    "",
    `  ${red("▲")} The agent got SIGTERM. It was gone ${strong(`after ${ms(ending)}`)}, and the platform knows that the system`,
    `  cut the turn short, by a turn-interruption at ${platform.interruptedAt(second.userMessageId)}:`
  )
  yield* showMessages(platform, "chat_2")
  // Without the annotations, which go over several lines.
  const log = agent.lines.filter((line) => line.startsWith("["))
  yield* say(
    "",
    "  What the agent logged:",
    ...log.map((line) => faint(`    ${line.replace(/ \{.*$/, "")}`)),
    ""
  )
})

/** Asks something, and prints the answer as it grows on the platform, until there are enough words. */
const ask = Effect.fnUntraced(function* (
  platform: Platform,
  agent: ExampleAgent,
  chatId: string,
  text: string
) {
  yield* say("", `  ${strong("Ada")}    ${text}`)
  const event = platform.chatEvent({ ...ada, chatId, text })
  const [taken, { status }] = yield* Effect.timed(
    platform.deliver(agent.webhook, event, { secret: agent.secret })
  )
  yield* say(`         ${faint(`the event was answered ${status} after ${ms(taken)}`)}`, "")
  const page = makePage()
  const enough = Deferred.makeUnsafe<void>()
  const fiber = yield* Effect.forkChild(follow(platform, chatId, page, enough))
  yield* Deferred.await(enough)
  return {
    userMessageId: event.payload.userMessage.id,
    mark: (sign: string) => page(`${sign} `),
    /** Until all messages of the turn are complete. */
    written: Effect.andThen(
      Fiber.join(fiber),
      Effect.sync(() => page("\n"))
    )
  }
})

const follow = Effect.fnUntraced(function* (
  platform: Platform,
  chatId: string,
  page: (text: string) => void,
  enough: Deferred.Deferred<void>
) {
  const seen = new Set<unknown>()
  const shown = new Map<string, number>()
  while (true) {
    const change = yield* platform.received(
      (request) => !seen.has(request) && request.method !== "GET"
    )
    seen.add(change)
    const answers = answersOf(platform, chatId)
    for (const [index, { id, text }] of answers.entries()) {
      if (index > 0 && !shown.has(id)) page("\n\n")
      page(text.slice(shown.get(id) ?? 0))
      shown.set(id, text.length)
      if (index > 0 && text.split(/\s/).length > patience) {
        yield* Deferred.succeed(enough, undefined)
      }
    }
    if (answers.every(({ completedAt }) => completedAt !== null)) return
  }
})

const showMessages = (platform: Platform, chatId: string) =>
  Effect.forEach(answersOf(platform, chatId), (message) => {
    const { completedAt, id, stoppedStreamingAt, text, userAbortedAt } = message
    const ends = platform.requests.filter(
      ({ body, method, path }) =>
        method === "PATCH" && path.endsWith(id) && JSON.stringify(body).includes(`"completedAt"`)
    )
    return say(
      "",
      `    text                ${quoted(text)}`,
      `    userAbortedAt       ${userAbortedAt ?? faint("none")}`,
      `    stoppedStreamingAt  ${stoppedStreamingAt ?? faint("none")}`,
      `    completedAt         ${completedAt ?? faint("none")}   ${faint(`set ${times(ends.length)}`)}`
    )
  })

const answersOf = (platform: Platform, chatId: string) =>
  platform.messagesOf(chatId).filter(({ role }) => role === "ASSISTANT")

/** Writes text that comes in pieces, in lines of 80 characters. */
const makePage = () => {
  const width = 80
  let indent = `  ${strong("Agent")}  `
  let column = 0
  const write = (word: string) => {
    if (word.startsWith("\n")) {
      process.stdout.write(word)
      column = 0
      return
    }
    if (column > 0 && column + word.trimEnd().length > width) write("\n")
    const sign = word.startsWith("■") || word.startsWith("▲") ? red(word) : word
    process.stdout.write(column === 0 ? indent + sign : sign)
    indent = " ".repeat(9)
    column = (column === 0 ? indent.length : column) + word.length
  }
  return (text: string) => text.match(/\n+|\S+ ?/g)?.forEach(write)
}

const say = (...lines: ReadonlyArray<string>) => Console.log(lines.join("\n"))
const strong = (text: string) => styleText("bold", text)
const faint = (text: string) => styleText("dim", text)
const red = (text: string) => styleText("red", text)
const ms = (duration: Duration.Duration) => `${Math.round(Duration.toMillis(duration))} ms`
const times = (count: number) => (count === 1 ? "once" : `${count} times`)
const quoted = (text: string) =>
  text.length <= 60 ? `“${text}”` : `“${text.slice(0, 24)} … ${text.slice(-32)}”`

NodeRuntime.runMain(Effect.scoped(program))
