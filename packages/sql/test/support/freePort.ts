import { createServer } from "node:net"
import * as Effect from "effect/Effect"

/**
 * A port of 127.0.0.1 for a server that goes away and comes back. Below those that the operating
 * system gives to outgoing connections: one of them could take the port meanwhile, and a client
 * that tries to reconnect could even reach itself.
 */
export const freePort: Effect.Effect<number> = Effect.callback<number, Error>((resume) => {
  const port = 10_000 + Math.floor(Math.random() * 20_000)
  const server = createServer()
  server.once("error", (error) => resume(Effect.fail(error)))
  server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
}).pipe(Effect.retry({ times: 100 }), Effect.orDie)
