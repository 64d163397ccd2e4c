import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import {
  CancellationWatcher,
  MessageRepo,
  MessageStore,
  type MessageRepoOptions,
  type Run,
  RunQuery,
  StopSignal
} from "effect-cancellation"
import * as TcpProxy from "../../sql/test/support/TcpProxy.ts"
import { sockets } from "../../sql/test/support/signals.ts"
import { until } from "../../sql/test/support/until.ts"
import type { HttpMessageStoreOptions } from "../src/HttpMessageStore.ts"
import { agentLayer, runIn, startServer } from "./support/agentFixture.ts"

/** A process that runs agents, and asks the server for everything. */
const agentProcess = Effect.fnUntraced(function* (
  url: string,
  options: Partial<HttpMessageStoreOptions> & { readonly repo?: MessageRepoOptions } = {}
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.build(
    Layer.fresh(MessageRepo.layer(options.repo)).pipe(Layer.provide(agentLayer(url, options)))
  ).pipe(Scope.provide(scope))
  const repo = Context.get(context, MessageRepo)
  return {
    close: Scope.close(scope, Exit.void),
    /** Writes a message until it is stopped. */
    write: Effect.fnUntraced(function* (run: Run, pollInterval: `${number} millis` | "1 hour") {
      const began = yield* Deferred.make<void>()
      const fiber = yield* Deferred.succeed(began, undefined).pipe(
        Effect.andThen(Effect.never),
        CancellationWatcher.runWithCancellation({ cancelResult: "stopped" as const }),
        Effect.provide(CancellationWatcher.layer({ ...run, pollInterval })),
        Effect.provideService(MessageRepo, repo),
        Effect.forkScoped
      )
      yield* Deferred.await(began)
      return fiber
    })
  }
})

/** The server's own repo: where people's stops come in. */
const serverRepo = (server: {
  readonly store: MessageStore["Service"]
  readonly signal: Context.Service.Shape<typeof StopSignal>
}) =>
  Effect.map(
    Layer.build(
      Layer.fresh(MessageRepo.layer()).pipe(
        Layer.provide([
          Layer.succeed(MessageStore, server.store),
          Layer.succeed(StopSignal, server.signal)
        ])
      )
    ),
    (context) => Context.get(context, MessageRepo)
  )

const recordOf = (store: MessageStore["Service"], run: Run) =>
  Effect.map(store.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] })), ([record]) => record)

describe("an agent over HTTP", () => {
  it.live("is stopped by a hint, long before its next poll, and says how it ended", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const repo = yield* serverRepo(server)
      const agent = yield* agentProcess(server.url)
      const [run, other] = [runIn("acme"), runIn("acme")]
      const stopped = yield* agent.write(run, "1 hour")
      const goesOn = yield* agent.write(other, "1 hour")
      yield* until(Effect.sync(server.requests), (all) => all.includes("GET /agent/hints"))
      yield* until(recordOf(server.store, other), (record) => record !== undefined)
      yield* repo.requestStop(run)
      assert.strictEqual(yield* Fiber.join(stopped), "stopped")
      const record = yield* until(
        recordOf(server.store, run),
        (record) => record?.outcome !== undefined
      )
      assert.strictEqual(record?.outcome, "stopped")
      assert.isDefined(record?.observedAt)
      assert.isUndefined(goesOn.pollUnsafe())
      yield* Fiber.interrupt(goesOn)
      assert.strictEqual((yield* recordOf(server.store, other))?.outcome, "interrupted")
    })
  )

  it.live("is stopped by polling when there are no hints", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      // No hint leaves the server.
      const repo = yield* serverRepo({ ...server, signal: yield* StopSignal })
      const agent = yield* agentProcess(server.url)
      const run = runIn("acme")
      const stopped = yield* agent.write(run, "50 millis")
      yield* until(recordOf(server.store, run), (record) => record !== undefined)
      yield* repo.requestStop(run)
      assert.strictEqual(yield* Fiber.join(stopped), "stopped")
    })
  )

  it.live("works on through an outage, and is stopped by what was asked meanwhile", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const repo = yield* serverRepo(server)
      const proxy = yield* TcpProxy.make(Redacted.make(server.url))
      const agent = yield* agentProcess(`http://127.0.0.1:${proxy.port}`)
      const run = runIn("acme")
      const stopped = yield* agent.write(run, "1 hour")
      yield* until(recordOf(server.store, run), (record) => record !== undefined)
      yield* until(Effect.sync(server.requests), (all) => all.includes("GET /agent/hints"))
      yield* proxy.cut
      yield* repo.requestStop(run)
      assert.isUndefined(stopped.pollUnsafe())
      yield* proxy.mend
      // Everything is looked at when hints come again.
      assert.strictEqual(yield* Fiber.join(stopped), "stopped")
      yield* until(recordOf(server.store, run), (record) => record?.outcome === "stopped")
    })
  )

  it.live("is not stopped by the stop of another company's run of the same name", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const repo = yield* serverRepo(server)
      const agent = yield* agentProcess(server.url)
      const [run, namesake] = [runIn("acme", "same"), runIn("other", "same")]
      yield* server.store.startRuns([namesake])
      const fiber = yield* agent.write(run, "20 millis")
      yield* until(recordOf(server.store, run), (record) => record !== undefined)
      yield* repo.requestStop(namesake)
      const looks = server.requests().length
      yield* until(Effect.sync(server.requests), (all) => all.length > looks + 5)
      assert.isUndefined(fiber.pollUnsafe())
    })
  )

  it.live("leaves nothing behind: no connection, no subscription, no socket", () =>
    Effect.gen(function* () {
      const before = sockets()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startServer()
          const repo = yield* serverRepo(server)
          const agent = yield* agentProcess(server.url)
          const runs = Array.from({ length: 50 }, () => runIn("acme"))
          const fibers = yield* Effect.forEach(runs, (run) => agent.write(run, "1 hour"))
          yield* until(recordOf(server.store, runs[49] ?? runIn("acme")), (record) => !!record)
          yield* until(Effect.sync(server.requests), (all) => all.includes("GET /agent/hints"))
          yield* Effect.forEach(runs, (run) => repo.requestStop(run), { discard: true })
          yield* Fiber.joinAll(fibers)
          // Starts and ends are gathered, so that there are fewer requests than runs.
          assert.isBelow(server.requests().length, 60)
          yield* agent.close
          yield* until(Effect.sync(server.hearing), (count) => count === 0)
        })
      )
      yield* until(Effect.sync(sockets), (count) => count <= before)
    })
  )
})
