// Whether there is a Redis for the streams that a reload goes on with.
import { randomUUID } from "node:crypto"
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

/** The same Redis for a user who may write nothing, as at a replica; the user goes with the test. */
export const readOnlyRedis = async () => {
  const admin = createClient({ url })
  admin.on("error", () => {})
  await admin.connect()
  const [user, password] = [`reader-${randomUUID()}`, randomUUID()]
  await admin.sendCommand([
    "ACL",
    "SETUSER",
    user,
    "on",
    `>${password}`,
    "~*",
    "&*",
    "+@all",
    "-@write"
  ])
  const own = new URL(url)
  own.username = user
  own.password = password
  return {
    url: own.href,
    [Symbol.asyncDispose]: async () => {
      await admin.sendCommand(["ACL", "DELUSER", user])
      await admin.close()
    }
  }
}
