import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import { UserId } from "effect-cancellation"
import { CurrentActor } from "effect-cancellation-http/CurrentActor"
import { Unavailable } from "effect-cancellation-http/Problem"
import { StopPolicy } from "effect-cancellation-http/StopPolicy"
import { jsonOf, openStops, pathsOf, runOf } from "./support/stops.ts"

const ada = { as: "ada" }
const run = runOf()

const routes = [
  ["POST", pathsOf(run).chat],
  ["POST", pathsOf(run).stop],
  ["GET", pathsOf(run).stop],
  ["GET", pathsOf(run).events]
] as const

describe("a policy", () => {
  it.live("is asked of a run of the actor's company, with what is to be done", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const policy = StopPolicy.layer((actor, { run: { ref, runId } }, action) =>
        Effect.sync(() => {
          asked.push(`${actor.userId} ${action} ${ref.companyId} ${ref.userId} ${runId}`)
          return "allow"
        })
      )
      const stops = yield* openStops({ policy })
      yield* stops.start(run, runOf({}, { companyId: "globex", userId: "eve" }))
      for (const [method, path] of routes) yield* stops.send(method, path, { as: "carl" })
      assert.deepStrictEqual(asked, [
        "carl stop acme ada run-1",
        "carl stop acme ada run-1",
        "carl read acme ada run-1",
        "carl read acme ada run-1"
      ])
    }).pipe(Effect.scoped)
  )

  const decisions: ReadonlyArray<
    readonly [what: string, layer: Layer.Layer<StopPolicy>, answer: string]
  > = [
    ["forbids", StopPolicy.layer(() => Effect.succeed("forbid")), "403 forbidden"],
    [
      "cannot decide now",
      StopPolicy.layer(() => Effect.fail(new Unavailable({ retryAfter: 7 }))),
      "503 unavailable"
    ],
    ["has a defect", StopPolicy.layer(() => Effect.die("broken")), "500 internal_error"],
    [
      "answers none of its words",
      StopPolicy.layer(() => Effect.succeed(JSON.parse('"yes"'))),
      "500 internal_error"
    ]
  ]
  for (const [what, policy, answer] of decisions) {
    it.live(`that ${what} lets nothing through: ${answer}`, () =>
      Effect.gen(function* () {
        const stops = yield* openStops({ policy })
        yield* stops.start(run)
        for (const [method, path] of routes) {
          const response = yield* stops.send(method, path, ada)
          const { code } = yield* jsonOf(response)
          assert.strictEqual(`${response.status} ${String(code)}`, answer)
          if (response.status === 503) {
            assert.strictEqual(response.headers.get("retry-after"), "7")
          }
        }
        assert.isUndefined((yield* stops.record(run))?.request)
      }).pipe(Effect.scoped)
    )
  }

  it.live("decides of the run that is stopped, also if another begins meanwhile", () =>
    Effect.gen(function* () {
      const deciding = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      const stops = yield* openStops({
        policy: StopPolicy.layer((_, { run: { runId } }) =>
          runId === "run-1"
            ? Effect.as(
                Effect.andThen(Deferred.succeed(deciding, undefined), Deferred.await(begun)),
                "allow"
              )
            : Effect.succeed("forbid")
        )
      })
      const newer = runOf({ runId: "newer" })
      yield* stops.start(run)
      const asking = yield* Effect.forkChild(stops.send("POST", pathsOf(run).stop, ada))
      yield* Deferred.await(deciding)
      yield* stops.start(newer)
      yield* Deferred.succeed(begun, undefined)
      // the newer one is meant then, and that is forbidden
      assert.strictEqual((yield* Fiber.join(asking)).status, 403)
      assert.isUndefined((yield* stops.record(newer))?.request)
    }).pipe(Effect.scoped)
  )

  it.live("that interrupts itself is a failure of the server", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ policy: StopPolicy.layer(() => Effect.interrupt) })
      yield* stops.start(run)
      for (const [method, path] of routes) {
        const response = yield* stops.send(method, path, ada)
        assert.strictEqual((yield* jsonOf(response))["code"], "internal_error")
      }
    }).pipe(Effect.scoped)
  )

  it.live("is asked of each run in a chat, and one that is hidden is not heard of", () =>
    Effect.gen(function* () {
      const hidden = runOf({ messageId: "hidden" })
      const stops = yield* openStops({
        policy: StopPolicy.layer((_, { run: { ref } }) =>
          Effect.succeed(ref.messageId === "hidden" ? "hide" : "allow")
        )
      })
      yield* stops.start(hidden, run)
      const { receipts } = yield* jsonOf(yield* stops.send("POST", pathsOf(run).chat, ada))
      assert.lengthOf(receipts as ReadonlyArray<unknown>, 1)
      assert.notInclude(JSON.stringify(receipts), "hidden")
      assert.isUndefined((yield* stops.record(hidden))?.request)
    }).pipe(Effect.scoped)
  )
})

describe("an actor", () => {
  it.live("whose ids are none is nobody", () =>
    Effect.gen(function* () {
      for (const ids of [{ userId: 'a"b' }, { userId: "" }, { userId: "a", companyId: "x\n" }]) {
        const stops = yield* openStops({ actors: CurrentActor.layer(() => Effect.succeed(ids)) })
        assert.strictEqual((yield* stops.send("GET", pathsOf(run).stop)).status, 401)
      }
    }).pipe(Effect.scoped)
  )

  it.live("whose roles are no list of strings is nobody, and no administrator", () =>
    Effect.gen(function* () {
      const said: Array<unknown> = []
      const log = Logger.layer([Logger.make(({ message }) => said.push(message))])
      for (const roles of ["not-an-admin", "admin", { includes: true }, [["admin"]], null, 1]) {
        const person = JSON.parse(JSON.stringify({ companyId: "acme", userId: "mallory", roles }))
        const actors = CurrentActor.layer(() => Effect.succeed(person))
        const stops = yield* openStops({ actors }, () => log)
        yield* stops.start(run)
        for (const [method, path] of routes) {
          const response = yield* stops.send(method, path)
          assert.strictEqual(response.status, 401, JSON.stringify(roles))
        }
        assert.isUndefined((yield* stops.record(run))?.request)
        assert.include(String(said.pop()), "CurrentActor: ")
      }
    }).pipe(Effect.scoped)
  )

  it.live("without a company is of the tenant default, and of no other", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({
        actors: CurrentActor.layer(() => Effect.succeed({ userId: "ada" })),
        policy: StopPolicy.layer(() => Effect.succeed("allow"))
      })
      yield* stops.start(run)
      assert.strictEqual((yield* stops.send("GET", pathsOf(run).stop)).status, 404)
      yield* stops.start(runOf({}, { userId: "bob" }))
      assert.strictEqual((yield* stops.send("GET", pathsOf(run).stop)).status, 200)
    }).pipe(Effect.scoped)
  )

  it.live("called default does not own what has no user", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({
        actors: CurrentActor.layer(() => Effect.succeed({ companyId: "acme", userId: "default" }))
      })
      // however the store says that there is none
      for (const owner of [{ companyId: "acme" }, { companyId: "acme", userId: "default" }]) {
        const unowned = runOf({}, owner)
        yield* stops.start(unowned)
        assert.strictEqual((yield* stops.send("GET", pathsOf(unowned).stop)).status, 404)
      }
    }).pipe(Effect.scoped)
  )

  it.live("of two messages of one name is meant to have the own one", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const own = runOf({}, { companyId: "acme", userId: "root" })
      yield* stops.start(run, own)
      yield* stops.send("POST", pathsOf(run).stop, { as: "root" })
      assert.isUndefined((yield* stops.record(run))?.request)
      assert.isDefined((yield* stops.record(own))?.request)
    }).pipe(Effect.scoped)
  )

  it.live("whose refs have no user is waited for under none", () =>
    Effect.gen(function* () {
      const unowned = runOf({}, { companyId: "acme" })
      for (const [policy, requestedBy] of [
        [StopPolicy.layer(() => Effect.succeed("allow")), "ada"],
        // whose they are this one cannot tell, so it lets nobody stop them, now or later
        [StopPolicy.layerOwn(), undefined]
      ] as const) {
        const stops = yield* openStops({ policy, ownerOf: () => undefined })
        for (const path of [pathsOf(unowned).stop, pathsOf(unowned).chat]) {
          yield* stops.send("POST", path, ada)
        }
        yield* stops.start(unowned)
        const { request } = (yield* stops.record(unowned)) ?? {}
        assert.strictEqual(request && String(request.requestedBy), requestedBy)
      }
    }).pipe(Effect.scoped)
  )

  it.live("is not heard of by who asks in the place of what is hidden", () =>
    Effect.gen(function* () {
      // without users in the refs, everything is in everybody's place
      const run = runOf({}, { companyId: "acme" })
      const policies = [
        StopPolicy.layer(() => Effect.succeed("hide")),
        StopPolicy.layer((_, { startedAt }) => Effect.succeed(startedAt === 0 ? "allow" : "hide"))
      ]
      for (const policy of policies) {
        for (const body of [{}, { runId: "run-1" }]) {
          for (const state of ["runs", "ended"]) {
            const stops = yield* openStops({ policy, ownerOf: () => undefined })
            yield* stops.start(run)
            if (state === "ended") yield* stops.advance(run, "completed")
            const answers = [
              yield* jsonOf(yield* stops.send("POST", pathsOf(run).stop, { ...ada, body }))
            ]
            if (state === "runs") {
              const all = yield* jsonOf(yield* stops.send("POST", pathsOf(run).chat, ada))
              answers.push(...(all["receipts"] as ReadonlyArray<Record<string, unknown>>))
            }
            for (const answer of answers) {
              assert.strictEqual(answer["phase"], "pending")
              assert.isTrue(answer["runId"] === undefined || answer["runId"] === body.runId)
            }
            assert.isUndefined((yield* stops.record(run))?.request)
          }
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("is told of what waits in the place of what is hidden as if nothing were there", () =>
    Effect.gen(function* () {
      const policy = StopPolicy.layer((_, { startedAt }) =>
        Effect.succeed(startedAt === 0 ? "allow" : "hide")
      )
      const told: Array<unknown> = []
      for (const isThere of [true, false]) {
        const stops = yield* openStops({ policy, ownerOf: () => undefined })
        const unowned = runOf({}, { companyId: "acme" })
        if (isThere) yield* stops.start(unowned)
        const answers: Array<unknown> = []
        for (const body of [{ runId: "run-1", note: "one" }, { note: "two" }, { note: "three" }]) {
          const { requested, repeated } = yield* jsonOf(
            yield* stops.send("POST", pathsOf(unowned).stop, { ...ada, body })
          )
          answers.push([JSON.parse(JSON.stringify(requested)).note, repeated])
        }
        told.push(answers)
      }
      assert.deepStrictEqual(told[0], told[1])
    }).pipe(Effect.scoped)
  )

  it.live("has its own message before another's also if its refs have other names of users", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({
        ownerOf: ({ userId }) => UserId.make(`user:${userId}`),
        policy: StopPolicy.layer((actor, { run }) =>
          Effect.succeed(run.ref.userId === `user:${actor.userId}` ? "allow" : "forbid")
        )
      })
      const others = runOf({}, { companyId: "acme", userId: "user:bob" })
      const own = runOf({}, { companyId: "acme", userId: "user:ada" })
      yield* stops.start(others, own)
      yield* stops.send("POST", pathsOf(own).stop, ada)
      assert.isDefined((yield* stops.record(own))?.request)
    }).pipe(Effect.scoped)
  )

  it.live("is told nothing of what is hidden by waiting in its place", () =>
    Effect.gen(function* () {
      const unowned = runOf({}, { companyId: "acme" })
      for (const [wait, state] of [
        ["observed", "observed"],
        ["ended", "stopped"]
      ] as const) {
        const stops = yield* openStops({
          policy: StopPolicy.layer(({ userId }) =>
            Effect.succeed(userId === "root" ? "allow" : "hide")
          ),
          ownerOf: () => undefined,
          maxWait: "100 millis"
        })
        yield* stops.start(unowned)
        yield* stops.send("POST", pathsOf(unowned).stop, { as: "root" })
        yield* stops.advance(unowned, state)
        const response = yield* stops.send("POST", pathsOf(unowned).stop, {
          ...ada,
          body: { wait }
        })
        assert.strictEqual(response.status, 202)
        assert.strictEqual((yield* jsonOf(response))["phase"], "pending")
      }
    }).pipe(Effect.scoped)
  )

  it.effect("is told of a chat in which something hidden has just ended as if nothing had", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const byName = StopPolicy.layer((_, { run: { ref } }) =>
        Effect.succeed(ref.messageId === "hidden" ? "hide" : "allow")
      )
      const unbegun = StopPolicy.layer((_, { startedAt }) =>
        Effect.succeed(startedAt === 0 ? "allow" : "hide")
      )
      for (const [policy, ownerOf] of [
        [byName, undefined],
        [byName, () => undefined],
        [unbegun, undefined]
      ] as const) {
        const owner = { companyId: "acme", ...(ownerOf ? {} : { userId: "ada" }) }
        const hidden = runOf({ messageId: "hidden" }, owner)
        const told: Array<unknown> = []
        for (const isThere of [true, false]) {
          const stops = yield* openStops({ policy, ownerOf }, () =>
            Layer.succeed(Clock.Clock, clock)
          )
          if (isThere) {
            yield* stops.start(hidden)
            yield* stops.advance(hidden, "completed")
          }
          const begun = yield* Clock.currentTimeMillis
          const answers: Array<unknown> = []
          // What has just ended has not any more at the last one.
          for (const note of ["one", "two", "three"]) {
            yield* TestClock.adjust("12 seconds")
            const before = yield* stops.faults.counts
            const response = yield* stops.send("POST", pathsOf(hidden).chat, {
              ...ada,
              body: { note, wait: "ended" }
            })
            const { receipts } = yield* jsonOf(response)
            const after = yield* stops.faults.counts
            const times = JSON.stringify(receipts).replaceAll(/"(\d{4}-[^"]*Z)"/g, (_, time) =>
              String(Date.parse(String(time)) - begun)
            )
            answers.push([
              response.status,
              Array.from(response.headers),
              times,
              Object.entries(after).map(([name, { calls }]) => [
                name,
                calls - (before[name as keyof typeof before]?.calls ?? 0)
              ])
            ])
          }
          assert.include(JSON.stringify(answers), "pending")
          assert.notInclude(JSON.stringify(answers), "hidden")
          told.push(answers)
        }
        assert.deepStrictEqual(told[0], told[1])
      }
    }).pipe(Effect.scoped)
  )
})

describe("a policy or a login that never answers", () => {
  const never = Deferred.makeUnsafe<void>()
  const hangs: ReadonlyArray<
    readonly [
      what: string,
      seconds: number,
      (reached: Effect.Effect<unknown>) => Parameters<typeof openStops>[0]
    ]
  > = [
    [
      "a policy",
      5,
      (reached) => ({
        policy: StopPolicy.layer(() =>
          reached.pipe(Effect.andThen(Deferred.await(never)), Effect.as("allow"))
        )
      })
    ],
    [
      "a policy that cannot be interrupted",
      5,
      (reached) => ({
        policy: StopPolicy.layer(() =>
          reached.pipe(
            Effect.andThen(Deferred.await(never)),
            Effect.as("allow" as const),
            Effect.uninterruptible
          )
        )
      })
    ],
    [
      "a login",
      10,
      (reached) => ({
        actors: CurrentActor.layer(() =>
          reached.pipe(Effect.andThen(Deferred.await(never)), Effect.as({ userId: "ada" }))
        )
      })
    ]
  ]
  for (const [what, seconds, options] of hangs) {
    it.effect(`${what} is given up after ${seconds} seconds, and nothing is stopped`, () =>
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        const reached = yield* Deferred.make<void>()
        const stops = yield* openStops(options(Deferred.succeed(reached, undefined)), () =>
          Layer.succeed(Clock.Clock, clock)
        )
        yield* stops.start(run)
        const asking = yield* Effect.forkChild(stops.send("POST", pathsOf(run).stop, ada))
        yield* Deferred.await(reached)
        yield* TestClock.adjust(`${seconds} seconds`)
        const response = yield* Fiber.join(asking)
        assert.strictEqual(response.status, 503)
        assert.strictEqual((yield* jsonOf(response))["code"], "unavailable")
        assert.isUndefined((yield* stops.record(run))?.request)
      }).pipe(Effect.scoped)
    )
  }
})
