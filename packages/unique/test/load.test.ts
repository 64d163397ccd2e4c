// A thousand watched messages in fifty chats: how often the platform is asked, and who is stopped.
import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { CancellationWatcher, MessageRef, MessageRepo, MessageStore } from "effect-cancellation"
import { onPlatform } from "./support/platform.ts"
import { type Platform, startPlatform } from "./support/PlatformServer.ts"
import type { PlatformRequest } from "./support/platformTraffic.ts"

const chats = 50
const concurrency = 16

const refs = Array.from({ length: 1000 }, (_, index) => {
  const chat = index % chats
  return MessageRef.of({
    companyId: `company_${chat % 5}`,
    userId: `user_${chat}`,
    chatId: `chat_${chat}`,
    messageId: `msg_${index}`
  })
})

/** A look that is over: for whom, and what the platform was asked from its begin to its end. */
interface Look {
  readonly messages: ReadonlyArray<string>
  readonly requests: ReadonlyArray<PlatformRequest>
  /** No other look was under way with it. */
  readonly alone: boolean
}

const openRepo = Effect.fnUntraced(function* (platform: Platform) {
  const looks = yield* Queue.unbounded<Look>()
  let begun = 0
  let underWay = 0
  const watched = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        stopRequests: (runs) =>
          Effect.suspend(() => {
            const nth = ++begun
            const from = platform.requests.length
            const first = underWay++ === 0
            return Effect.ensuring(
              store.stopRequests(runs),
              Effect.sync(() => {
                underWay--
                Queue.offerUnsafe(looks, {
                  messages: runs.map(({ ref }) => ref.messageId),
                  requests: platform.requests.slice(from),
                  alone: first && begun === nth
                })
              })
            )
          })
      })
    )
  )
  // Nothing is given up, however slow the machine is.
  const pollTimeout = "1 minute"
  const repo = yield* Layer.build(
    MessageRepo.layer({ pollTimeout }).pipe(
      Layer.provide(watched),
      Layer.provide(onPlatform(platform, { concurrency, pollTimeout }))
    )
  )
  return { repo, looks, isIdle: () => underWay === 0 }
})

/** Takes looks until one is of this kind. */
const lookThat = (looks: Queue.Queue<Look>, predicate: (look: Look) => boolean) =>
  Effect.repeat(Queue.take(looks), { until: predicate })

/** All messages are watched, each has been looked at, and a tick follows the other. */
const watchAll = Effect.gen(function* () {
  const platform = yield* startPlatform({ latency: 5 })
  for (const { chatId, companyId = "", messageId, userId = "" } of refs) {
    platform.add({ id: messageId, chatId, companyId, userId })
  }
  const { looks, ...opened } = yield* openRepo(platform)
  const runs = yield* Scope.fork(yield* Effect.scope)
  const interrupted = yield* Queue.unbounded<number>()
  const watch = (ref: MessageRef, index: number, pollInterval: "1 hour" | "20 millis") =>
    Effect.never.pipe(
      Effect.onInterrupt(() => Queue.offer(interrupted, index)),
      CancellationWatcher.runWithCancellation({ cancelResult: undefined }),
      Effect.provide(CancellationWatcher.layer({ ref, pollInterval }), { local: true }),
      Effect.provideContext(opened.repo),
      Effect.forkIn(runs)
    )

  const unseen = new Set<string>(refs.slice(1).map(({ messageId }) => messageId))
  const fibers = yield* Effect.forEach(refs.slice(1), (ref, n) => watch(ref, n + 1, "1 hour"))
  yield* lookThat(looks, ({ messages }) => {
    for (const message of messages) unseen.delete(message)
    return unseen.size === 0
  })
  // It wants ticks, and all are looked at with it.
  const [first] = refs
  if (first !== undefined) fibers.unshift(yield* watch(first, 0, "20 millis"))
  yield* lookThat(looks, ({ messages }) => messages.length === 1)
  return { ...opened, platform, looks, runs, interrupted, fibers }
})

const chatsOf = (requests: ReadonlyArray<PlatformRequest>) =>
  requests
    .map(({ query }) => query["chatId"] ?? "")
    .toSorted((one, other) => one.localeCompare(other))

const allChats = Array.from({ length: chats }, (_, chat) => `chat_${chat}`).toSorted((one, other) =>
  one.localeCompare(other)
)

/** In an order that has nothing to do with chats and companies. */
const shuffled = (values: ReadonlyArray<number>) =>
  values.toSorted((one, other) => digest(one).localeCompare(digest(other)))
const digest = (value: number) => createHash("sha256").update(String(value)).digest("hex")

// Each stop has a line of its own.
const quiet = Effect.provideService(References.MinimumLogLevel, "Warn")

describe("a thousand watched messages in fifty chats", () => {
  it.live("are one request for each chat in a tick", () =>
    Effect.gen(function* () {
      const { looks, platform } = yield* watchAll
      yield* lookThat(looks, ({ alone }) => alone)
      const ticks = yield* Effect.replicateEffect(Queue.take(looks), 5)
      for (const { alone, messages, requests } of ticks) {
        assert.isTrue(alone)
        assert.strictEqual(messages.length, refs.length)
        assert.deepStrictEqual(chatsOf(requests), allChats)
        for (const { method, path } of requests) {
          assert.deepStrictEqual([method, path], ["GET", "/public/chat-gen2/messages"])
        }
      }
      // Between the ticks nothing is asked.
      const asked = ticks.flatMap(({ requests }) => requests)
      const from = platform.requests.findIndex((request) => request === asked[0])
      assert.deepStrictEqual(platform.requests.slice(from, from + asked.length), asked)
      assert.isAtMost(platform.maxConcurrent, concurrency)
    }).pipe(quiet)
  )

  it.live("end by their own stops alone, and then nobody is asked any more", () =>
    Effect.gen(function* () {
      const { fibers, interrupted, isIdle, looks, platform, runs } = yield* watchAll
      const stopped = shuffled(Array.from(refs.keys())).slice(0, 100)
      for (const index of stopped) platform.stopMessage(`msg_${index}`)
      const ended = yield* Queue.takeN(interrupted, stopped.length)
      assert.deepStrictEqual(new Set(ended), new Set(stopped))
      yield* Effect.forEach(stopped, (index) =>
        Effect.flatMap(Effect.fromNullishOr(fibers[index]), Fiber.join)
      )
      for (let tick = 0; tick < 3; tick++) {
        yield* lookThat(looks, ({ messages }) => messages.length === refs.length - stopped.length)
      }
      assert.strictEqual(yield* Queue.size(interrupted), 0)

      yield* Scope.close(runs, Exit.void)
      yield* Effect.forEach(fibers, Fiber.await)
      assert.strictEqual(yield* Queue.size(interrupted), refs.length - stopped.length)
      // A look that was under way ends as it would have.
      if (!isIdle()) yield* lookThat(looks, isIdle)
      yield* Effect.forEach(platform.requests, ({ over }) => over)
      platform.clear()

      // Somebody else's ticks tell that time goes by.
      const other = platform.add({ companyId: "other", userId: "other", chatId: "other" })
      const elsewhere = yield* openRepo(platform)
      yield* Effect.never.pipe(
        CancellationWatcher.runWithCancellation({ cancelResult: undefined }),
        Effect.provide(
          CancellationWatcher.layer({
            ref: MessageRef.of({
              companyId: "other",
              userId: "other",
              chatId: "other",
              messageId: other.id
            }),
            pollInterval: "20 millis"
          }),
          { local: true }
        ),
        Effect.provideContext(elsewhere.repo),
        Effect.forkScoped
      )
      yield* Effect.replicateEffect(Queue.take(elsewhere.looks), 10)
      assert.deepStrictEqual(new Set(chatsOf(platform.requests)), new Set(["other"]))
      assert.strictEqual(yield* Queue.size(looks), 0)
    }).pipe(quiet)
  )
})
