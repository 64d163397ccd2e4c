// Whether there is a Redis for the streams that a reload goes on with.
import { createClient } from "@redis/client"

const url = process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379"

/** With `REQUIRE_REDIS=1` a Redis that is away fails the tests instead of skipping them. */
export const redisAnswers = async (): Promise<boolean> => {
  const client = createClient({ url, socket: { reconnectStrategy: false } })
  client.on("error", () => {})
  try {
    await client.connect()
    await client.close()
    return true
  } catch (error) {
    if (process.env["REQUIRE_REDIS"] === "1") throw error
    return false
  }
}
