// RANDOM_SEED=42 sends the same requests again, RANDOM_REQUESTS=100000 sends more of them.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type RunRecord, runKey } from "effect-cancellation"
import { type Told, told } from "./support/answers.ts"
import { type RandomRequest, randomRequests } from "./support/randomRequests.ts"
import { arrange, everyRun, isStoppedByRight, mayStop, regenerate } from "./support/randomRuns.ts"
import { openStops, page, pathsOf, people, runOf } from "./support/stops.ts"

const seed = Number(process.env["RANDOM_SEED"] ?? Date.now() % 0x7fffffff)
const count = Number(process.env["RANDOM_REQUESTS"] ?? 10_000)

/** How often each answer must come in ten thousand, or the requests have shown nothing. */
const least: Readonly<Record<string, number>> = {
  "200 events": 300,
  "200 none": 80,
  "200 requested": 200,
  "204": 5,
  "202 requested": 200,
  "202 pending": 15,
  "200 tooLate": 20,
  "200 superseded": 20,
  "400 invalid_request": 300,
  "401 unauthenticated": 300,
  "403 cross_site": 300,
  "403 forbidden": 20,
  "404 not_found": 300,
  "413 too_large": 50,
  "415 unsupported_media_type": 100,
  "429 rate_limited": 100
}

const settings = {
  // Waiting is not what this is about.
  maxWait: "1 millis",
  maxEvents: "1 millis",
  rateLimit: { limit: 40, window: "1 hour" }
} as const

/** A body whose sender is gone before its end. */
const breaking = (body: Uint8Array) =>
  new ReadableStream({
    start: (controller) => {
      controller.enqueue(body)
      controller.error(new Error("The connection was reset"))
    }
  })

type Stops = Effect.Success<ReturnType<typeof openStops>>

const send = Effect.fnUntraced(function* (
  stops: Stops,
  { body, headers, isBroken, method, path }: RandomRequest
) {
  const request = new Request(`http://localhost${path}`, {
    method,
    headers: headers.map(([name, value]): [string, string] => [name, value]),
    ...(body === undefined ? {} : { body: isBroken ? breaking(body) : body, duplex: "half" })
  })
  const response = yield* Effect.promise(() => stops.handler(request))
  const text = yield* Effect.promise(() => response.text())
  return { request, response, answer: told(request.method, response, text), text }
})

/** Whoever sends this is nobody, or a page of another site, or says no JSON: nothing may be done for it. */
const isToBeRefused = ({ headers, method }: Request, asked: RandomRequest): boolean => {
  const origin = headers.get("origin")
  const isJson = /^application\/json\s*(;|$)/i.test(headers.get("content-type") ?? "")
  return (
    personOf(asked) === undefined ||
    (origin !== null && origin !== page) ||
    headers.get("sec-fetch-site")?.toLowerCase() === "cross-site" ||
    (method === "POST" && !isJson)
  )
}

const personOf = ({ headers }: RandomRequest) => {
  const sent = headers.find(([name]) => name === "authorization")?.[1]
  return sent === undefined ? undefined : people[sent.replace("Bearer ", "")]
}

/** What this one request has changed that it must not. */
const changedWrongly = (
  request: RandomRequest,
  { method, status }: { readonly method: string; readonly status: number },
  before: ReadonlyMap<string, RunRecord>,
  after: ReadonlyMap<string, RunRecord>
): ReadonlyArray<string> => {
  const person = personOf(request)
  return Array.from(after.values()).flatMap((record) => {
    const { request: stop, run } = record
    const old = before.get(runKey(run))
    if (old === record) return []
    const isRight =
      old !== undefined &&
      old.request === undefined &&
      stop !== undefined &&
      person !== undefined &&
      mayStop(person, run) &&
      stop.requestedBy === person.userId &&
      (stop.reason === "user" || stop.reason === "disconnect") &&
      (request.chatId === undefined || request.chatId === run.ref.chatId) &&
      method === "POST" &&
      status < 300 &&
      JSON.stringify({ ...record, request: undefined }) ===
        JSON.stringify({ ...old, request: undefined })
    return isRight ? [] : [`changed ${JSON.stringify(old)} to ${JSON.stringify(record)}`]
  })
}

const told4xx = ({ words }: Told) => words.startsWith("4")

const describeRequest = ({ body, ...request }: RandomRequest) =>
  JSON.stringify({
    ...request,
    body: body === undefined ? undefined : Buffer.from(body).toString("latin1")
  }).slice(0, 2000)

describe(`random requests (seed ${seed})`, () => {
  it.live(
    `${count} of them: no 5xx, each refusal a problem, and no run stopped by who may not`,
    () =>
      Effect.gen(function* () {
        const stops = yield* openStops(settings)
        const { store } = stops.faults
        yield* arrange(store)
        const seen = new Map<string, number>()
        let before = yield* everyRun(store)
        for (const [index, request] of randomRequests(seed, count).entries()) {
          if (index % 20 === 0) {
            yield* regenerate(store, index / 20)
            before = yield* everyRun(store)
          }
          const { requestStop } = yield* stops.faults.counts
          const { answer, request: sent, response, text } = yield* send(stops, request)
          seen.set(answer.words, (seen.get(answer.words) ?? 0) + 1)
          const wrong = [...answer.wrong]
          if (response.status >= 500) wrong.push("a 5xx")
          if (response.status < 400 && isToBeRefused(sent, request)) wrong.push("not refused")
          const { requestStop: asked } = yield* stops.faults.counts
          if (asked.calls > requestStop.calls) {
            if (told4xx(answer)) wrong.push("refused, and asked the store to stop")
            const after = yield* everyRun(store)
            wrong.push(
              ...changedWrongly(
                request,
                { method: sent.method, status: response.status },
                before,
                after
              )
            )
            before = after
          }
          if (wrong.length > 0) {
            assert.fail(
              `request ${index} of seed ${seed}: ${wrong.join("; ")}\n${describeRequest(request)}\n${response.status} ${text.slice(0, 1000)}`
            )
          }
        }
        const all = Array.from((yield* everyRun(store)).values())
        assert.deepStrictEqual(
          all.filter((record) => !isStoppedByRight(record)),
          []
        )
        assert.isAbove(all.filter(({ request }) => request !== undefined).length, 100)
        const rare = Object.entries(least).filter(([what, times]) => (seen.get(what) ?? 0) < times)
        if (count >= 10_000) assert.deepStrictEqual(rare, [], JSON.stringify(Array.from(seen)))
      }).pipe(Effect.scoped),
    { timeout: 120_000 }
  )
})

describe("a stop that is refused", () => {
  it.live("has stopped nothing: none of a chat's runs when the limit is met by one of them", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ rateLimit: { limit: 2, window: "1 hour" } })
      const runs = ["1", "2", "3"].map((messageId) => runOf({ chatId: "many", messageId }))
      const other = runOf({ chatId: "other" })
      yield* stops.start(...runs, other)
      const { chat } = pathsOf(runOf({ chatId: "many" }))
      const statuses: Array<number> = []
      for (const path of [chat, pathsOf(other).stop, chat]) {
        statuses.push((yield* stops.send("POST", path, { as: "ada" })).status)
      }
      const more = runOf({ chatId: "many", messageId: "4" })
      const last = runOf({ chatId: "many", messageId: "5" })
      yield* stops.start(more, last)
      statuses.push((yield* stops.send("POST", chat, { as: "ada" })).status)
      assert.deepStrictEqual(statuses, [202, 202, 202, 429])
      const records = yield* Effect.forEach([...runs, more, last], stops.record)
      assert.deepStrictEqual(
        records.map((record) => record?.request?.requestedBy),
        ["ada", "ada", "ada", undefined, undefined]
      )
    }).pipe(Effect.scoped)
  )
})
