import http from "node:http"
import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { vi } from "vitest"
import { chatOf, request } from "./ChatClient.ts"
import { type Server, startServer } from "./DemoProcess.ts"
import { sqlite } from "./places.ts"

// Two servers on one database: one writes as fast as it can, the other as slowly as for a person, so
// that what must happen meanwhile does.
class Demo extends Context.Service<Demo, { readonly fast: Server; readonly slow: Server }>()(
  "test/Demo"
) {
  static readonly layer = Layer.effect(
    this,
    Effect.flatMap(sqlite, (env) =>
      Effect.all({ fast: startServer(env, { speed: 50 }), slow: startServer(env) })
    )
  )
}

vi.setConfig({ testTimeout: 60_000 })

const valid = { questionId: "q", messageId: "m", runId: "r", text: "Hello" }

// `fetch` sets Host itself.
const getWithHost = (port: number, host: string) =>
  Effect.promise(
    () =>
      new Promise<number | undefined>((resolve, reject) => {
        http
          .get({ host: "127.0.0.1", port, path: "/", headers: { host } }, (response) => {
            response.resume()
            resolve(response.statusCode)
          })
          .on("error", reject)
      })
  )

layer(Demo.layer, { excludeTestServices: true, timeout: "60 seconds" })("the API", (it) => {
  const refused: ReadonlyArray<
    readonly [title: string, status: number, path: string, body: string]
  > = [
    ["malformed JSON", 400, "/messages", "{nonsense"],
    ["no body", 400, "/messages", ""],
    ["an empty text", 400, "/messages", JSON.stringify({ ...valid, text: "  \n " })],
    [
      "a text nobody can see",
      400,
      "/messages",
      JSON.stringify({ ...valid, text: "\u0001\u200b\u202e\u2066 " })
    ],
    [
      "a text of 4,001 characters",
      400,
      "/messages",
      JSON.stringify({ ...valid, text: "x".repeat(4001) })
    ],
    ["an empty id", 400, "/messages", JSON.stringify({ ...valid, messageId: "" })],
    ["an id with a quote", 400, "/messages", JSON.stringify({ ...valid, messageId: "a'b" })],
    ["an id with a newline", 400, "/messages", JSON.stringify({ ...valid, runId: "a\nb" })],
    [
      "an id of 10,000 characters",
      400,
      "/messages",
      JSON.stringify({ ...valid, runId: "x".repeat(10_000) })
    ],
    [
      "an id with an unpaired surrogate",
      400,
      "/messages",
      '{"questionId":"q","messageId":"\\ud800","runId":"r","text":"x"}'
    ],
    [
      "one id for question and answer",
      400,
      "/messages",
      JSON.stringify({ ...valid, questionId: "m" })
    ],
    [
      "100,000 characters",
      413,
      "/messages",
      JSON.stringify({ ...valid, text: "x".repeat(100_000) })
    ],
    ["a stop with a reason that is not a page's", 400, "/stop", '{"reason":"shutdown"}'],
    ["an unknown message to regenerate", 404, "/messages/unknown/regenerate", '{"runId":"r"}'],
    ["an unknown address", 404, "/nothing", "{}"]
  ]
  for (const [title, status, path, body] of refused) {
    it.effect(`refuses ${title} with a problem that says what is wrong`, () =>
      Effect.gen(function* () {
        const { url } = (yield* Demo).fast
        const answer = yield* request(`${url}/api/chats/refused${path}`, { method: "POST", body })
        assert.strictEqual(answer.status, status)
        assert.strictEqual(answer.type, "application/problem+json")
        const problem = JSON.parse(answer.text)
        assert.strictEqual(problem.status, status)
        assert.isAbove(problem.detail.length, 10)
        assert.isBelow(answer.text.length, 1000)
      })
    )
  }

  it.effect("refuses chats nobody has written in, and ids that are none", () =>
    Effect.gen(function* () {
      const { url } = (yield* Demo).fast
      assert.strictEqual((yield* request(`${url}/api/chats/unknown`)).status, 404)
      assert.strictEqual((yield* request(`${url}/api/chats/a%22b`)).status, 400)
      assert.strictEqual((yield* request(`${url}/api/chats/${"x".repeat(256)}`)).status, 400)
      assert.strictEqual((yield* request(`${url}/api/chats/%E0%A4%A`)).status, 404)
      assert.strictEqual((yield* request(`${url}/api/chats/${"x".repeat(255)}`)).status, 404)
    })
  )

  it.effect("lets in no other page and no other name", () =>
    Effect.gen(function* () {
      const { port, url } = (yield* Demo).fast
      const body = JSON.stringify(valid)
      const post = (headers: object) =>
        request(`${url}/api/chats/guarded/messages`, { method: "POST", body, headers })
      assert.strictEqual((yield* post({ origin: "http://evil.example" })).status, 403)
      assert.strictEqual((yield* post({ origin: "null" })).status, 403)
      assert.strictEqual((yield* post({ "content-type": "text/plain" })).status, 415)
      assert.strictEqual(yield* getWithHost(port, "evil.example"), 403)
      assert.strictEqual(yield* getWithHost(port, `127.0.0.1:${port}`), 200)
      assert.strictEqual(yield* getWithHost(port, `localhost:${port}`), 200)
      const stop = (headers: object) =>
        request(`${url}/api/chats/guarded/stop`, { method: "POST", body: "{}", headers })
      const foreign = yield* stop({ origin: "http://evil.example" })
      assert.deepStrictEqual([foreign.status, JSON.parse(foreign.text).code], [403, "cross_site"])
      assert.strictEqual((yield* stop({ "content-type": "text/plain" })).status, 415)
      for (const host of ["127.0.0.1", "localhost"]) {
        const own = { origin: `http://${host}:${port}`, "sec-fetch-site": "same-origin" }
        assert.strictEqual((yield* stop(own)).status, 202)
      }
      assert.deepStrictEqual(yield* chatOf({ url }, "guarded").read, [])
    })
  )

  it.effect("writes an answer to its end, with the tools it used", () =>
    Effect.gen(function* () {
      const chat = chatOf((yield* Demo).fast, "whole")
      assert.strictEqual((yield* chat.ask("m")).status, 202)
      const answer = yield* chat.untilState("m", "completed")
      assert.include(answer?.text, "Here is what happens when you press Stop.")
      assert.deepStrictEqual(
        answer?.tools.map(({ state }) => state),
        ["done", "done"]
      )
    })
  )

  it.effect("asks once when it is asked twice, and refuses a second question meanwhile", () =>
    Effect.gen(function* () {
      const chat = chatOf((yield* Demo).slow, "twice")
      const statuses = yield* Effect.forEach([1, 2, 3], () => chat.ask("m"), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        statuses.map(({ status }) => status),
        [202, 202, 202]
      )
      assert.strictEqual((yield* chat.ask("other")).status, 409)
      assert.strictEqual((yield* chat.regenerate("m", "m-2")).status, 409)
      assert.lengthOf(yield* chat.read, 2)
    })
  )

  it.effect("stops, answers with a receipt, and takes the next question at once", () =>
    Effect.gen(function* () {
      const chat = chatOf((yield* Demo).slow, "stopped")
      yield* chat.ask("m")
      yield* chat.untilText("m")
      const { status, text } = yield* chat.stop("m")
      assert.deepStrictEqual([status, JSON.parse(text).phase], [202, "requested"])
      assert.strictEqual((yield* chat.ask("next")).status, 202)
      const stopped = yield* chat.untilState("m", "stopped")
      yield* chat.untilText("next")
      const again = yield* chat.stop("m")
      assert.deepStrictEqual([again.status, JSON.parse(again.text).phase], [200, "ended"])
      assert.deepStrictEqual(yield* chat.answer("m"), stopped)
    })
  )

  it.effect("stops an answer whose question is still on its way, and no other", () =>
    Effect.gen(function* () {
      const chat = chatOf((yield* Demo).slow, "early")
      assert.strictEqual(JSON.parse((yield* chat.stop("m")).text).phase, "pending")
      yield* chat.ask("m")
      const stopped = yield* chat.untilState("m", "stopped")
      assert.strictEqual(stopped?.text, "")
      yield* chat.ask("next")
      yield* chat.untilText("next")
    })
  )

  it.effect("lets one person see what the other asked, and not stop it or have it anew", () =>
    Effect.gen(function* () {
      const { slow } = yield* Demo
      const adas = chatOf(slow, "shared")
      const bobs = chatOf(slow, "shared", "bob")
      yield* adas.ask("m")
      yield* bobs.untilText("m")
      const stop = yield* bobs.stop("m")
      assert.deepStrictEqual([stop.status, JSON.parse(stop.text).code], [403, "forbidden"])
      assert.strictEqual((yield* bobs.post("/stop", {})).status, 403)
      assert.strictEqual((yield* bobs.receipt("m")).phase, "none")
      const ask = yield* bobs.ask("n")
      assert.strictEqual(ask.status, 409)
      assert.include(ask.text, "An answer to Ada is being written")
      const mine = yield* bobs.ask("m")
      assert.strictEqual(mine.status, 409)
      assert.include(mine.text, "somebody else")
      const some = yield* bobs.answer("m")
      yield* bobs.untilText("m", (some?.text.length ?? 0) + 10)

      assert.strictEqual((yield* adas.post("/stop", {})).status, 202)
      yield* bobs.untilState("m", "stopped")
      const { requested } = yield* bobs.receipt("m")
      assert.deepStrictEqual([requested?.reason, requested?.by], ["user", "ada"])
      const anew = yield* bobs.regenerate("m", "m-2")
      assert.strictEqual(anew.status, 403)
      assert.include(anew.text, "Only Ada can have this answer written anew.")

      assert.strictEqual((yield* bobs.ask("n")).status, 202)
      yield* adas.untilText("n")
      assert.deepStrictEqual(
        (yield* adas.read).map(({ messageId, userId }) => `${messageId} ${userId}`),
        ["m-q ada", "m ada", "n-q bob", "n bob"]
      )
    })
  )

  it.effect("takes one question of two people who ask at the same time", () =>
    Effect.gen(function* () {
      const { slow } = yield* Demo
      const asked = yield* Effect.all(
        [chatOf(slow, "both").ask("m"), chatOf(slow, "both", "bob").ask("n")],
        { concurrency: "unbounded" }
      )
      assert.sameMembers(
        asked.map(({ status }) => status),
        [202, 409]
      )
    })
  )

  it.effect("regenerates in the same message, and the old run's stop does not touch it", () =>
    Effect.gen(function* () {
      const { fast, slow } = yield* Demo
      const chat = chatOf(slow, "anew")
      yield* chat.ask("m")
      yield* chat.untilText("m")
      yield* chat.stop("m")
      yield* chat.untilState("m", "stopped")
      const elsewhere = chatOf(fast, "anew")
      assert.strictEqual((yield* elsewhere.regenerate("m", "m-2")).status, 202)
      yield* chat.stop("m", "m-1")
      const anew = yield* chat.untilState("m", "completed")
      assert.strictEqual(anew?.runId, "m-2")
      assert.include(anew?.text, "Here is what happens")
      assert.lengthOf(yield* chat.read, 2)
      assert.strictEqual((yield* chat.regenerate("m-q", "m-3")).status, 409)
    })
  )

  it.effect("says of a model that broke down that the answer failed, and keeps the text", () =>
    Effect.gen(function* () {
      const chat = chatOf((yield* Demo).fast, "failing")
      yield* chat.ask("m", "Please break down: /fail")
      const failed = yield* chat.untilState("m", "failed")
      assert.match(failed?.text ?? "", /And so, $/)
    })
  )
})

describe("the page", () => {
  layer(Demo.layer, { excludeTestServices: true, timeout: "60 seconds" })("", (it) => {
    it.effect("is served with all its parts, and nothing beside them", () =>
      Effect.gen(function* () {
        const { url } = (yield* Demo).fast
        const index = yield* request(`${url}/`)
        const parts = Array.from(index.text.matchAll(/(?:href|src)="(\/[^"]+)"/g), ([, at]) => at)
        assert.isAbove(parts.length, 2)
        for (const part of parts) {
          assert.strictEqual((yield* request(`${url}${part}`)).status, 200, part)
        }
        // and those parts' own
        const main = yield* request(`${url}/main.js`)
        for (const [, part] of main.text.matchAll(/from "\.(\/[^"]+)"/g)) {
          assert.strictEqual((yield* request(`${url}${part}`)).status, 200, part)
        }
        const client = yield* request(`${url}/stop-api.js`)
        assert.strictEqual(client.type, "text/javascript; charset=utf-8")
        assert.include(client.text, "export const stopMessage")
        assert.notInclude(client.text, "interface")
        assert.notInclude(index.text.replaceAll("http://www.w3.org", ""), "http")
        assert.strictEqual((yield* request(`${url}/..%2fmain.ts`)).status, 404)
      })
    )
  })
})
