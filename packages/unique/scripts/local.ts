// `npm run unique`: the example of an agent behind a webhook, and a stand-in for the Unique platform,
// on this machine. A person asks something there, and presses Stop while the answer is written.
import { styleText } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Duration, Effect } from "effect"
import { startExampleAgent } from "../test/support/exampleAgent.ts"
import { type Platform, startPlatform } from "../test/support/PlatformServer.ts"

const ada = { companyId: "company_1", userId: "user_ada" }
const chatId = "chat_1"
const question = "What becomes of a Stop?"
/** How many words of the answer Ada reads before she presses Stop. */
const patience = 30

const program = Effect.gen(function* () {
  const platform = yield* startPlatform()
  const agent = yield* startExampleAgent(platform)
  yield* say(
    "",
    `  The platform  ${platform.baseUrl}  ${faint("a stand-in, on this machine")}`,
    `  The agent     ${agent.webhook}  ${faint("packages/unique/examples/webhook.ts")}`,
    "",
    `  ${strong("Ada")}    ${question}`
  )

  const event = platform.chatEvent({ ...ada, chatId, text: question })
  const [taken, { status }] = yield* Effect.timed(
    platform.deliver(agent.webhook, event, { secret: agent.secret })
  )
  yield* say(
    `         ${faint(`the platform delivers its event: ${status} after ${ms(taken)}`)}`,
    ""
  )

  yield* showAnswer(platform)
  const stop = platform.pressStop(chatId, ada)
  yield* say("", "", `  ${strong("Ada")}    ${styleText("red", "■ Stop")}`, "")
  const [interrupted] = yield* Effect.timed(agent.logged("The model was interrupted"))
  yield* Effect.forEach(answersOf(platform), ({ id }) => completed(platform, id))
  const whole = Date.now() - Date.parse(stop.at)
  yield* say(
    `  The model was interrupted ${strong(`${ms(interrupted)} after the Stop`)}: the agent looks every 2 s.`,
    `  All was stored ${whole} ms after it. These are the messages of the turn on the platform:`
  )
  for (const message of answersOf(platform)) {
    const { completedAt, id, stoppedStreamingAt, text, userAbortedAt } = message
    const changes = platform.requests.filter(
      ({ body, method, path }) => method === "PATCH" && path.endsWith(id) && saysCompleted(body)
    )
    yield* say(
      "",
      `    text                ${quoted(text)}`,
      `    userAbortedAt       ${timeOf(userAbortedAt)}`,
      `    stoppedStreamingAt  ${timeOf(stoppedStreamingAt)}`,
      `    completedAt         ${timeOf(completedAt)}  ${faint(`written ${times(changes.length)}`)}`
    )
  }

  yield* agent.kill("SIGTERM")
  yield* agent.exited
  yield* say("", "  What the agent logged:", ...agent.lines.map((line) => faint(`    ${line}`)), "")
})

/** Prints the answer as it grows on the platform, until Ada has read enough. */
const showAnswer = Effect.fnUntraced(function* (platform: Platform) {
  const seen = new Set<unknown>()
  const shown = new Map<string, number>()
  const page = wrapped()
  while (true) {
    const write = yield* platform.received(
      (request) => !seen.has(request) && request.status !== undefined && request.method !== "GET"
    )
    seen.add(write)
    for (const [index, { id, text }] of answersOf(platform).entries()) {
      if (index > 0 && !shown.has(id)) page("\n\n")
      page(text.slice(shown.get(id) ?? 0))
      shown.set(id, text.length)
      if (index > 0 && text.split(/\s/).length > patience) return
    }
  }
})

const answersOf = (platform: Platform) =>
  platform.messagesOf(chatId).filter(({ role }) => role === "ASSISTANT")

const completed = (platform: Platform, id: string) =>
  platform.received(
    ({ body, method, path }) => method === "PATCH" && path.endsWith(id) && saysCompleted(body)
  )

const saysCompleted = (body: unknown) => JSON.stringify(body ?? {}).includes(`"completedAt"`)

/** Writes text that comes in pieces, in lines of 80 characters. */
const wrapped = () => {
  const width = 80
  let indent = `  ${strong("Agent")}  `
  let column = 0
  return (text: string) => {
    for (const word of text.match(/\n+|\S+ ?/g) ?? []) {
      if (word.startsWith("\n")) {
        process.stdout.write(word)
        column = 0
        continue
      }
      if (column > 0 && column + word.trimEnd().length > width) {
        process.stdout.write("\n")
        column = 0
      }
      process.stdout.write(column === 0 ? indent + word : word)
      indent = " ".repeat(9)
      column = (column === 0 ? indent.length : column) + word.length
    }
  }
}

const say = (...lines: ReadonlyArray<string>) => Console.log(lines.join("\n"))
const strong = (text: string) => styleText("bold", text)
const faint = (text: string) => styleText("dim", text)
const ms = (duration: Duration.Duration) => `${Math.round(Duration.toMillis(duration))} ms`
const times = (count: number) => (count === 1 ? "once" : `${count} times`)
const timeOf = (time: string | null) => time ?? faint("none")
const quoted = (text: string) =>
  text.length <= 60 ? `“${text}”` : `“${text.slice(0, 24)} … ${text.slice(-32)}”`

NodeRuntime.runMain(Effect.scoped(program))
