// Several processes that have nothing in common but the database.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import { chatOf, openPage } from "./ChatClient.ts"
import { run, startServer, until } from "./DemoProcess.ts"
import { places } from "./places.ts"

// Programs are started and waited for; on a busy machine that takes a while.
vi.setConfig({ testTimeout: 90_000 })

for (const [name, place] of places) {
  describe(`on ${name}`, () => {
    it.live("the command line stops a run of the server within the poll interval", () =>
      Effect.gen(function* () {
        const env = yield* place
        const chat = chatOf(yield* startServer(env), "c")
        yield* chat.ask("m")
        yield* chat.untilText("m")

        const list = yield* run("messages.ts", [], env)
        assert.match(
          list.stdout,
          /^MESSAGE +CHAT +USER +SINCE +STATE\nm +c +Ada +\d+ s +running\n$/
        )

        const stop = yield* run("stop.ts", ["m"], env)
        assert.strictEqual(stop.code, 0, stop.stderr)
        const millis = /^Stopped m \(Ada's\) in (\d+) ms\.\n$/.exec(stop.stdout)?.[1]
        assert.isBelow(Number(millis), 1500)
        assert.strictEqual((yield* chat.answer("m"))?.state, "stopped")

        const after = yield* run("messages.ts", [], env)
        assert.strictEqual(after.stdout, "Nothing runs.\n")
      }).pipe(Effect.scoped)
    )

    it.live("the command line stops all", () =>
      Effect.gen(function* () {
        const env = yield* place
        const server = yield* startServer(env)
        const chats = ["a", "b", "c"].map((name) => chatOf(server, name))
        yield* Effect.forEach(chats, (chat, index) => chat.ask(`m${index}`))
        yield* Effect.forEach(chats, (chat, index) => chat.untilText(`m${index}`))
        const { code, stdout } = yield* run("stop.ts", ["--all"], env)
        assert.strictEqual(code, 0)
        assert.lengthOf(stdout.match(/^Stopped m\d \(Ada's\) in \d+ ms\.$/gm) ?? [], 3)
      }).pipe(Effect.scoped)
    )

    it.live(
      "Ctrl-C saves answers as interrupted, and ends within two seconds under open pages",
      () =>
        Effect.gen(function* () {
          const env = yield* place
          const server = yield* startServer(env)
          const chat = chatOf(server, "c")
          const page = yield* openPage(server.url, "c")
          yield* chat.ask("m")
          const before = yield* chat.untilText("m")
          const start = performance.now()
          yield* server.signal("SIGINT")
          yield* server.signal("SIGINT")
          yield* server.ended
          assert.isBelow(performance.now() - start, 2000)
          assert.include(page(), '"state":"interrupted"')

          const again = chatOf(yield* startServer(env), "c")
          const after = yield* again.answer("m")
          assert.strictEqual(after?.state, "interrupted")
          assert.isUndefined(after?.stop)
          assert.isTrue(after?.text.startsWith(before?.text ?? "-"))
        }).pipe(Effect.scoped)
    )

    for (const signal of ["SIGTERM", "SIGHUP"] as const) {
      it.live(`${signal} ends a server in the same way`, () =>
        Effect.gen(function* () {
          const env = yield* place
          const server = yield* startServer(env)
          const chat = chatOf(server, "c")
          yield* chat.ask("m")
          yield* chat.untilText("m")
          const start = performance.now()
          yield* server.signal(signal)
          yield* server.ended
          assert.isBelow(performance.now() - start, 2000)
          const again = chatOf(yield* startServer(env), "c")
          assert.strictEqual((yield* again.answer("m"))?.state, "interrupted")
        }).pipe(Effect.scoped)
      )
    }

    it.live(
      "a second server beside the first shows its answers growing, and marks none of them",
      () =>
        Effect.gen(function* () {
          const env = yield* place
          const first = chatOf(yield* startServer(env, { speed: 3 }), "c")
          yield* first.ask("m")
          yield* first.untilText("m")
          const second = chatOf(yield* startServer(env), "c")
          const some = yield* second.untilText("m")
          const more = yield* second.untilText("m", (some?.text.length ?? 0) + 20)
          assert.strictEqual(more?.state, "running")
          yield* first.untilState("m", "completed")
          assert.strictEqual((yield* second.answer("m"))?.state, "completed")
        }).pipe(Effect.scoped)
    )

    it.live("an answer on one server is stopped from another", () =>
      Effect.gen(function* () {
        const env = yield* place
        const first = chatOf(yield* startServer(env), "c")
        const second = chatOf(yield* startServer(env), "c")
        yield* first.ask("m")
        yield* second.untilText("m")
        yield* second.stop("m")
        const stopped = yield* second.untilState("m", "stopped")
        assert.deepStrictEqual(yield* first.answer("m"), stopped)
      }).pipe(Effect.scoped)
    )

    it.live("of a killed server the command line says that there is no sign of life", () =>
      Effect.gen(function* () {
        const env = yield* place
        const killed = yield* startServer(env)
        const chat = chatOf(killed, "c")
        yield* chat.ask("m")
        yield* chat.untilText("m")
        yield* killed.signal("SIGKILL")
        yield* killed.ended
        const list = Effect.map(run("messages.ts", [], env), ({ stdout }) => stdout)
        yield* until(list, (text) => /\nm +c +Ada +\d+ s +no sign of life for \d+ s\n$/.test(text))
        const stop = yield* run("stop.ts", ["m"], env)
        assert.match(
          stop.stderr,
          /^Message m was asked to stop, but of its server there is no sign of life for \d+ s\..*\n$/
        )
        assert.match(yield* list, /\nm +c +.* stopping, no sign of life for \d+ s\n$/)
      }).pipe(Effect.scoped)
    )

    it.live("an idle server says of a killed one's answers that they are lost", () =>
      Effect.gen(function* () {
        const env = yield* place
        const killed = yield* startServer(env)
        const first = chatOf(killed, "c")
        yield* first.ask("m")
        yield* first.untilText("m")
        const other = chatOf(yield* startServer(env), "c")
        yield* killed.signal("SIGKILL")
        yield* killed.ended
        yield* until(other.answer("m"), (message) => (message?.silence ?? 0) >= 3)
        const list = yield* run("messages.ts", [], env)
        assert.match(
          list.stdout,
          /(\nm +c +Ada +\d+ s +no sign of life for \d+ s|^Nothing runs\.)\n$/
        )
        const lost = yield* other.untilState("m", "lost")
        assert.isUndefined(lost?.silence)
        const stop = yield* run("stop.ts", ["m"], env)
        assert.match(stop.stderr, /^Message m has ended already: lost, because .*\n$/)
        assert.isAbove(lost?.text.length ?? 0, 0)
        // and it can be written anew
        assert.strictEqual((yield* other.regenerate("m", "m-2")).status, 202)
        yield* until(other.answer("m"), (message) => message?.state === "running")
      }).pipe(Effect.scoped)
    )
  })
}
