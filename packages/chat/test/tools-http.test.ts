// A tool's HTTP calls end with the stop: the server sees the connection closed, and hears no more.
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Tool, Toolkit } from "effect/ai"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { CancellationWatcher, MessageRef } from "effect-cancellation"
import * as Chat from "./support/chat.ts"
import { stoppedCalls } from "./tools.fixture.ts"
import { type Exchange, makeServer } from "./tools-http.fixture.ts"

type Needs = HttpClient.HttpClient | CancellationWatcher

/** How a tool asks a server. */
interface Way {
  readonly client: Layer.Layer<HttpClient.HttpClient>
  readonly read: (url: string) => Stream.Stream<string, unknown, Needs>
}

const withClient = (client: Way["client"]): Way => ({
  client,
  read: (url) => HttpClient.get(url).pipe(HttpClientResponse.stream, Stream.decodeText())
})

const withPromise = (fetchIt: (url: string) => Effect.Effect<Response, unknown, Needs>): Way => ({
  client: FetchHttpClient.layer,
  read: (url) =>
    fetchIt(url).pipe(
      Effect.map(({ body }) =>
        body === null
          ? Stream.empty
          : Stream.fromReadableStream({ evaluate: () => body, onError: (error) => error })
      ),
      Stream.unwrap,
      Stream.decodeText()
    )
})

const ways: Record<string, Way> = {
  FetchHttpClient: withClient(FetchHttpClient.layer),
  "NodeHttpClient on node:http": withClient(NodeHttpClient.layerNodeHttp),
  "NodeHttpClient on undici": withClient(NodeHttpClient.layerUndici),
  "a promise that takes the run's abortSignal": withPromise((url) =>
    Effect.gen(function* () {
      const signal = yield* CancellationWatcher.abortSignal
      return yield* Effect.tryPromise(() => fetch(url, { signal }))
    })
  ),
  "a promise that takes the fiber's signal": withPromise((url) =>
    Effect.tryPromise((signal) => fetch(url, { signal }))
  )
}

// An agent's toolkit, whose only tool does this.
const Fetch = Tool.make("Fetch", {
  success: Schema.String,
  failure: Schema.String,
  failureMode: "return",
  dependencies: [CancellationWatcher]
})
const Tools = Toolkit.make(Fetch)
const toolkitOf = Effect.fnUntraced(function* (work: Effect.Effect<string, unknown, Needs>) {
  const client = yield* HttpClient.HttpClient
  const handled = work.pipe(
    Effect.mapError(String),
    Effect.provideService(HttpClient.HttpClient, client)
  )
  return yield* Effect.provide(Tools, Tools.toLayer({ Fetch: () => handled }))
})

for (const [name, { client, read }] of Object.entries(ways)) {
  const text = (url: string) => Stream.mkString(read(url))
  const env = Layer.mergeAll(Chat.layer, client)

  describe(`a tool that asks through ${name}`, () => {
    it.effect("a stop before the answer closes this connection, and no other", () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* makeServer
        const beside = yield* Effect.forkChild(besideAgent(text(`${url}/beside`)))
        const other = yield* Queue.take(exchanges)
        const asked = yield* Deferred.make<Exchange>()
        const calls = yield* stoppedCalls(
          yield* toolkitOf(text(`${url}/tool`)),
          Effect.flatMap(Queue.take(exchanges), (exchange) => Deferred.succeed(asked, exchange))
        )
        assert.deepStrictEqual(calls, ["Fetch: interrupted"])
        const exchange = yield* Deferred.await(asked)
        assert.strictEqual(exchange.path, "/tool")
        yield* exchange.closed

        assert.isFalse(other.isClosed())
        other.response.end("still here")
        assert.strictEqual(yield* Fiber.join(beside), "still here")
      }).pipe(Effect.provide(env))
    )

    it.effect("a stop in the middle of the answer closes this connection, and no other", () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* makeServer
        const besideSeen = yield* Deferred.make<void>()
        const beside = yield* read(`${url}/beside`).pipe(
          Stream.tap(() => Deferred.succeed(besideSeen, undefined)),
          Stream.mkString,
          besideAgent,
          Effect.forkChild
        )
        const other = yield* Queue.take(exchanges)
        other.response.write("still ")
        yield* Deferred.await(besideSeen)

        const seen = yield* Deferred.make<void>()
        const asked = yield* Deferred.make<Exchange>()
        const work = read(`${url}/tool`).pipe(
          Stream.tap(() => Deferred.succeed(seen, undefined)),
          Stream.mkString
        )
        const answering = Effect.gen(function* () {
          const exchange = yield* Queue.take(exchanges)
          yield* Deferred.succeed(asked, exchange)
          exchange.response.write("a beginning")
          yield* Deferred.await(seen)
        })
        const calls = yield* stoppedCalls(yield* toolkitOf(work), answering)
        assert.deepStrictEqual(calls, ["Fetch: interrupted"])
        yield* (yield* Deferred.await(asked)).closed

        assert.isFalse(other.isClosed())
        other.response.end("here")
        assert.strictEqual(yield* Fiber.join(beside), "still here")
      }).pipe(Effect.provide(env))
    )

    it.effect("what follows a failed request is not asked for after the stop", () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* makeServer
        // A second address, and as many retries as it takes: all that a stop may look to like a failure.
        const work = text(`${url}/first`).pipe(
          Effect.catch(() => Effect.as(HttpClient.get(`${url}/second`), "")),
          Effect.retry(Schedule.forever)
        )
        const calls = yield* stoppedCalls(yield* toolkitOf(work), Queue.take(exchanges))
        assert.deepStrictEqual(calls, ["Fetch: interrupted"])
        assert.deepStrictEqual(yield* heardUpTo(exchanges, url), [])
      }).pipe(Effect.provide(env))
    )

    it.effect("a schedule that waits to ask again does not ask any more", () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* makeServer
        const polled = yield* Deferred.make<void>()
        const work = text(`${url}/job`).pipe(
          Effect.tap(() => Deferred.succeed(polled, undefined)),
          Effect.repeat({
            schedule: Schedule.spaced("1 minute"),
            until: (state) => state === "done"
          })
        )
        const answering = Effect.gen(function* () {
          const { response } = yield* Queue.take(exchanges)
          response.end("not yet")
          yield* Deferred.await(polled)
        })
        const calls = yield* stoppedCalls(yield* toolkitOf(work), answering)
        assert.deepStrictEqual(calls, ["Fetch: interrupted"])
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* heardUpTo(exchanges, url), [])
      }).pipe(Effect.provide(env))
    )
  })
}

describe("a tool that does not listen", () => {
  it.effect("an abort that it takes for a failure, at once, is still followed by nothing", () =>
    Effect.gen(function* () {
      const waiting = yield* Deferred.make<void>()
      const done: Array<string> = []
      const work = Effect.gen(function* () {
        const signal = yield* CancellationWatcher.abortSignal
        yield* Deferred.succeed(waiting, undefined)
        return yield* Effect.callback<string, string>((resume) => {
          signal.addEventListener("abort", () => resume(Effect.fail("aborted")))
        })
      }).pipe(
        Effect.catch((error) => Effect.sync(() => String(done.push(`after ${error}`)))),
        Effect.tap(() => Effect.sync(() => done.push("after success")))
      )
      const calls = yield* stoppedCalls(yield* toolkitOf(work), Deferred.await(waiting))
      assert.deepStrictEqual(calls, ["Fetch: interrupted"])
      assert.deepStrictEqual(done, [])
    }).pipe(Effect.provide(Layer.mergeAll(Chat.layer, FetchHttpClient.layer)))
  )

  it.effect("a promise without a signal is left behind: the agent ends, its connection stays", () =>
    Effect.gen(function* () {
      const { exchanges, url } = yield* makeServer
      const asked = yield* Deferred.make<Exchange>()
      const work = Effect.tryPromise(async () => (await fetch(url)).text())
      const calls = yield* stoppedCalls(
        yield* toolkitOf(work),
        Effect.flatMap(Queue.take(exchanges), (exchange) => Deferred.succeed(asked, exchange))
      )
      assert.deepStrictEqual(calls, ["Fetch: interrupted"])
      const exchange = yield* Deferred.await(asked)
      assert.deepStrictEqual(yield* heardUpTo(exchanges, url), [])
      assert.isFalse(exchange.isClosed())
    }).pipe(Effect.provide(Layer.mergeAll(Chat.layer, FetchHttpClient.layer)))
  )
})

/** Runs what needs a watcher outside of the agent, in a run that nobody stops. */
const besideAgent = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.provide(
    work,
    CancellationWatcher.layer({ ref: MessageRef.of({ chatId: "beside", messageId: "beside" }) })
  )

/** What the server was asked until now: a last request of the test's own comes after all of it. */
const heardUpTo = Effect.fnUntraced(function* (exchanges: Queue.Queue<Exchange>, url: string) {
  const last = yield* Effect.forkChild(Effect.promise(() => fetch(`${url}/last`)))
  const heard: Array<string> = []
  for (;;) {
    const { path, response } = yield* Queue.take(exchanges)
    if (path !== "/last") {
      heard.push(path)
      continue
    }
    response.end()
    yield* Fiber.join(last)
    return heard
  }
})
