// The page's requests, without a page.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { MessageView } from "../src/ChatView.ts"
import { until } from "./DemoProcess.ts"

const decodeChat = Schema.decodeUnknownEffect(
  Schema.Struct({ messages: Schema.Array(MessageView) })
)

interface Receipt {
  readonly phase: string
  readonly requested?: { readonly reason: string; readonly by?: string }
}

export const request = (
  url: string,
  options: { readonly method?: string; readonly body?: string; readonly headers?: object } = {}
) =>
  Effect.promise(async () => {
    const response = await fetch(url, {
      ...options,
      headers: { "content-type": "application/json", ...options.headers }
    })
    return {
      status: response.status,
      type: response.headers.get("content-type"),
      text: await response.text()
    }
  })

/** A chat as one of the two people has it. */
export const chatOf = (
  server: { readonly url: string },
  chatId: string,
  person: "ada" | "bob" = "ada"
) => {
  const at = `${server.url}/api/chats/${chatId}`
  const cookie = `theme=dark; demo-user=${person}`
  const post = (path: string, body: object) =>
    request(`${at}${path}`, { method: "POST", body: JSON.stringify(body), headers: { cookie } })
  const read = Effect.flatMap(request(at), ({ status, text }) =>
    status === 200
      ? Effect.map(decodeChat(JSON.parse(text)), ({ messages }) => messages)
      : Effect.succeed([])
  )
  const answer = (messageId: string) =>
    Effect.map(read, (messages) => messages.find((message) => message.messageId === messageId))
  return {
    post,
    read,
    answer,
    ask: (messageId: string, text = "Hello") =>
      post("/messages", { questionId: `${messageId}-q`, messageId, runId: `${messageId}-1`, text }),
    stop: (messageId: string, runId = `${messageId}-1`) =>
      post(`/messages/${messageId}/stop`, { runId }),
    regenerate: (messageId: string, runId: string) =>
      post(`/messages/${messageId}/regenerate`, { runId }),
    /** How far the stop of an answer has come, as the Stop API says it. */
    receipt: (messageId: string) =>
      Effect.map(
        request(`${at}/messages/${messageId}/stop`, { headers: { cookie } }),
        ({ text }): Receipt => JSON.parse(text)
      ),
    /** Waits until the answer is in this state. */
    untilState: (messageId: string, state: MessageView["state"]) =>
      until(answer(messageId), (message) => message?.state === state),
    /** Waits until the answer shows so many tools. */
    untilTools: (messageId: string, count: number) =>
      until(answer(messageId), (message) => (message?.tools.length ?? 0) >= count),
    /** Waits until the answer has some text. */
    untilText: (messageId: string, length = 10) =>
      until(answer(messageId), (message) => (message?.text.length ?? 0) >= length)
  }
}

/** A page that looks on; what it was told so far can be read at any time, also after a cut. */
export const openPage = Effect.fnUntraced(function* (
  url: string,
  chatId: string,
  person: "ada" | "bob" = "ada"
) {
  const { signal } = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort())
  )
  const events = yield* Effect.promise(() =>
    fetch(`${url}/api/chats/${chatId}/events`, {
      signal,
      headers: { cookie: `demo-user=${person}` }
    })
  )
  let told = ""
  const listen = async () => {
    const decoder = new TextDecoder()
    for await (const bytes of events.body ?? []) told += decoder.decode(bytes, { stream: true })
  }
  listen().catch((error: unknown) => (told += `\n${String(error)}`))
  return () => told
})
