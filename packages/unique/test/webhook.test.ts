// Requests to a webhook: which are the platform's, and what is read from them.
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { TestClock } from "effect/testing"
import { InvalidSetting, MessageContent, RunId } from "effect-cancellation"
import { reachableText } from "../../promise/test/support/reachable.ts"
import { UniqueChatEvent, UniqueWebhookError } from "../src/index.ts"
import { ada, chatId, newMessage, openOn, refOf } from "./content.fixture.ts"
import { onPlatform } from "./support/platform.ts"
import { errorIn, openHook, said, secret, signatureOf, ways } from "./webhook.fixture.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

/** All the signatures that are compared while the test runs, by their length. */
const comparisons = Effect.acquireRelease(
  Effect.sync(() => {
    const verify = crypto.subtle.verify.bind(crypto.subtle)
    const lengths: Array<number> = []
    const counted: typeof verify = (algorithm, key, signature, data) => {
      lengths.push(signature.byteLength)
      return verify(algorithm, key, signature, data)
    }
    Object.defineProperty(crypto.subtle, "verify", { value: counted, configurable: true })
    return lengths
  }),
  () =>
    Effect.sync(() => {
      Reflect.deleteProperty(crypto.subtle, "verify")
    })
)

for (const way of ways) {
  describe(`an event by a request of ${way}`, () => {
    it.effect("is read if it is signed with the secret", () =>
      Effect.gen(function* () {
        const { deliver, event } = yield* openHook(way)
        const [{ status }, { exit }] = yield* deliver(event)
        assert.strictEqual(status, 202)
        const read = Exit.isSuccess(exit) ? exit.value : assert.fail(String(exit))
        assert.instanceOf(read, UniqueChatEvent)
        assert.deepStrictEqual({ ...read }, { ...event })
      })
    )

    it.effect("is refused if the signature is another, or none", () =>
      Effect.gen(function* () {
        const { event, outcome, outcomeOf } = yield* openHook(way)
        const body = JSON.stringify(event)
        const right = signatureOf(body)
        for (const signature of [
          signatureOf(body, "another secret"),
          signatureOf(body, `${secret} `),
          signatureOf(`${body} `),
          signatureOf(""),
          null,
          "",
          right.slice(0, 63),
          right.slice(0, 62),
          `${right}0`,
          `${right}${right}`,
          `0x${right}`,
          `sha256=${right}`,
          `${right}, ${right}`,
          right.replace(/.$/, "g"),
          "0".repeat(64),
          "undefined",
          Buffer.from(right, "hex").toString("base64")
        ]) {
          assert.strictEqual(
            yield* outcomeOf(event, { signature }),
            "401 WrongSignature",
            String(signature)
          )
        }
        assert.strictEqual(yield* outcomeOf(event, { secret: "other" }), "401 WrongSignature")
        assert.strictEqual(yield* outcome({ body, signed: "" }), "401 WrongSignature")
        assert.strictEqual(yield* outcomeOf(event, { signature: right }), "202 event")
        assert.strictEqual(yield* outcomeOf(event, { signature: right.toUpperCase() }), "202 event")
      })
    )

    it.effect("is one of its raw bytes, not of what they say", () =>
      Effect.gen(function* () {
        const { event, outcome } = yield* openHook(way)
        const body = JSON.stringify(event)
        const pretty = JSON.stringify(event, undefined, 2)
        const escaped = body.replaceAll("hush", String.raw`\u0068ush`)
        for (const same of [pretty, escaped, ` ${body}`, `${body}\n`, `\uFEFF${body}`]) {
          assert.strictEqual(yield* outcome({ body: same }), "202 event")
          assert.strictEqual(yield* outcome({ body: same, signed: body }), "401 WrongSignature")
          assert.strictEqual(yield* outcome({ body, signed: same }), "401 WrongSignature")
        }
        const [start = "", ...rest] = body.split(said)
        const broken = Uint8Array.from([...bytes(start), 0xff, ...bytes(rest.join(said))])
        const replaced = bytes(new TextDecoder().decode(broken))
        assert.strictEqual(yield* outcome({ body: broken }), "400 Malformed")
        assert.strictEqual(yield* outcome({ body: replaced }), "202 event")
        assert.strictEqual(yield* outcome({ body: broken, signed: replaced }), "401 WrongSignature")
      })
    )

    it.effect("may be 300 seconds old, or early, by a clock that has no more than seconds", () =>
      Effect.gen(function* () {
        const { event, outcomeOf, seconds } = yield* openHook(way)
        const outcomes = (createdAts: ReadonlyArray<number | string | null>) =>
          Effect.forEach(createdAts, (createdAt) => outcomeOf(event, { createdAt }))
        const good = [seconds, seconds - 300, seconds + 300, ` ${seconds} `, `0${seconds}`]
        assert.deepStrictEqual(
          yield* outcomes(good),
          good.map(() => "202 event")
        )
        const bad = [
          seconds - 301,
          seconds + 301,
          null,
          "",
          "abc",
          `-${seconds}`,
          `+${seconds}`,
          `${seconds}.0`,
          `${seconds}.5`,
          `${seconds}e0`,
          `${seconds}, ${seconds}`,
          `0x${seconds.toString(16)}`,
          seconds * 1000,
          "9".repeat(12),
          `000${seconds}`,
          "Infinity",
          new Date(seconds * 1000).toISOString()
        ]
        assert.deepStrictEqual(
          yield* outcomes(bad),
          bad.map(() => "401 TooOld")
        )
        yield* TestClock.adjust("300 seconds")
        assert.strictEqual(yield* outcomeOf(event, { createdAt: seconds }), "202 event")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* outcomeOf(event, { createdAt: seconds }), "401 TooOld")
      })
    )

    it.effect("has its signature compared whole, whatever is wrong with the request", () =>
      Effect.gen(function* () {
        const compared = yield* comparisons
        const { event, outcomeOf, seconds } = yield* openHook(way)
        const cases = [
          [{}, "202 event"],
          [{ signature: null }, "401 WrongSignature"],
          [{ signature: "" }, "401 WrongSignature"],
          [{ signature: "zz" }, "401 WrongSignature"],
          [{ signature: "0".repeat(64) }, "401 WrongSignature"],
          [{ createdAt: null }, "401 TooOld"],
          [{ createdAt: "abc" }, "401 TooOld"],
          [{ createdAt: seconds - 301 }, "401 TooOld"],
          // Which is told first.
          [{ createdAt: null, signature: null }, "401 WrongSignature"],
          [{ createdAt: 0, secret: "other" }, "401 WrongSignature"]
        ] as const
        for (const [delivery, told] of cases) {
          assert.strictEqual(yield* outcomeOf(event, delivery), told)
        }
        assert.deepStrictEqual(
          compared,
          cases.map(() => 32)
        )
      })
    )

    it.effect("is of a secret that a header could not hold, or that has quotes around it", () =>
      Effect.gen(function* () {
        const { event, outcomeOf } = yield* openHook(way, {
          secret: Redacted.make('"schön still"\n')
        })
        assert.strictEqual(yield* outcomeOf(event, { secret: "schön still" }), "202 event")
      })
    )

    it.effect("may be as long as it is told, whether it says its length or not", () =>
      Effect.gen(function* () {
        const { event, outcome } = yield* openHook(way, { maxBytes: 3000 })
        const body = JSON.stringify(event)
        const most = body.padEnd(3000)
        for (const chunked of [false, true]) {
          assert.strictEqual(yield* outcome({ body: most, chunked }), "202 event")
          const longer = { body: `${most} `, chunked }
          assert.strictEqual(yield* outcome(longer), "413 TooLarge")
          // Told before anything is said of its signature.
          assert.strictEqual(yield* outcome({ ...longer, signature: null }), "413 TooLarge")
        }
      })
    )

    it.effect("may be a MiB unless told", () =>
      Effect.gen(function* () {
        const { event, outcome } = yield* openHook(way)
        const body = JSON.stringify(event)
        const most = 1024 * 1024
        assert.strictEqual(yield* outcome({ body: body.padEnd(most) }), "202 event")
        assert.strictEqual(yield* outcome({ body: body.padEnd(most + 1) }), "413 TooLarge")
      })
    )

    it.effect("is none if it is no JSON object with an event", () =>
      Effect.gen(function* () {
        const { event, outcome } = yield* openHook(way)
        const body = JSON.stringify(event)
        for (const odd of ["", " ", "{", "null", "[]", '"a"', "{}", '{"event":1}', `${body}}`]) {
          assert.strictEqual(yield* outcome({ body: odd }), "400 Malformed", odd)
        }
      })
    )

    it.effect("of another kind is none to act on, and is answered 200", () =>
      Effect.gen(function* () {
        const { deliver } = yield* openHook(way)
        for (const [kind, told] of [
          ["unique.chat.user-message.created", "unique.chat.user-message.created"],
          ["UNIQUE.CHAT.EXTERNAL-MODULE.CHOSEN", "UNIQUE.CHAT.EXTERNAL-MODULE.CHOSEN"],
          ["", "of another kind"],
          [said, "of another kind"],
          ["a".repeat(101), "of another kind"],
          ["a\u001b[2J\u202E", "of another kind"]
        ] as const) {
          const [{ status }, { exit }] = yield* deliver(JSON.stringify({ event: kind }))
          const error = errorIn(exit)
          assert.deepStrictEqual([status, error.reason], [200, "OtherEvent"])
          assert.isTrue(error.message.endsWith(told), error.message)
        }
      })
    )

    it.effect("names the fields that are wrong, and nothing of what is in them", () =>
      Effect.gen(function* () {
        const { deliver, event } = yield* openHook(way)
        const { payload } = event
        const hostile = ["", "hush'5", 'hush"5', "hush`5", "hush\u00005", "hush\n5", "hush\u202E5"]
        const ids = [...hostile, "hush5".repeat(60), 17, null, undefined, { hush: 5 }, ["hush5"]]
        const user = payload.userMessage
        const answer = payload.assistantMessage
        const places: Readonly<Record<string, (id: unknown) => unknown>> = {
          id: (id) => ({ ...event, id }),
          companyId: (companyId) => ({ ...event, companyId }),
          userId: (userId) => ({ ...event, userId }),
          "payload.chatId": (id) => ({ ...event, payload: { ...payload, chatId: id } }),
          "payload.userMessage.id": (id) => ({
            ...event,
            payload: { ...payload, userMessage: { ...user, id } }
          }),
          "payload.assistantMessage.id": (id) => ({
            ...event,
            payload: { ...payload, assistantMessage: { ...answer, id } }
          })
        }
        for (const [field, withId] of Object.entries(places)) {
          for (const id of ids) {
            const [{ status }, result] = yield* deliver(JSON.stringify(withId(id)))
            const { message, reason } = errorIn(result.exit)
            assert.deepStrictEqual([status, reason], [400, "Malformed"], JSON.stringify(id))
            assert.isTrue(message.endsWith(`: ${field}`), message)
            assert.notInclude(reachableText(result), "hush")
          }
        }
        const odd: ReadonlyArray<readonly [string, object]> = [
          ["payload", { payload: undefined }],
          ["payload", { payload: said }],
          ["payload.assistantId", { payload: { ...payload, assistantId: "" } }],
          ["payload.assistantMessage", { payload: { ...payload, assistantMessage: null } }],
          ["payload.userMessage", { payload: { ...payload, userMessage: [said] } }],
          [
            "payload.userMessage.text",
            { payload: { ...payload, userMessage: { ...user, text: 1 } } }
          ],
          ["payload.name", { payload: { ...payload, name: { said } } }]
        ]
        for (const [field, fields] of odd) {
          const [, result] = yield* deliver(JSON.stringify({ ...event, ...fields }))
          assert.isTrue(errorIn(result.exit).message.endsWith(`: ${field}`), field)
          assert.notInclude(reachableText(result), "hush")
        }
      })
    )

    it.effect("has what it is documented to have, and may lack the rest", () =>
      Effect.gen(function* () {
        const { deliver, event } = yield* openHook(way)
        const { assistantId, assistantMessage, userMessage } = event.payload
        const least = {
          id: event.id,
          event: event.event,
          ...ada,
          payload: {
            chatId,
            assistantId,
            userMessage: { id: userMessage.id },
            assistantMessage: { id: assistantMessage.id }
          }
        }
        const [, { exit }] = yield* deliver(JSON.stringify(least))
        assert.deepStrictEqual<unknown>(Exit.isSuccess(exit) ? { ...exit.value } : exit, least)
        const most = {
          ...event,
          createdAt: 17,
          version: null,
          more: said,
          payload: {
            ...event.payload,
            name: null,
            configuration: { deep: [1, { a: null }] },
            text: said,
            additionalParameters: [true],
            correlation: null,
            metadataFilter: { and: [{ path: ["folder"], value: null }] },
            userMessage: { ...userMessage, originalText: null, more: 1 }
          }
        }
        const [{ status }, told] = yield* deliver(JSON.stringify(most))
        assert.strictEqual(status, 202)
        // The body is read: what were left out of it could not be had any more.
        const { metadataFilter } = most.payload
        assert.deepInclude(Exit.isSuccess(told.exit) ? told.exit.value.payload : told, {
          metadataFilter
        })
      })
    )

    it.effect("is read however deep what an operator has configured is nested", () =>
      Effect.gen(function* () {
        const { event, outcome } = yield* openHook(way)
        const depth = 200_000
        const body = JSON.stringify({ ...event, payload: { ...event.payload, configuration: 17 } })
        const nested = body.replace(":17", `:${"[".repeat(depth)}${"]".repeat(depth)}`)
        assert.strictEqual(yield* outcome({ body: nested }), "202 event")
      })
    )

    it.effect("says nothing of the secret and the body, neither refused nor read", () =>
      Effect.gen(function* () {
        const { deliver, event } = yield* openHook(way, { maxBytes: 5000 })
        const results = [
          ...(yield* Effect.forEach(
            [
              { secret: "other" },
              { signature: null },
              { createdAt: 0 },
              { signature: signatureOf(JSON.stringify(event)), createdAt: "abc" }
            ],
            (delivery) => deliver(event, delivery)
          )),
          ...(yield* Effect.forEach(
            [
              said,
              JSON.stringify({ said }),
              JSON.stringify({ event: said }),
              JSON.stringify({ ...event, payload: said }),
              JSON.stringify(event).padEnd(5001)
            ],
            (body) => deliver(body)
          ))
        ].map(([, result]) => result)
        for (const result of results) {
          assert.isTrue(Exit.isFailure(result.exit))
          assert.instanceOf(errorIn(result.exit), UniqueWebhookError)
        }
        const [, { lines, spans }] = yield* deliver(event)
        assert.deepStrictEqual(lines, [])
        const told = reachableText({ results, spans })
        assert.include(told, "UniqueChatEvent.fromWebhook")
        for (const hidden of ["hush", signatureOf(JSON.stringify(event))]) {
          assert.notInclude(told, hidden)
        }
      })
    )

    it.effect("is a defect by a secret or a length that cannot work, which shows no secret", () =>
      Effect.gen(function* () {
        for (const options of [
          { secret: Redacted.make("") },
          { secret: Redacted.make(" '' ") },
          { maxBytes: 0 },
          { maxBytes: Number.NaN },
          { maxBytes: 1.5 },
          { maxBytes: Number.POSITIVE_INFINITY }
        ]) {
          const { deliver, event } = yield* openHook(way, options)
          const [, { exit }] = yield* deliver(event)
          const defect = Exit.isFailure(exit)
            ? exit.cause.reasons.find(Cause.isDieReason)
            : undefined
          assert.instanceOf(defect?.defect, InvalidSetting)
          assert.notInclude(reachableText(exit), "hush")
        }
      })
    )
  })
}

describe("a body that breaks off, or never ends", () => {
  const requestOf = (
    body: ReadableStream<Uint8Array>,
    headers: Readonly<Record<string, string>>
  ) => {
    const init = { method: "POST", body, headers, duplex: "half" }
    return new Request("http://localhost/hook", init)
  }
  const read = (request: Request) =>
    Effect.flip(UniqueChatEvent.fromWebhook(request, { secret: Redacted.make(secret) }))

  it.effect("is unreadable, and so is one that is longer than it says", () =>
    Effect.gen(function* () {
      const broken = new ReadableStream<Uint8Array>({
        pull: (controller) => controller.error(new Error(said))
      })
      const error = yield* read(requestOf(broken, {}))
      assert.strictEqual(error.reason, "Unreadable")
      assert.notInclude(reachableText(error), "hush")
      const longer = yield* read(requestOf(new Blob([said]).stream(), { "content-length": "3" }))
      assert.strictEqual(longer.reason, "Unreadable")
    })
  )

  it.effect("is read no further than it may be long", () =>
    Effect.gen(function* () {
      const piece = 64 * 1024
      let pieces = 0
      const left = yield* Deferred.make<void>()
      const endless = new ReadableStream<Uint8Array>({
        pull: (controller) => {
          // One that is read to its end would end here, and be too long as well.
          if (++pieces > 1000) controller.close()
          else controller.enqueue(new Uint8Array(piece))
        },
        cancel: () => {
          Deferred.doneUnsafe(left, Effect.void)
        }
      })
      const error = yield* read(requestOf(endless, {}))
      assert.strictEqual(error.reason, "TooLarge")
      yield* Deferred.await(left)
      assert.isAtMost(pieces, 20)
    })
  )
})

describe("a body that somebody has read before", () => {
  it.effect("is not there, and the request says so", () =>
    Effect.gen(function* () {
      const streamed = yield* openHook("effect", {
        before: (request) => Stream.runDrain(request.stream)
      })
      assert.strictEqual(yield* streamed.outcomeOf(streamed.event), "400 Unreadable")
      const used = yield* openHook("web", { before: (_, web) => Effect.promise(() => web.text()) })
      assert.strictEqual(yield* used.outcomeOf(used.event), "400 Unreadable")
      assert.strictEqual(
        yield* used.outcome({ body: JSON.stringify(used.event), chunked: true }),
        "400 Unreadable"
      )
      // Not held by its reader any more, and empty without an error.
      const released = yield* openHook("web", {
        before: (_, web) =>
          Effect.promise(async () => {
            const reader = web.body?.getReader()
            while (!((await reader?.read())?.done ?? true));
            reader?.releaseLock()
          })
      })
      assert.strictEqual(
        yield* released.outcome({ body: JSON.stringify(released.event), chunked: true }),
        "400 Unreadable"
      )
      const locked = yield* openHook("web", {
        before: (_, web) => Effect.sync(() => web.body?.getReader())
      })
      assert.strictEqual(yield* locked.outcomeOf(locked.event), "400 Unreadable")
    })
  )

  it.effect("is read again where it is kept, and is as long as it is told even so", () =>
    Effect.gen(function* () {
      const kept = yield* openHook("effect", { before: (request) => request.text })
      assert.strictEqual(yield* kept.outcomeOf(kept.event), "202 event")
      const long = yield* openHook("effect", { before: (request) => request.text, maxBytes: 100 })
      assert.strictEqual(yield* long.outcomeOf(long.event), "413 TooLarge")
    })
  )
})

describe("one byte that is another", () => {
  const seed = Number(process.env["RANDOM_SEED"] ?? Date.now() % 0x7fffffff)
  const changed = fc.record({
    at: fc.nat(),
    by: fc.integer({ min: 1, max: 255 }),
    ofSignature: fc.boolean()
  })

  for (const way of ways) {
    it.effect(`is refused, wherever it is, by a request of ${way} (seed ${seed})`, () =>
      Effect.gen(function* () {
        const { event, outcome } = yield* openHook(way)
        const body = bytes(JSON.stringify(event))
        const signature = Buffer.from(signatureOf(body), "hex")
        for (const { at, by, ofSignature } of fc.sample(changed, { seed, numRuns: 300 })) {
          const flipped = (whole: Uint8Array) => {
            const copy = Uint8Array.from(whole)
            const index = at % copy.length
            copy[index] = (copy[index] ?? 0) ^ by
            return copy
          }
          const told = yield* ofSignature
            ? outcome({ body, signature: Buffer.from(flipped(signature)).toString("hex") })
            : outcome({ body: flipped(body), signed: body })
          assert.strictEqual(
            told,
            "401 WrongSignature",
            `seed ${seed}: ${JSON.stringify({ at, by, ofSignature })}`
          )
        }
        assert.strictEqual(yield* outcome({ body }), "202 event")
      })
    )
  }
})

describe("an event", () => {
  it.effect("names the message to write, the attempt, and the texts of its turn", () =>
    Effect.gen(function* () {
      const { deliver, event, platform } = yield* openHook("effect")
      const { assistantId, assistantMessage } = event.payload
      platform.patchState(assistantMessage.id, { responseTurnId: "turn_1", segmentIndex: 0 })
      const [, { exit }] = yield* deliver(event)
      const read = Exit.isSuccess(exit) ? exit.value : assert.fail(String(exit))
      assert.deepStrictEqual(read.ref, refOf(assistantMessage.id))
      assert.strictEqual(read.runId, RunId.make(event.id))
      yield* Effect.flatMap(MessageContent, (content) =>
        Effect.gen(function* () {
          yield* content.modify({ ref: read.ref, text: "so far" })
          yield* content.create(newMessage())
        })
      ).pipe(Effect.provide(Layer.provide(read.content, onPlatform(platform))))
      assert.strictEqual(platform.message(assistantMessage.id)?.text, "so far")
      assert.deepInclude(platform.requests.at(-1)?.body, {
        assistantId,
        responseTurnId: "turn_1",
        segmentIndex: 1
      })
    })
  )

  it.effect("is the same attempt when it is delivered again, at another time", () =>
    Effect.gen(function* () {
      const { deliver, event, seconds } = yield* openHook("web")
      const [, first] = yield* deliver(event)
      yield* TestClock.adjust("1 hour")
      const [, again] = yield* deliver(event, { createdAt: seconds + 3600 })
      const runIds = [first, again].map(({ exit }) =>
        Exit.isSuccess(exit) ? exit.value.runId : exit
      )
      assert.deepStrictEqual(runIds, [RunId.make(event.id), RunId.make(event.id)])
    })
  )

  it.effect("leaves the content of the layer as it is", () =>
    Effect.gen(function* () {
      const { platform } = yield* openHook("web")
      const { content } = yield* openOn(platform, {})
      const error = yield* Effect.flip(content.create(newMessage()))
      assert.strictEqual(error.reason._tag, "Unsupported")
    })
  )
})
