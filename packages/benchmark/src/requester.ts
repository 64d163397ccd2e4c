/**
 * The process that takes stops: another one than the agents', as a web server is.
 */
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import { ChatId, MessageRef, MessageRepo, StopTarget } from "effect-cancellation"
import { now, repoOn } from "./agents.ts"
import { channel } from "./flags.ts"
import { startKept } from "./kept.ts"

/** Things to do, each at its moment. */
export interface Order {
  readonly requests: ReadonlyArray<Request>
  /** Of requests that are due, how many are under way at a time. */
  readonly concurrency: number
}

export interface Request {
  /** A stop of a message or of a chat; or a flag, or all flags of a chat, set with the bare driver. */
  readonly kind: "message" | "chat" | "flag" | "flag at once" | "flags of a chat"
  readonly chatId: string
  /** Of the message, or of the flag. */
  readonly id: string
  /** Milliseconds after the order has arrived. */
  readonly after: number
}

/** When each request of an order began and when it was answered, in the order's order. */
export interface Answer {
  readonly began: ReadonlyArray<number>
  readonly ended: ReadonlyArray<number>
}

const carryOut = Effect.fnUntraced(function* ({ chatId, id, kind }: Request) {
  const repo = yield* MessageRepo
  const sql = yield* PgClient.PgClient
  switch (kind) {
    case "message":
      return yield* repo.requestStop(MessageRef.of({ chatId, messageId: id }))
    case "chat":
      return yield* repo.requestStop(StopTarget.cases.Chat.make({ chatId: ChatId.make(chatId) }))
    case "flag":
      // As one would write it: the notification is sent if, and only if, the change is committed.
      return yield* sql.withTransaction(
        Effect.andThen(
          sql`UPDATE flags SET user_aborted_at = now() WHERE id = ${id}`,
          sql`SELECT pg_notify(${channel}, ${id})`
        )
      )
    case "flag at once":
      // The least that a push through PostgreSQL has to pay.
      return yield* sql`WITH stopped AS (
          UPDATE flags SET user_aborted_at = now() WHERE id = ${id} RETURNING id
        ) SELECT pg_notify(${channel}, id) FROM stopped`
    case "flags of a chat":
      return yield* sql`WITH stopped AS (
          UPDATE flags SET user_aborted_at = now() WHERE chat_id = ${chatId} RETURNING id
        ) SELECT pg_notify(${channel}, id) FROM stopped`
  }
})

const serve = Effect.gen(function* () {
  const orders = yield* Queue.unbounded<Order>()
  process.on("message", (order: Order) => Queue.offerUnsafe(orders, order))
  process.send?.({ ready: true })
  while (true) {
    const { concurrency, requests } = yield* Queue.take(orders)
    const arrived = now()
    const began = Array.from(requests, () => Number.NaN)
    const ended = Array.from(requests, () => Number.NaN)
    yield* Effect.forEach(
      requests,
      (request, index) =>
        Effect.sleep(Math.max(0, arrived + request.after - now())).pipe(
          Effect.andThen(Effect.sync(() => (began[index] = now()))),
          Effect.andThen(carryOut(request)),
          Effect.andThen(Effect.sync(() => (ended[index] = now())))
        ),
      { concurrency, discard: true }
    )
    process.send?.({ began, ended } satisfies Answer)
  }
})

/** Starts it; answers how to give it an order, which is over when all of it has been answered. */
export const startRequester = Effect.fnUntraced(function* (url: string) {
  const answers = yield* Queue.unbounded<Answer>()
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      // Everybody on the machine can read the arguments, and the URL may hold a password.
      startKept(import.meta.filename, [], { env: { ...process.env, DATABASE_URL: url } })
    ),
    (one) => Effect.sync(() => one.kill("SIGKILL"))
  )
  child.on("message", (answer: Answer) => Queue.offerUnsafe(answers, answer))
  yield* Queue.take(answers)
  return (requests: ReadonlyArray<Request>, concurrency = requests.length) =>
    Effect.andThen(
      Effect.sync(() => child.send({ requests, concurrency } satisfies Order)),
      Queue.take(answers)
    )
})

/** Stops a message, or sets its flag. */
export const stopOf = (
  { chatId, messageId }: MessageRef,
  after = 0,
  kind: Request["kind"] = "message"
): Request => ({ kind, chatId, id: messageId, after })

/** Stops these messages chat by chat, or sets their flags so: all of a chat with one request. */
export const stopsByChat = (
  refs: ReadonlyArray<MessageRef>,
  kind: Request["kind"] = "chat"
): ReadonlyArray<Request> =>
  [...new Set(refs.map(({ chatId }) => chatId))].map((chatId) => ({
    kind,
    chatId,
    id: "",
    after: 0
  }))

const url = process.env["DATABASE_URL"]
if (process.argv[1] === import.meta.filename && url !== undefined) {
  await serve.pipe(
    // It runs no agents, and need not hear of stops.
    Effect.provide(repoOn(url, { listen: false, maxConnections: 10 })),
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    Effect.runPromise
  )
}
