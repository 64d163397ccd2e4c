// Stop in Hono: `app.fetch` is what Bun, Deno and Workers serve, and `serve` of @hono/node-server.
import { Hono } from "hono"
import { stops } from "./app.ts"

export const app = new Hono()

app.all("/api/chats/*", ({ req }) => stops.handler(req.raw))
