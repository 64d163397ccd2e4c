import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Fault } from "effect-cancellation-testing"
import { eventsOf, jsonOf, openStops, pathsOf, runOf } from "./support/stops.ts"

const ada = { as: "ada" }

describe("a stop", () => {
  it.live("says when, by whom and why, and then how far it has come", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      const { stop } = pathsOf(run)
      const now = Effect.flatMap(stops.send("GET", stop, ada), jsonOf)
      yield* stops.start(run)
      const place = { chatId: "shared-1", messageId: "message-1", runId: "run-1" }
      assert.deepStrictEqual(yield* now, { phase: "none", ...place })

      const response = yield* stops.send("POST", stop, { ...ada, body: { note: "enough" } })
      assert.strictEqual(response.status, 202)
      const asked = yield* jsonOf(response)
      const request = (yield* stops.record(run))?.request
      const requested = {
        at: new Date(request?.userAbortedAt ?? 0).toISOString(),
        by: "ada",
        reason: "user",
        note: "enough"
      }
      assert.deepStrictEqual(asked, { phase: "requested", ...place, requested })
      assert.deepStrictEqual(yield* now, asked)

      yield* stops.advance(run, "observed")
      const record = yield* stops.record(run)
      const observed = { at: new Date(record?.observedAt ?? 0).toISOString() }
      assert.deepStrictEqual(yield* now, { phase: "observed", ...place, requested, observed })

      yield* stops.advance(run, "stopped")
      const ended = yield* stops.record(run)
      assert.deepStrictEqual(yield* now, {
        phase: "ended",
        ...place,
        requested,
        observed,
        ended: { at: new Date(ended?.endedAt ?? 0).toISOString(), outcome: "stopped" }
      })
    }).pipe(Effect.scoped)
  )

  it.live("asked twice is asked once, and the second answer says so", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      yield* stops.start(run)
      const first = yield* jsonOf(yield* stops.send("POST", pathsOf(run).stop, ada))
      const response = yield* stops.send("POST", pathsOf(run).stop, {
        as: "root",
        body: { note: "another" }
      })
      assert.strictEqual(response.status, 202)
      assert.deepStrictEqual(yield* jsonOf(response), { ...first, repeated: true })
      const { receipts } = yield* jsonOf(yield* stops.send("POST", pathsOf(run).chat, ada))
      assert.deepStrictEqual(receipts, [{ ...first, repeated: true }])
    }).pipe(Effect.scoped)
  )

  it.live("of what is over is too late, and of an older run superseded", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const over = runOf({ messageId: "over" })
      const older = runOf({ messageId: "again", runId: "older" })
      const newer = runOf({ messageId: "again", runId: "newer" })
      yield* stops.start(over, older)
      yield* stops.start(newer)
      yield* stops.advance(over, "completed")
      const late = yield* stops.send("POST", pathsOf(over).stop, ada)
      assert.strictEqual(late.status, 200)
      assert.strictEqual((yield* jsonOf(late))["phase"], "tooLate")
      const superseded = yield* stops.send("POST", pathsOf(older).stop, {
        ...ada,
        body: { runId: "older" }
      })
      assert.strictEqual(superseded.status, 200)
      assert.strictEqual((yield* jsonOf(superseded))["phase"], "superseded")
      assert.isUndefined((yield* stops.record(newer))?.request)
      const now = yield* jsonOf(yield* stops.send("GET", `${pathsOf(older).stop}?runId=older`, ada))
      assert.strictEqual(now["runId"], "older")
      assert.strictEqual(now["phase"], "superseded")
    }).pipe(Effect.scoped)
  )

  it.live("of a chat is for what runs in it now, and not for what a newer run has replaced", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const older = runOf({ runId: "older" })
      const newer = runOf({ runId: "newer" })
      yield* stops.start(older)
      yield* stops.start(newer)
      yield* stops.advance(newer, "completed")
      const { receipts } = yield* jsonOf(yield* stops.send("POST", pathsOf(older).chat, ada))
      assert.include(JSON.stringify(receipts), '"phase":"tooLate"')
      assert.include(JSON.stringify(receipts), '"runId":"newer"')
    }).pipe(Effect.scoped)
  )

  it.live("of a run whose process is gone says that it is lost", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      yield* stops.start(run)
      yield* stops.send("POST", pathsOf(run).stop, ada)
      yield* stops.advance(run, "lost")
      const lost = yield* jsonOf(yield* stops.send("GET", pathsOf(run).stop, ada))
      assert.strictEqual(lost["phase"], "lost")
    }).pipe(Effect.scoped)
  )

  it.live("that comes before its run waits for it, however it is aimed", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const runs = [runOf({ chatId: "a" }), runOf({ chatId: "b" }), runOf({ chatId: "c" })]
      const [byMessage, byChat, byRun] = runs
      if (!byMessage || !byChat || !byRun) throw new Error("There are three")
      for (const [path, body] of [
        [pathsOf(byMessage).stop, {}],
        [pathsOf(byChat).chat, {}],
        [pathsOf(byRun).stop, { runId: "run-1" }]
      ] as const) {
        const first = yield* stops.send("POST", path, { ...ada, body })
        assert.strictEqual(first.status, 202)
        const again = yield* stops.send("POST", path, { ...ada, body })
        const text = JSON.stringify(yield* jsonOf(again))
        assert.include(text, '"phase":"pending"')
        assert.include(text, '"repeated":true')
      }
      yield* stops.start(...runs)
      for (const run of runs) {
        assert.strictEqual((yield* stops.record(run))?.request?.requestedBy, "ada")
      }
    }).pipe(Effect.scoped)
  )

  it.live("that waits is told of to who asks again, and is nothing to read or to follow", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      const { events, stop } = pathsOf(run)
      for (const phase of ["pending", "requested", "tooLate"]) {
        if (phase === "requested") yield* stops.start(run)
        if (phase === "tooLate") yield* stops.advance(run, "completed")
        assert.strictEqual((yield* jsonOf(yield* stops.send("POST", stop, ada)))["phase"], phase)
        const receipt = yield* stops.send("GET", stop, ada)
        assert.strictEqual(receipt.status, phase === "pending" ? 404 : 200)
        const following = new AbortController()
        const { status } = yield* stops.send("GET", events, { ...ada, signal: following.signal })
        following.abort()
        assert.strictEqual(status, phase === "pending" ? 404 : 200)
      }
    }).pipe(Effect.scoped)
  )

  it.live(
    "waits in the actor's own name: an administrator stops what runs, not what another begins",
    () =>
      Effect.gen(function* () {
        const stops = yield* openStops()
        const root = { as: "root" }
        const run = runOf()
        const phaseOf = (path: string) =>
          Effect.map(Effect.flatMap(stops.send("POST", path, root), jsonOf), (told) =>
            [told, ...((told["receipts"] ?? []) as Array<typeof told>)]
              .map(({ phase }) => phase)
              .join("")
          )
        assert.strictEqual(yield* phaseOf(pathsOf(run).stop), "pending")
        yield* stops.start(run)
        assert.isUndefined((yield* stops.record(run))?.request)
        assert.strictEqual(yield* phaseOf(pathsOf(run).stop), "requested")
        assert.strictEqual(String((yield* stops.record(run))?.request?.requestedBy), "root")
        const other = runOf({ chatId: "other" })
        yield* stops.start(other)
        yield* stops.advance(other, "completed")
        assert.strictEqual(yield* phaseOf(pathsOf(other).chat), "pending")
        // by its message it is found, whosever it is
        assert.strictEqual(yield* phaseOf(pathsOf(other).stop), "tooLate")
      }).pipe(Effect.scoped)
  )

  it.live("takes the reasons of a page, and no other", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      yield* stops.start(run)
      const { stop } = pathsOf(run)
      for (const body of [
        { reason: "deadline" },
        { reason: "other:x" },
        { reason: null },
        { note: "x".repeat(501) },
        { wait: "pending" },
        { runId: 'a"b' },
        // what is misspelt or claimed stops nothing
        { runid: "run-1" },
        { requestedBy: "eve" },
        { reason: "disconnect", userAbortedAt: 1 }
      ]) {
        const refused = yield* stops.send("POST", stop, { ...ada, body })
        assert.strictEqual(refused.status, 400, JSON.stringify(body))
        assert.strictEqual((yield* jsonOf(refused))["code"], "invalid_request")
      }
      const ofChat = yield* stops.send("POST", pathsOf(run).chat, {
        ...ada,
        body: { runId: "run-1" }
      })
      assert.strictEqual(ofChat.status, 400)
      assert.isUndefined((yield* stops.record(run))?.request)
      yield* stops.send("POST", stop, { ...ada, body: { reason: "disconnect" } })
      const request = (yield* stops.record(run))?.request
      assert.strictEqual(request?.reason, "disconnect")
      assert.strictEqual(request?.requestedBy, "ada")
    }).pipe(Effect.scoped)
  )

  it.live("that cannot be written is 503 with Retry-After, never 202", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      yield* stops.start(run)
      for (const settings of [
        { requestStop: Fault.fail },
        { requestStop: Fault.hang },
        { findRuns: Fault.fail },
        { requestStop: Fault.loseAnswer }
      ]) {
        yield* stops.faults.set(settings)
        for (const path of [pathsOf(run).stop, pathsOf(run).chat]) {
          const response = yield* stops.send("POST", path, ada)
          assert.strictEqual(response.status, 503)
          assert.strictEqual(response.headers.get("retry-after"), "1")
          const body = yield* jsonOf(response)
          assert.strictEqual(body["code"], "unavailable")
          assert.notInclude(JSON.stringify(body), "requestStop")
        }
        yield* stops.faults.heal
      }
      assert.strictEqual((yield* stops.send("POST", pathsOf(run).stop, ada)).status, 202)
    }).pipe(Effect.scoped)
  )

  it.live("beyond the limit is refused, but never one that is repeated, and nobody else's", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ rateLimit: { limit: 3, window: "1 hour" } })
      const runs = ["a", "b", "c"].map((chatId) => runOf({ chatId }))
      yield* stops.start(...runs)
      const [a, b, c] = runs.map((run) => pathsOf(run))
      if (!a || !b || !c) throw new Error("There are three")
      const soon = pathsOf(runOf({ chatId: "soon" }))
      const post = (path: string, as = "ada") =>
        Effect.map(stops.send("POST", path, { as }), ({ status }) => status)
      assert.deepStrictEqual(
        yield* Effect.all([post(a.stop), post(soon.chat), post(b.stop)]),
        [202, 202, 202]
      )
      // no repetition of the one that waits in another chat
      assert.strictEqual(yield* post(pathsOf(runOf({ chatId: "later" })).chat), 429)
      const refused = yield* stops.send("POST", c.stop, ada)
      assert.strictEqual(refused.status, 429)
      assert.isAbove(Number(refused.headers.get("retry-after")), 3000)
      assert.strictEqual((yield* jsonOf(refused))["code"], "rate_limited")
      for (let press = 0; press < 20; press++) {
        assert.strictEqual(yield* post(a.stop), 202)
        assert.strictEqual(yield* post(a.chat), 202)
        assert.strictEqual(yield* post(soon.chat), 202)
      }
      assert.strictEqual(yield* post(c.stop, "root"), 202)
      // and now it is a repetition for Ada too
      assert.strictEqual(yield* post(c.stop), 202)
    }).pipe(Effect.scoped)
  )
})

describe("waiting for a stop", () => {
  for (const [wait, to] of [
    ["observed", "observed"],
    ["observed", "completed"],
    ["ended", "stopped"]
  ] as const) {
    it.live(`until it is ${wait} ends with 200 when the run is ${to}`, () =>
      Effect.gen(function* () {
        const stops = yield* openStops()
        const run = runOf()
        yield* stops.start(run)
        const waiting = yield* Effect.forkChild(
          stops.send("POST", pathsOf(run).stop, { ...ada, body: { wait } })
        )
        // the second look is that of one who waits
        yield* stops.faults.ended("findRuns", 3)
        yield* stops.advance(run, to)
        const response = yield* Fiber.join(waiting)
        assert.strictEqual(response.status, 200)
        const { phase } = yield* jsonOf(response)
        const expected = { observed: "observed", completed: "tooLate", stopped: "ended" }[to]
        assert.strictEqual(phase, expected)
      }).pipe(Effect.scoped)
    )
  }

  it.live("of a chat waits for all that runs in it", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const runs = [runOf({ messageId: "one" }), runOf({ messageId: "two" })]
      yield* stops.start(...runs)
      const [one, two] = runs
      if (!one || !two) throw new Error("There are two")
      const waiting = yield* Effect.forkChild(
        stops.send("POST", pathsOf(one).chat, { ...ada, body: { wait: "ended" } })
      )
      yield* stops.faults.ended("requestStop", 2)
      yield* stops.advance(one, "stopped")
      yield* stops.advance(two, "stopped")
      const response = yield* Fiber.join(waiting)
      assert.strictEqual(response.status, 200)
      const { receipts } = yield* jsonOf(response)
      assert.deepStrictEqual(
        (receipts as ReadonlyArray<{ readonly phase: string }>).map(({ phase }) => phase),
        ["ended", "ended"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("of a chat answers 202 while one of its runs goes on", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ maxWait: "50 millis" })
      const one = runOf({ messageId: "one" })
      yield* stops.start(one, runOf({ messageId: "two" }))
      yield* stops.send("POST", pathsOf(one).chat, ada)
      yield* stops.advance(one, "observed")
      const response = yield* stops.send("POST", pathsOf(one).chat, {
        ...ada,
        body: { wait: "observed" }
      })
      assert.strictEqual(response.status, 202)
    }).pipe(Effect.scoped)
  )

  it.live("for a run that has not begun follows it when it begins", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      const waiting = yield* Effect.forkChild(
        stops.send("POST", pathsOf(run).stop, { ...ada, body: { wait: "ended" } })
      )
      yield* stops.faults.ended("findRuns", 2)
      yield* stops.start(run)
      yield* stops.advance(run, "stopped")
      const response = yield* Fiber.join(waiting)
      assert.strictEqual(response.status, 200)
      assert.strictEqual((yield* jsonOf(response))["phase"], "ended")
    }).pipe(Effect.scoped)
  )

  it.live("ends after a while with 202 and how far it is", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ maxWait: "50 millis" })
      const run = runOf()
      yield* stops.start(run)
      yield* stops.send("POST", pathsOf(run).stop, ada)
      yield* stops.advance(run, "observed")
      const response = yield* stops.send("POST", pathsOf(run).stop, {
        ...ada,
        body: { wait: "ended" }
      })
      assert.strictEqual(response.status, 202)
      const { phase, repeated } = yield* jsonOf(response)
      assert.deepStrictEqual({ phase, repeated }, { phase: "observed", repeated: true })
    }).pipe(Effect.scoped)
  )
})

describe("the events of a stop", () => {
  it.live("are the receipt now and at each phase, and end with the last one", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf()
      yield* stops.start(run)
      const response = yield* stops.send("GET", pathsOf(run).events, ada)
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      assert.strictEqual(response.headers.get("cache-control"), "no-store")
      const told = yield* Effect.forkChild(eventsOf(response))
      const { findRuns } = yield* stops.faults.counts
      yield* stops.send("POST", pathsOf(run).stop, ada)
      for (const [step, to] of (["observed", "stopped"] as const).entries()) {
        // once more seen as it stands before it goes on
        yield* stops.faults.ended("findRuns", findRuns.calls + 3 + step * 3)
        yield* stops.advance(run, to)
      }
      assert.deepStrictEqual(
        (yield* Fiber.join(told)).map(({ phase }) => phase),
        ["none", "requested", "observed", "ended"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("tell at once of a stop that is asked here, however seldom they look", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ idleTick: "1 hour" })
      const run = runOf()
      yield* stops.start(run)
      const response = yield* stops.send("GET", pathsOf(run).events, ada)
      const told = yield* Effect.forkChild(eventsOf(response))
      // the first look after the one that opened them; the next would be in an hour
      yield* stops.faults.ended("findRuns", 2)
      yield* stops.send("POST", pathsOf(run).stop, ada)
      yield* stops.advance(run, "stopped")
      assert.strictEqual((yield* Fiber.join(told)).at(-1)?.["phase"], "ended")
    }).pipe(Effect.scoped)
  )

  it.live("of a run that another takes the place of end by saying so", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ idleTick: "10 millis" })
      const run = runOf()
      yield* stops.start(run)
      const response = yield* stops.send("GET", pathsOf(run).events, ada)
      const told = yield* Effect.forkChild(eventsOf(response))
      yield* stops.start(runOf({ runId: "newer" }))
      assert.deepStrictEqual(
        (yield* Fiber.join(told)).map(({ phase, runId }) => [phase, runId]),
        [
          ["none", "run-1"],
          ["superseded", "run-1"]
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.live(
    "of what is over are one, and who comes back after it is told that there is no more",
    () =>
      Effect.gen(function* () {
        const stops = yield* openStops()
        const run = runOf()
        yield* stops.start(run)
        yield* stops.advance(run, "completed")
        const response = yield* stops.send("GET", pathsOf(run).events, ada)
        const text = yield* Effect.promise(() => response.text())
        const id = /^id: (.*)$/m.exec(text)?.[1] ?? ""
        const again = yield* stops.send("GET", pathsOf(run).events, {
          ...ada,
          headers: { "last-event-id": id }
        })
        assert.strictEqual(again.status, 204)
      }).pipe(Effect.scoped)
  )

  it.live("have ids that a header can carry", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const run = runOf({ runId: "läuft-運行" })
      yield* stops.start(run)
      yield* stops.advance(run, "completed")
      const response = yield* stops.send("GET", pathsOf(run).events, ada)
      const text = yield* Effect.promise(() => response.text())
      const id = /^id: (.*)$/m.exec(text)?.[1] ?? ""
      assert.match(id, /^[ -~]+$/)
      const headers = { "last-event-id": id }
      const again = yield* stops.send("GET", pathsOf(run).events, { ...ada, headers })
      assert.strictEqual(again.status, 204)
    }).pipe(Effect.scoped)
  )

  it.live("end with the server, and so does who waits", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const stops = yield* Scope.provide(openStops(), scope)
      const run = runOf()
      yield* stops.start(run)
      const response = yield* stops.send("GET", pathsOf(run).events, ada)
      const told = yield* Effect.forkChild(eventsOf(response))
      const waiting = yield* Effect.forkChild(
        stops.send("POST", pathsOf(run).stop, { ...ada, body: { wait: "ended" } })
      )
      yield* stops.faults.ended("requestStop", 1)
      const { findRuns } = yield* stops.faults.counts
      yield* stops.faults.ended("findRuns", findRuns.calls + 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(told))[0]?.["phase"], "none")
      assert.strictEqual((yield* Fiber.join(waiting)).status, 202)
    })
  )
})
