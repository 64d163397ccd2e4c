// Who has left, as a server of Node knows it.
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { type Run, RunQuery } from "effect-cancellation"
import { Viewers } from "effect-cancellation-http/Viewers"
import { until } from "../../sql/test/support/until.ts"
import { connect } from "./support/connection.ts"
import { listen } from "./support/events.ts"
import { openServer, type Server } from "./support/server.ts"
import { page, runOf } from "./support/stops.ts"

const followed = runOf({ messageId: "followed" })
const read = runOf({ messageId: "read" })
const other = runOf({ messageId: "other" })

/** A stream of the application's own, which carries the words. */
const words = HttpRouter.add(
  "GET",
  "/words",
  Effect.succeed(
    HttpServerResponse.stream(
      Stream.make("words").pipe(
        Stream.concat(Stream.never),
        Stream.encodeText,
        Viewers.watching(read)
      )
    )
  )
)

const open = Effect.gen(function* () {
  const server = yield* openServer({
    beside: Viewers.layer({ onDisconnect: "stop", grace: 0 }),
    routes: words
  })
  yield* server.start(followed, read, other)
  return server
})

/** A client of the words. */
const readWords = Effect.fnUntraced(function* ({ port }: Server) {
  const client = yield* connect(port)
  yield* client.write("GET /words HTTP/1.1\r\nhost: localhost\r\n\r\n")
  yield* client.until((came) => came.includes("words"))
  return client
})

const requestOf = ({ faults }: Server, run: Run) =>
  Effect.map(
    Effect.orDie(faults.store.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] }))),
    ([record]) => record?.request
  )

const stopped = (server: Server, run: Run) =>
  until(requestOf(server, run), (request) => request?.reason === "disconnect")

/** Somebody who leaves now: when his run is stopped, so is that of whoever has left before. */
const leave = Effect.fnUntraced(function* (server: Server, run: Run) {
  const { look } = Context.get(server.services, Viewers)
  const scope = yield* Scope.make()
  yield* Scope.provide(look(run), scope)
  yield* Scope.close(scope, Exit.failCause(Cause.interrupt()))
  yield* stopped(server, run)
})

describe("a page on a socket", () => {
  it.live("has left when its connection is gone", () =>
    Effect.gen(function* () {
      const server = yield* open
      const clients = [yield* listen(server.port, followed), yield* readWords(server)]
      assert.isUndefined(yield* requestOf(server, followed))
      for (const { socket } of clients) socket.destroy()
      yield* stopped(server, followed)
      yield* stopped(server, read)
    }).pipe(Effect.scoped)
  )

  it.live("has not left when the server ends", () =>
    Effect.gen(function* () {
      const server = yield* open
      const clients = [yield* listen(server.port, followed), yield* readWords(server)]
      yield* server.close
      for (const { closed } of clients) yield* closed
      yield* leave(server, other)
      assert.isUndefined(yield* requestOf(server, followed))
      assert.isUndefined(yield* requestOf(server, read))
    }).pipe(Effect.scoped)
  )
})

describe("who follows the events", () => {
  const ways: ReadonlyArray<
    readonly [what: string, counts: boolean, headers: Readonly<Record<string, string>>]
  > = [
    ["a program", true, {}],
    ["a page of the same origin", true, { "sec-fetch-site": "same-origin" }],
    ["a person in the address bar", true, { "sec-fetch-site": "none" }],
    ["an allowed page of the same site", true, { "sec-fetch-site": "same-site", origin: page }],
    ["an image in a page of the same site", false, { "sec-fetch-site": "same-site" }],
    ["who knows what", false, { "sec-fetch-site": "odd" }]
  ]
  for (const [what, counts, headers] of ways) {
    it.live(`${counts ? "counts" : "does not count"} as one who looks if it is ${what}`, () =>
      Effect.gen(function* () {
        const server = yield* open
        const { socket } = yield* listen(server.port, followed, headers)
        socket.destroy()
        yield* server.closed.atLeast(1)
        yield* server.nothingLeft
        yield* leave(server, other)
        const request = yield* requestOf(server, followed)
        assert.strictEqual(request?.reason, counts ? "disconnect" : undefined)
      }).pipe(Effect.scoped)
    )
  }
})
