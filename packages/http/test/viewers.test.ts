import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { HttpEffect, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import {
  InvalidSetting,
  MessageRepo,
  MessageStore,
  type Run,
  RunQuery,
  UserId
} from "effect-cancellation"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { Viewers, type ViewersOptions } from "effect-cancellation-http/Viewers"
import { until } from "../../sql/test/support/until.ts"
import { openStops, pathsOf, runOf } from "./support/stops.ts"

const run = runOf()
const bob = UserId.make("bob")

const services = (options: ViewersOptions) =>
  Viewers.layer(options).pipe(
    Layer.provideMerge(MessageRepo.layer()),
    Layer.provideMerge(StoreFaults.layer(MessageStore.layerMemory()))
  )

const begin = Effect.flatMap(StoreFaults, ({ store }) => store.startRuns([run]))

const requestOf = Effect.flatMap(StoreFaults, ({ store }) =>
  Effect.map(
    store.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] })),
    ([record]) => record?.request
  )
)

const eventsUntil = (maxEvents: Duration.Input) =>
  openStops({ maxEvents }, (repo) =>
    Viewers.layer({ onDisconnect: "stop", grace: 0 }).pipe(Layer.provide(repo))
  )

/** Somebody who looks, and how they leave. */
const arrive = Effect.fnUntraced(function* (viewer?: UserId) {
  const { look } = yield* Viewers
  const scope = yield* Scope.make()
  yield* Scope.provide(look(run, viewer), scope)
  return {
    vanish: Scope.close(scope, Exit.failCause(Cause.interrupt())),
    finish: Scope.close(scope, Exit.void)
  }
})

describe("when the last one has left", () => {
  it.effect("the run goes on by default, and if it is told to", () =>
    Effect.gen(function* () {
      for (const layer of [
        services({ onDisconnect: "continue" }),
        Layer.provideMerge(MessageRepo.layer(), StoreFaults.layer(MessageStore.layerMemory()))
      ]) {
        yield* Effect.gen(function* () {
          yield* begin
          const { vanish } = yield* arrive()
          yield* vanish
          yield* TestClock.adjust("1 hour")
          assert.isUndefined(yield* requestOf)
        }).pipe(Effect.provide(layer))
      }
    })
  )

  it.effect("the run is stopped after the grace, with the reason disconnect", () =>
    Effect.gen(function* () {
      yield* begin
      const { vanish } = yield* arrive(bob)
      yield* vanish
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(yield* requestOf)
      yield* TestClock.adjust("1 second")
      const request = yield* requestOf
      assert.strictEqual(request?.reason, "disconnect")
      assert.strictEqual(request?.requestedBy, bob)
    }).pipe(Effect.provide(services({ onDisconnect: "stop" })))
  )

  it.effect("the run goes on if somebody came back in time, and only then", () =>
    Effect.gen(function* () {
      yield* begin
      const first = yield* arrive()
      yield* first.vanish
      yield* TestClock.adjust("4 seconds")
      const again = yield* arrive()
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(yield* requestOf)
      yield* again.vanish
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* requestOf)?.reason, "disconnect")
    }).pipe(Effect.provide(services({ onDisconnect: "stop", grace: "5 seconds" })))
  )

  it.effect("is not when one of two has", () =>
    Effect.gen(function* () {
      yield* begin
      const one = yield* arrive()
      const other = yield* arrive()
      yield* one.vanish
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(yield* requestOf)
      yield* other.vanish
      yield* TestClock.adjust("10 seconds")
      assert.isDefined(yield* requestOf)
    }).pipe(Effect.provide(services({ onDisconnect: "stop" })))
  )

  it.effect("is not a matter if they were shown everything", () =>
    Effect.gen(function* () {
      yield* begin
      const { finish } = yield* arrive()
      yield* finish
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(yield* requestOf)
    }).pipe(Effect.provide(services({ onDisconnect: "stop" })))
  )

  it.effect("the stop is asked again while the store does not take it", () =>
    Effect.gen(function* () {
      yield* begin
      const faults = yield* StoreFaults
      yield* faults.set({ requestStop: Fault.fail })
      const { vanish } = yield* arrive()
      yield* vanish
      yield* TestClock.adjust("20 seconds")
      yield* faults.heal
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* requestOf)?.reason, "disconnect")
    }).pipe(Effect.provide(services({ onDisconnect: "stop" })))
  )

  it.effect("nobody who comes is held up by the stop of who has left", () =>
    Effect.gen(function* () {
      yield* begin
      const faults = yield* StoreFaults
      yield* faults.set({ requestStop: Fault.hangUninterruptibly })
      const { vanish } = yield* arrive()
      yield* vanish
      const stopping = yield* Effect.forkChild(faults.begun("requestStop", 1))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(stopping)
      yield* arrive()
      yield* faults.heal
    }).pipe(Effect.provide(services({ onDisconnect: "stop" })))
  )

  it.effect("of a stream of words, that is when its reader is interrupted", () =>
    Effect.gen(function* () {
      yield* begin
      const words = Stream.make("one").pipe(Stream.concat(Stream.never), Viewers.watching(run, bob))
      const reader = yield* Effect.forkChild(Stream.runDrain(words), { startImmediately: true })
      yield* Fiber.interrupt(reader)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* requestOf)?.reason, "disconnect")
    }).pipe(Effect.provide(services({ onDisconnect: "stop" })))
  )

  for (const way of ["cancel", "abort"]) {
    it.effect(`of a web response that knows its request, that is when its reader does ${way}`, () =>
      Effect.gen(function* () {
        yield* begin
        const words = Stream.make("one").pipe(
          Stream.concat(Stream.never),
          Stream.encodeText,
          Viewers.watching(run, bob)
        )
        const services = yield* Effect.context<StoreFaults>()
        const handler = HttpEffect.toWebHandlerWith<
          StoreFaults,
          HttpServerRequest.HttpServerRequest
        >(services)(
          Effect.map(Effect.context<HttpServerRequest.HttpServerRequest>(), (context) =>
            HttpServerResponse.stream(Stream.provideContext(words, context))
          )
        )
        const page = new AbortController()
        const response = yield* Effect.promise(() =>
          handler(new Request("http://localhost/", { signal: page.signal }))
        )
        const reader = response.body?.getReader()
        yield* Effect.promise(async () => reader?.read())
        if (way === "abort") page.abort()
        else yield* Effect.promise(async () => reader?.cancel())
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* requestOf)?.reason, "disconnect")
      }).pipe(Effect.provide(services({ onDisconnect: "stop" })))
    )
  }

  const withEvents = eventsUntil("10 minutes")
  const lookOn = (stops: Effect.Success<typeof withEvents>, at: Run, as: string) =>
    Effect.map(stops.send("GET", pathsOf(at).events, { as }), (response) => {
      const reader = response.body?.getReader()
      return {
        told: Effect.promise(async () => reader?.read()),
        vanish: Effect.promise(async () => reader?.cancel())
      }
    })

  it.live("of the events of the Stop API, that is when the page has gone", () =>
    Effect.gen(function* () {
      const stops = yield* withEvents
      yield* stops.start(run)
      const { told, vanish } = yield* lookOn(stops, run, "ada")
      yield* told
      assert.isUndefined((yield* stops.record(run))?.request)
      yield* vanish
      const record = yield* until(stops.record(run), (seen) => seen?.request !== undefined)
      assert.strictEqual(record?.request?.reason, "disconnect")
      assert.strictEqual(record?.request?.requestedBy, "ada")
    }).pipe(Effect.scoped)
  )

  it.live("who does not come back when the events have ended by their time has left", () =>
    Effect.gen(function* () {
      const stops = yield* eventsUntil("20 millis")
      yield* stops.start(run)
      const response = yield* stops.send("GET", pathsOf(run).events, { as: "ada" })
      yield* Effect.promise(() => response.text())
      const record = yield* until(stops.record(run), (seen) => seen?.request !== undefined)
      assert.strictEqual(record?.request?.reason, "disconnect")
    }).pipe(Effect.scoped)
  )

  it.live("nobody who may only read stops a run by leaving", () =>
    Effect.gen(function* () {
      const stops = yield* withEvents
      const own = runOf({ messageId: "own" }, { companyId: "acme", userId: "bob" })
      yield* stops.start(run, own)
      // Bob may stop only the one that he leaves last
      for (const one of [run, own]) {
        const { told, vanish } = yield* lookOn(stops, one, "bob")
        yield* told
        yield* vanish
      }
      yield* until(stops.record(own), (seen) => seen?.request !== undefined)
      assert.isUndefined((yield* stops.record(run))?.request)
    }).pipe(Effect.scoped)
  )

  it.effect("a grace that cannot be kills the layer", () =>
    Effect.gen(function* () {
      for (const grace of [-1, Infinity]) {
        const exit = yield* Effect.exit(
          Effect.scoped(Layer.build(services({ onDisconnect: "stop", grace })))
        )
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidSetting)
      }
    })
  )
})
