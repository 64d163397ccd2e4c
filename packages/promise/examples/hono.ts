// Stop in Hono. `app.fetch` is what Node (serve of @hono/node-server), Bun and Deno serve.
import { setTimeout as sleep } from "node:timers/promises"
import { createStops, memory } from "effect-cancellation-promise"
import { type Context, Hono } from "hono"
import { getCookie } from "hono/cookie"
import { HTTPException } from "hono/http-exception"
import { streamText } from "hono/streaming"

export const stops = createStops({ store: memory() })
export const app = new Hono()

app.post("/chats/:chatId/messages", (c) =>
  stops.respond(chatOf(c), (run) =>
    streamText(
      c,
      async (body) => {
        for await (const word of run.stream(agent)) await body.write(word)
      },
      // A page that has left is no error.
      async (error, body) => {
        if (!body.aborted) process.stderr.write(`${error.stack}\n`)
      }
    )
  )
)

app.post("/chats/:chatId/stop", async (c) => c.json(await stops.stop(chatOf(c))))
app.get("/chats/:chatId/stop", async (c) => c.json(await stops.receipts(chatOf(c))))

// The user comes from the session, never from the path: nobody can name the chat of somebody else.
const chatOf = (c: Context<object, "/chats/:chatId/*">) => ({
  chatId: c.req.param("chatId"),
  userId: userOf(getCookie(c, "session"))
})

const sessions = new Map([
  ["ada-1815", "ada"],
  ["bob-1845", "bob"]
])

const userOf = (session = ""): string => {
  const userId = sessions.get(session)
  if (userId === undefined) throw new HTTPException(401)
  return userId
}

// In the place of an agent: it counts until somebody stops it.
async function* agent(signal: AbortSignal) {
  for (let n = 1; ; n++) {
    yield `${n} `
    await sleep(100, undefined, { signal })
  }
}
