/** An agent's webhook on a real socket, which reads events of a web `Request` or of Effect's. */
import { createHmac } from "node:crypto"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { NodeHttpServer } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { UniqueChatEvent, type UniqueWebhookError } from "../src/index.ts"
import { ada, chatId, overheard } from "./content.fixture.ts"
import { type Platform, startPlatform } from "./support/PlatformServer.ts"

export const secret = "hush-webhook-secret"
/** What the person says in every event. */
export const said = "hush, nobody is to read this"

export const ways = ["web", "effect"] as const
export type Way = (typeof ways)[number]

interface HookOptions {
  readonly secret?: Redacted.Redacted
  readonly maxBytes?: number
  /** Takes the body before the event is read. */
  readonly before?: (
    request: HttpServerRequest.HttpServerRequest,
    web: Request
  ) => Effect.Effect<unknown, unknown>
}

type Event = ReturnType<Platform["chatEvent"]>

interface Post {
  readonly body: string | Uint8Array<ArrayBuffer>
  /** The body that is signed, if another. */
  readonly signed?: string | Uint8Array<ArrayBuffer>
  readonly signedWith?: string
  /** Instead of the right one; null leaves the header out. */
  readonly signature?: string | null
  /** Seconds since 1970; null leaves the header out. */
  readonly createdAt?: number | string | null
  /** In pieces, without a content-length. */
  readonly chunked?: boolean
}

export const signatureOf = (body: string | Uint8Array, key = secret) =>
  createHmac("sha256", key).update(body).digest("hex")

/** A webhook, its platform, and a test's clock that has the right time, to the second. */
export const openHook = Effect.fnUntraced(function* (way: Way, options: HookOptions = {}) {
  const seconds = Math.floor(Date.now() / 1000)
  yield* TestClock.setTime(seconds * 1000)
  const platform = yield* startPlatform()
  const heard =
    yield* Queue.unbounded<
      Effect.Success<ReturnType<typeof overheard<UniqueChatEvent, UniqueWebhookError, never>>>
    >()
  const handle = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const web = yield* HttpServerRequest.toWeb(request)
    if (options.before !== undefined) yield* options.before(request, web)
    const { maxBytes } = options
    const given = { secret: options.secret ?? Redacted.make(secret), maxBytes }
    const result = yield* overheard(
      UniqueChatEvent.fromWebhook(way === "web" ? web : request, given)
    )
    yield* Queue.offer(heard, result)
    const error = Exit.findErrorOption(result.exit)
    return HttpServerResponse.empty({
      status: error._tag === "Some" ? error.value.status : Exit.isSuccess(result.exit) ? 202 : 500
    })
  })
  const server = createServer()
  yield* Layer.build(
    Layer.fresh(
      HttpServer.serve(handle).pipe(
        Layer.provide(
          NodeHttpServer.layer(() => server, {
            port: 0,
            host: "127.0.0.1",
            gracefulShutdownTimeout: "1 millis"
          })
        )
      )
    )
  )
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  // Real time is up to a second ahead of the clock here.
  const deliver = (
    event: Event | string,
    delivery: Partial<Parameters<Platform["deliver"]>[2]> = {}
  ) =>
    Effect.zip(
      platform.deliver(url, event, { secret, createdAt: seconds, ...delivery }),
      Queue.take(heard)
    )
  const post = ({ body, chunked, createdAt = seconds, signature, ...signed }: Post) => {
    const headers = new Headers({ "content-type": "application/json" })
    const right = signatureOf(signed.signed ?? body, signed.signedWith)
    if (signature !== null) headers.set("x-unique-signature", signature ?? right)
    if (createdAt !== null) headers.set("x-unique-created-at", String(createdAt))
    const sent = chunked === true ? new Blob([body]).stream() : body
    const answer = Effect.promise((signal) =>
      fetch(url, { method: "POST", headers, body: sent, signal, ...duplex })
    )
    return Effect.zip(answer, Queue.take(heard))
  }
  return {
    platform,
    seconds,
    event: platform.chatEvent({ ...ada, chatId, text: said }),
    deliver,
    post,
    /** What a body as posted comes to: the status, and the reason or `event`. */
    outcome: (posted: Post) =>
      Effect.map(post(posted), ([{ status }, { exit }]) => `${status} ${saidBy(exit)}`),
    outcomeOf: (...delivered: Parameters<typeof deliver>) =>
      Effect.map(deliver(...delivered), ([{ status }, { exit }]) => `${status} ${saidBy(exit)}`)
  }
})

// A stream as body needs it, and the types do not know it.
const duplex = { duplex: "half" }

export const errorIn = (exit: Exit.Exit<unknown, UniqueWebhookError>): UniqueWebhookError => {
  const error = Exit.findErrorOption(exit)
  return error._tag === "Some" ? error.value : assert.fail(`it is no failure: ${String(exit)}`)
}

const saidBy = (exit: Exit.Exit<unknown, UniqueWebhookError>): string =>
  Exit.isSuccess(exit) ? "event" : errorIn(exit).reason
