/** A flag, from the person who presses Stop to the work that ends. */
import { assert, describe, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import {
  CancellationWatcher,
  type CancellationWatcherOptions,
  MessageRepo,
  MessageStore,
  StopTarget
} from "effect-cancellation"
import { decodeStop } from "../src/internal/stopNotification.ts"
import * as PgStopSignal from "../src/PgStopSignal.ts"
import {
  byUser,
  databases,
  insert,
  makeTable,
  refOf,
  runOf,
  setFlag,
  type Shape,
  shapeOf,
  storeOf
} from "./flag.fixture.ts"
import { until } from "./support/until.ts"

/** A process of its own, on the table. */
const openRepo = (shape: Shape, signal?: Layer.Layer<never, never, PgClient.PgClient>) =>
  Effect.map(
    Layer.build(
      Layer.fresh(
        MessageRepo.layer().pipe(
          Layer.provide(storeOf(shape)),
          Layer.provide(signal ?? Layer.empty)
        )
      )
    ),
    Context.get(MessageRepo)
  )

/** Work that only a stop ends, and its watcher. */
const begin = Effect.fnUntraced(function* (
  repo: MessageRepo["Service"],
  options: CancellationWatcherOptions
) {
  const watcher = Context.get(
    yield* Layer.build(Layer.fresh(CancellationWatcher.layer(options))).pipe(
      Effect.provideService(MessageRepo, repo)
    ),
    CancellationWatcher
  )
  const fiber = yield* Effect.never.pipe(
    watcher.runWithCancellation({ cancelResult: "stopped" }),
    Effect.forkChild({ startImmediately: true })
  )
  assert.isFalse(yield* watcher.check)
  // So that the first look, which finds stops too, is over.
  yield* Effect.sleep("50 millis")
  return { watcher, fiber }
})

for (const name of ["PostgreSQL", "SQLite"] as const) {
  layer(databases[name], { excludeTestServices: true })(`Watching a flag on ${name}`, (it) => {
    it.effect("a stop asked of the repo interrupts the work at once", () =>
      Effect.gen(function* () {
        const shape = shapeOf(name, { table: "by repo" })
        yield* makeTable(shape)
        yield* insert(shape, refOf("1"))
        yield* insert(shape, refOf("2"))
        const repo = yield* openRepo(shape)
        const meant = yield* begin(repo, { ref: refOf("1"), pollInterval: "1 hour" })
        const other = yield* begin(repo, { ref: refOf("2"), pollInterval: "1 hour" })
        yield* repo.requestStop(refOf("1"))
        assert.strictEqual(yield* Fiber.join(meant.fiber), "stopped")
        assert.strictEqual((yield* meant.watcher.cancellation).detectedBy, "hint")
        assert.isFalse(yield* other.watcher.check)
      }).pipe(Effect.scoped)
    )

    it.effect("a plain UPDATE of the application interrupts the work at the next tick", () =>
      Effect.gen(function* () {
        const shape = shapeOf(name, { table: "by update" })
        yield* makeTable(shape)
        yield* insert(shape, refOf("1"))
        const repo = yield* openRepo(shape)
        const { fiber, watcher } = yield* begin(repo, {
          ref: refOf("1"),
          pollInterval: "50 millis"
        })
        yield* setFlag(shape, refOf("1"), shape.sample)
        assert.strictEqual(yield* Fiber.join(fiber), "stopped")
        const event = yield* watcher.cancellation
        assert.deepStrictEqual([event.detectedBy, event.request.reason], ["poll", "user"])
      }).pipe(Effect.scoped)
    )

    it.effect("a message that is complete is not stopped by that", () =>
      Effect.gen(function* () {
        const shape = shapeOf(name, { table: "complete" })
        yield* makeTable(shape)
        yield* insert(shape, refOf("1"), { completedAt: shape.sample })
        const { watcher } = yield* begin(yield* openRepo(shape), { ref: refOf("1") })
        assert.isFalse(yield* watcher.check)
      }).pipe(Effect.scoped)
    )
  })
}

layer(databases.PostgreSQL, { excludeTestServices: true })("NOTIFY of a flag", (it) => {
  const heard = Effect.gen(function* () {
    const client = yield* PgClient.PgClient
    const seen: Array<string> = []
    const queue = yield* client.listen(PgStopSignal.defaultChannel)
    yield* Effect.forkScoped(
      Effect.forever(Effect.map(Queue.take(queue), ({ payload }) => seen.push(payload)))
    )
    // What is heard in between is heard before the next of these.
    const settle = Effect.gen(function* () {
      const mark = `mark ${Math.random()}`
      yield* until(
        Effect.andThen(
          client.notify(PgStopSignal.defaultChannel, mark),
          Effect.sync(() => seen.includes(mark))
        ),
        (is) => is
      )
      return seen.splice(0).filter((payload) => !payload.startsWith("mark"))
    })
    return { settle }
  })

  describe("is sent", () => {
    it.effect("with the stop, once, by requestStop alone, and only if it is kept", () =>
      Effect.gen(function* () {
        const client = yield* PgClient.PgClient
        const shape = shapeOf("PostgreSQL", { table: "told" })
        yield* makeTable(shape)
        const refs = ["1", "2", "3"].map((id) => refOf(id, { companyId: "acme", userId: "ada" }))
        for (const ref of refs) yield* insert(shape, ref)
        const { settle } = yield* heard
        assert.deepStrictEqual(yield* settle, [])
        yield* Effect.gen(function* () {
          const store = yield* MessageStore
          assert.isTrue(store.supports.hints)
          const [first, second, third] = refs
          if (first === undefined || second === undefined || third === undefined) return
          const stop = store.requestStop(StopTarget.cases.Message.make({ ref: first }), byUser)
          yield* stop
          yield* stop
          assert.deepStrictEqual(
            (yield* settle).map((payload) => decodeStop(payload)),
            [decodeStop(JSON.stringify(["acme", "ada", "chat", "1", "1"]))]
          )
          yield* setFlag(shape, second, "now()")
          yield* store.stopRequests([runOf(second)])
          yield* Effect.ignore(
            client.withTransaction(
              Effect.andThen(
                store.requestStop(StopTarget.cases.Message.make({ ref: third }), byUser),
                Effect.fail("undone")
              )
            )
          )
          assert.deepStrictEqual(yield* settle, [])
        }).pipe(Effect.provide(storeOf(shape)))
      }).pipe(Effect.scoped)
    )

    it.effect("for each message of a chat", () =>
      Effect.gen(function* () {
        const shape = shapeOf("PostgreSQL", { table: "told chat" })
        yield* makeTable(shape)
        for (const id of ["1", "2", "x".repeat(255)]) yield* insert(shape, refOf(id))
        yield* insert(shape, refOf("4"), { completedAt: shape.sample })
        const client = yield* PgClient.PgClient
        yield* client.unsafe(`INSERT INTO "told chat" (company_id, user_id, chat_id, message_id)
          VALUES ('default', 'default', 'chat', repeat('y', 2000))`)
        const { settle } = yield* heard
        yield* MessageStore.use((store) =>
          store.requestStop(StopTarget.cases.Chat.make({ chatId: refOf("1").chatId }), byUser)
        ).pipe(Effect.provide(storeOf(shape)))
        assert.deepStrictEqual(
          (yield* settle)
            .map((payload) => String(JSON.parse(payload)[3]))
            .toSorted((one, other) => one.localeCompare(other)),
          ["1", "2", "x".repeat(255)]
        )
      }).pipe(Effect.scoped)
    )

    it.effect("to no channel if none is wanted", () =>
      Effect.gen(function* () {
        const shape = shapeOf("PostgreSQL", { table: "untold" })
        yield* makeTable(shape)
        yield* insert(shape, refOf("1"))
        const { settle } = yield* heard
        yield* MessageStore.use((store) =>
          Effect.andThen(
            store.requestStop(StopTarget.cases.Message.make({ ref: refOf("1") }), byUser),
            Effect.sync(() => assert.isFalse(store.supports.hints))
          )
        ).pipe(Effect.provide(storeOf(shape, false)))
        assert.deepStrictEqual(yield* settle, [])
      }).pipe(Effect.scoped)
    )
  })

  it.effect("a stop asked of another process interrupts the work by a hint", () =>
    Effect.gen(function* () {
      const shape = shapeOf("PostgreSQL", { table: "elsewhere" })
      yield* makeTable(shape)
      yield* insert(shape, refOf("1"))
      const here = yield* openRepo(shape, PgStopSignal.layer())
      const elsewhere = yield* openRepo(shape)
      const { fiber, watcher } = yield* begin(here, { ref: refOf("1"), pollInterval: "1 hour" })
      yield* elsewhere.requestStop(refOf("1"))
      assert.strictEqual(yield* Fiber.join(fiber), "stopped")
      assert.strictEqual((yield* watcher.cancellation).detectedBy, "hint")
    }).pipe(Effect.scoped)
  )
})
