// A server that ends well at a SIGTERM: first it is not ready any more, then answers may finish, then
// what is left is stopped, and the process ends by itself.
import { createServer, type ServerResponse } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { createStops, memory } from "effect-cancellation-promise"

const { DRAIN_TIMEOUT = "20000", PORT = "8080" } = process.env

// In memory for trying it: several pods need a store that they share.
const stops = createStops({ store: memory() })
let isReady = true

const server = createServer(({ url = "/" }, response) => {
  if (url === "/ready") response.writeHead(isReady ? 200 : 503).end()
  // A page that has left, or an agent that failed: either way nobody waits for more.
  else answer(url.slice(1), response).catch(() => response.destroy())
})

const answer = async (chatId: string, response: ServerResponse): Promise<void> => {
  const run = await stops.watch({ chatId })
  // Sent, or left by its reader.
  response.once("close", () => void run.close())
  const last = await run.run((signal) => agent(signal, response), {
    whenStopped: ({ reason }) => `stopped: ${reason}`
  })
  response.end(`${last}\n`)
}

// In the place of an agent: it counts until it is stopped.
const agent = async (signal: AbortSignal, response: ServerResponse): Promise<never> => {
  for (let n = 1; ; n++) {
    response.write(`${n}\n`)
    await sleep(100, undefined, { signal })
  }
}

const shutDown = async (): Promise<void> => {
  isReady = false
  await stops.drain({ timeout: Number(DRAIN_TIMEOUT) })
  server.close()
}

process.once("SIGTERM", () => void shutDown())

server.listen(Number(PORT), () => process.stdout.write(`${JSON.stringify(server.address())}\n`))
