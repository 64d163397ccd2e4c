// A complete store of stops with Drizzle on PostgreSQL: what reads and then writes does so in one
// transaction, and no other of the same chat comes between.
import { createHash } from "node:crypto"
import { and, asc, eq, gt, inArray, isNotNull, isNull, lt, lte, notExists, sql } from "drizzle-orm"
import type { NodePgDatabase } from "drizzle-orm/node-postgres"
import { boolean, index, pgTable, serial, text, timestamp } from "drizzle-orm/pg-core"
import { defineStore, type StopStore, type StoredTarget } from "effect-cancellation-promise"

const time = () => timestamp({ withTimezone: true, precision: 3 })
const stopColumns = {
  companyId: text().notNull(),
  userId: text().notNull(),
  chatId: text().notNull(),
  userAbortedAt: time(),
  reason: text(),
  requestedBy: text(),
  note: text()
}

// Keys are hashes: five ids of 255 characters are too long for an index.
export const runs = pgTable(
  "stop_runs",
  {
    ...stopColumns,
    sequence: serial().notNull(),
    key: text().primaryKey(),
    messageKey: text().notNull(),
    messageId: text().notNull(),
    runId: text().notNull(),
    startedAt: time().notNull(),
    current: boolean().notNull(),
    owner: text(),
    observedAt: time(),
    endedAt: time(),
    outcome: text()
  },
  (table) => [
    index("stop_runs_message").on(table.messageKey),
    index("stop_runs_chat").on(table.chatId),
    index("stop_runs_running").on(table.owner).where(isNull(table.outcome))
  ]
)
export const waitingStops = pgTable("stop_waiting", {
  ...stopColumns,
  key: text().primaryKey(),
  userAbortedAt: time().notNull(),
  expiresAt: time().notNull()
})
export const leases = pgTable("stop_leases", {
  owner: text().primaryKey(),
  expiresAt: time().notNull()
})

type Ids = StoredTarget
type Lease = { readonly owner: string; readonly ttl: number }

const hash = (...ids: ReadonlyArray<string>) =>
  createHash("sha256").update(JSON.stringify(ids)).digest("base64url")
const chatKey = (at: Ids) => hash(at.companyId, at.userId, at.chatId)
const messageKey = (at: Ids & { messageId: string }) =>
  hash(at.companyId, at.userId, at.chatId, at.messageId)
const runKey = (at: Required<Ids>) =>
  hash(at.companyId, at.userId, at.chatId, at.messageId, at.runId)

export const drizzleStore = (db: NodePgDatabase, stopWaits = 30_000): StopStore => {
  type Tx = Parameters<Parameters<typeof db.transaction>[0]>[0]

  // All that writes runs of a chat takes its turn there; what writes runs of many chats waits for all.
  const inTurn = <A>(chats: ReadonlyArray<Ids> | "all", work: (tx: Tx, now: Date) => Promise<A>) =>
    db.transaction(async (tx) => {
      if (chats === "all") await tx.execute(sql`SELECT pg_advisory_xact_lock(7104, 0)`)
      else {
        await tx.execute(sql`SELECT pg_advisory_xact_lock_shared(7104, 0)`)
        await tx.execute(sql`SELECT pg_advisory_xact_lock(7105, key) FROM (SELECT DISTINCT
          hashtext(value) AS key FROM json_array_elements_text(${JSON.stringify(chats.map(chatKey))})
          ORDER BY key) AS chats`)
      }
      return work(tx, await clock(tx))
    })

  // The database's own clock, when the turn has come: not the transaction's, which stands still.
  const clock = async (tx: Pick<Tx, "execute">) => {
    const { rows } = await tx.execute<{ now: string }>(
      sql`SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::text AS now`
    )
    return new Date(Number(rows[0]?.now))
  }

  const byKey = (tx: Pick<Tx, "select">, keys: Array<string>) =>
    tx.select().from(runs).where(inArray(runs.key, keys)).orderBy(asc(runs.sequence))

  const renew = async (tx: Tx, { owner, ttl }: Lease, now: Date) => {
    const expiresAt = new Date(now.getTime() + ttl)
    await tx
      .insert(leases)
      .values({ owner, expiresAt })
      .onConflictDoUpdate({ target: leases.owner, set: { expiresAt } })
  }

  /** Takes the stops that wait for a run, whichever way they were aimed; the first one counts. */
  const takeStop = async (tx: Tx, run: Required<Ids>, now: Date) => {
    const keys = [runKey(run), messageKey(run), chatKey(run)]
    const taken = await tx.delete(waitingStops).where(inArray(waitingStops.key, keys)).returning()
    const [first] = taken
      .filter(({ expiresAt }) => expiresAt > now)
      .toSorted((one, other) => one.userAbortedAt.getTime() - other.userAbortedAt.getTime())
    if (first === undefined) return {}
    const { note, reason, requestedBy, userAbortedAt } = first
    return { note, reason, requestedBy, userAbortedAt }
  }

  const inPlace = (
    table: typeof runs | typeof waitingStops,
    at: { companyId: string; userId?: string; chatId?: string }
  ) =>
    and(
      eq(table.companyId, at.companyId),
      at.userId === undefined ? undefined : eq(table.userId, at.userId),
      at.chatId === undefined ? undefined : eq(table.chatId, at.chatId)
    )

  return defineStore({
    findStops: async (asked) => ({
      rows: await byKey(db, asked.map(runKey)),
      now: await clock(db)
    }),

    startRuns: (asked, lease) =>
      inTurn(asked, async (tx, now) => {
        if (lease !== undefined) await renew(tx, lease, now)
        const keys = asked.map(runKey)
        const known = new Set((await byKey(tx, keys)).map(({ key }) => key))
        if (lease !== undefined) {
          const mine = and(inArray(runs.key, keys), isNull(runs.outcome))
          await tx.update(runs).set({ owner: lease.owner }).where(mine)
        }
        for (const run of asked) {
          const key = runKey(run)
          if (known.has(key)) continue
          known.add(key)
          const before = and(eq(runs.messageKey, messageKey(run)), runs.current)
          await tx.update(runs).set({ current: false }).where(before)
          const stop = await takeStop(tx, run, now)
          const owner = lease?.owner ?? null
          const place = { ...run, key, messageKey: messageKey(run) }
          await tx.insert(runs).values({ ...place, ...stop, owner, startedAt: now, current: true })
        }
        return byKey(tx, keys)
      }),

    advanceRuns: (changes) =>
      inTurn(
        changes.map(({ run }) => run),
        async (tx, now) => {
          for (const { run, to } of changes) {
            const open = and(eq(runs.key, runKey(run)), isNull(runs.outcome))
            if (to === "observed" || to === "stopped" || to === "abandoned") {
              const unseen = and(open, isNotNull(runs.userAbortedAt), isNull(runs.observedAt))
              await tx.update(runs).set({ observedAt: now }).where(unseen)
            }
            if (to !== "observed")
              await tx.update(runs).set({ outcome: to, endedAt: now }).where(open)
          }
          return byKey(
            tx,
            changes.map(({ run }) => runKey(run))
          )
        }
      ),

    requestStop: (target, intent) =>
      inTurn([target], async (tx, now) => {
        const { messageId, runId } = target
        const key =
          messageId === undefined
            ? chatKey(target)
            : runId === undefined
              ? messageKey({ ...target, messageId })
              : runKey({ ...target, messageId, runId })
        const isRun = runId !== undefined
        const isMessage = messageId === undefined ? inPlace(runs, target) : eq(runs.messageKey, key)
        const where = isRun ? eq(runs.key, key) : and(isMessage, runs.current)
        let found = await tx.select().from(runs).where(where).orderBy(asc(runs.sequence))
        if (messageId === undefined) {
          const running = found.filter(({ outcome }) => outcome === null)
          const since = now.getTime() - stopWaits
          const ended = found.filter(({ endedAt }) => endedAt !== null && endedAt.getTime() > since)
          found = running.length > 0 ? running : ended.slice(-1)
        }
        if (found.length > 0) {
          const keys = found.map((row) => row.key)
          const open = and(runs.current, isNull(runs.outcome), isNull(runs.userAbortedAt))
          const stop = { ...intent, userAbortedAt: now }
          await tx
            .update(runs)
            .set(stop)
            .where(and(inArray(runs.key, keys), open))
          return byKey(tx, keys)
        }
        const { chatId, companyId, userId } = target
        const expiresAt = new Date(now.getTime() + stopWaits)
        const stop = { ...intent, key, companyId, userId, chatId, userAbortedAt: now, expiresAt }
        const mine = eq(waitingStops.key, key)
        await tx.delete(waitingStops).where(and(mine, lte(waitingStops.expiresAt, now)))
        await tx.insert(waitingStops).values(stop).onConflictDoNothing()
        const [pending = stop] = await tx.select().from(waitingStops).where(mine)
        return { pending, expiresAt: pending.expiresAt }
      }),

    findRuns: (query) => {
      const place =
        query.messages === undefined
          ? and(
              inPlace(runs, query),
              query.messageId === undefined ? undefined : eq(runs.messageId, query.messageId)
            )
          : inArray(runs.messageKey, query.messages.map(messageKey))
      const where = and(place, query.runningOnly ? isNull(runs.outcome) : undefined)
      return db.select().from(runs).where(where).orderBy(asc(runs.sequence))
    },

    renewLease: (lease) => inTurn([], (tx, now) => renew(tx, lease, now)),

    sweepLost: () =>
      inTurn("all", async (tx, now) => {
        const alive = and(eq(leases.owner, runs.owner), gt(leases.expiresAt, now))
        const lease = tx.select({ owner: leases.owner }).from(leases).where(alive)
        const orphan = and(isNull(runs.outcome), isNotNull(runs.owner), notExists(lease))
        const lost = { outcome: "lost", endedAt: now }
        const swept = await tx.update(runs).set(lost).where(orphan).returning()
        await tx.delete(leases).where(lt(leases.expiresAt, now))
        await tx.delete(waitingStops).where(lt(waitingStops.expiresAt, now))
        return swept
      }),

    forget: (query) =>
      inTurn("all", async (tx) => {
        const gone =
          query.endedBefore === undefined
            ? inPlace(runs, query)
            : lt(runs.endedAt, query.endedBefore)
        if (query.endedBefore === undefined) {
          await tx.delete(waitingStops).where(inPlace(waitingStops, query))
        }
        return (await tx.delete(runs).where(gone)).rowCount ?? 0
      })
  })
}
