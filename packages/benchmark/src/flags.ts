/**
 * What the library is compared with on PostgreSQL: a flag for each run, in a table with nothing
 * else, and what interrupts the run when it is set.
 */
import { PgClient, PgConnection } from "@effect/sql-pg"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import type { MessageRef } from "effect-cancellation"
import type { SqlClient } from "effect/sql"
import { forkAll, workOf } from "./agents.ts"
import { watchByHand } from "./handWritten.ts"

/** The channel that changes of flags are announced on; the payload is the flag's id. */
export const channel = "flags"

/** A pool of connections, with the driver's defaults. */
export const clientOn = (url: string) =>
  Effect.map(
    Layer.build(PgClient.layer({ url: Redacted.make(url) })),
    Context.get(PgClient.PgClient)
  )

/** Makes the table. */
export const makeFlags = Effect.fnUntraced(function* (url: string) {
  const sql = yield* clientOn(url)
  yield* sql`CREATE TABLE flags
    (id text PRIMARY KEY, chat_id text NOT NULL, user_aborted_at timestamptz)`
  yield* sql`CREATE INDEX flags_by_chat ON flags (chat_id)`
}, Effect.scoped)

/** Adds flags that are not set, through a connection of its own. */
export const addFlags = Effect.fnUntraced(function* (url: string, refs: ReadonlyArray<MessageRef>) {
  yield* insertFlags(yield* clientOn(url), refs)
}, Effect.scoped)

/** Adds flags that are not set, all in one statement. */
export const insertFlags = (sql: SqlClient.SqlClient, refs: ReadonlyArray<MessageRef>) => {
  const rows = JSON.stringify(refs.map(({ chatId, messageId }) => [messageId, chatId]))
  return sql`INSERT INTO flags (id, chat_id)
    SELECT value ->> 0, value ->> 1 FROM jsonb_array_elements(CAST(${rows} AS jsonb))`
}

/** Whether a flag is set. */
export const isFlagSet = (sql: SqlClient.SqlClient, { messageId }: MessageRef) =>
  Effect.map(
    sql<{ readonly stopped: boolean }>`
      SELECT user_aborted_at IS NOT NULL AS stopped FROM flags WHERE id = ${messageId}`,
    ([row]) => row?.stopped === true
  )

/** Hears of changes through the bare driver. */
export const listen = Effect.fnUntraced(function* (url: string) {
  const connection = yield* PgConnection.make({ url: Redacted.make(url) })
  return yield* connection.listen(channel)
})

/**
 * The floor: flags for these runs, bare fibers, and one listener that interrupts the one it hears of.
 * It asks nothing, so that anybody who may send a notification can stop anything, and what it does not
 * hear is lost.
 */
export const startListened = Effect.fnUntraced(function* (
  url: string,
  refs: ReadonlyArray<MessageRef>,
  onInterrupt: (ref: MessageRef) => void = () => {}
) {
  yield* addFlags(url, refs)
  const heard = yield* listen(url)
  const agents: ReadonlyArray<Fiber.Fiber<void>> = yield* forkAll(
    refs.map((ref) => workOf(ref, onInterrupt))
  )
  const byId = new Map<string, Fiber.Fiber<void> | undefined>(
    refs.map(({ messageId }, index) => [messageId, agents[index]])
  )
  yield* Queue.take(heard).pipe(
    Effect.map(({ payload }) => byId.get(payload)?.interruptUnsafe()),
    Effect.forever,
    Effect.forkScoped
  )
  return agents
})

/**
 * By hand: flags for these runs, and a poller for each that asks every 2 seconds. They begin spread
 * over an interval, as runs do that begin when they like; answers when all have asked once.
 */
export const startPolled = Effect.fnUntraced(function* (
  url: string,
  refs: ReadonlyArray<MessageRef>,
  options: {
    readonly onInterrupt?: (ref: MessageRef) => void
    readonly onLook?: () => void
  } = {}
) {
  const { onInterrupt = () => {}, onLook = () => {} } = options
  yield* addFlags(url, refs)
  const sql = yield* clientOn(url)
  const allAsked = yield* Latch.make(false)
  const asked = new Set<number>()
  const agents = yield* forkAll(
    refs.map((ref, index) =>
      watchByHand({
        isStopped: Effect.tap(isFlagSet(sql, ref), () =>
          Effect.sync(() => {
            onLook()
            if (asked.add(index).size === refs.length) allAsked.openUnsafe()
          })
        ),
        pollInterval: "2 seconds",
        pollTimeout: "5 seconds"
      }).pipe(
        Effect.delay((index / refs.length) * 2000),
        Effect.flatMap((run) => run.runWithCancellation(workOf(ref, onInterrupt))),
        Effect.scoped
      )
    )
  )
  yield* allAsked.await
  return agents
})
