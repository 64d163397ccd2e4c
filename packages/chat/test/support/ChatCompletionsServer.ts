// A server on a real socket that speaks the chat-completions protocol from a script, refuses what a
// strict server refuses, and keeps what it was asked, what it sent and when its client left.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { setImmediate as soon } from "node:timers"
import { setImmediate, setTimeout } from "node:timers/promises"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { requestViolations } from "./chatCompletionsFormat.ts"
import { isObject, type Json } from "./shape.ts"

/** One thing that the server does. */
export type Step =
  /** Sends a chunk; one with a usage is only sent to who asked for it. */
  | { readonly step: "chunk"; readonly chunk: Json }
  /** Waits for the test. Before the first chunk nothing has been sent, not even headers. */
  | { readonly step: "wait"; readonly until: Effect.Effect<unknown> }
  /** From here on waits this long before each chunk; 0 gives the socket a turn. */
  | { readonly step: "pace"; readonly milliseconds: number }
  /** Sends the headers now. */
  | { readonly step: "headers" }
  /** Breaks the connection. */
  | { readonly step: "break" }
  /** Ends the answer without `[DONE]`. */
  | { readonly step: "end" }
  /** Answers an error of the protocol instead; only as the first step. */
  | {
      readonly step: "refuse"
      readonly status: number
      readonly error: Json
      readonly headers: Readonly<Record<string, string>>
    }

/** What the server does for one request, in order; `[DONE]` comes at the end by itself. */
export type Script = ReadonlyArray<Step>

const choice = (delta: Json, finish_reason: string | null = null): Step => ({
  step: "chunk",
  chunk: { choices: [{ index: 0, delta, finish_reason }] }
})

/** A chunk a word. */
export const say = (...words: ReadonlyArray<string>): Script =>
  words.map((content) => choice({ content }))

/** A call, its arguments in this many pieces (3). */
export const call = (call: {
  readonly id: string
  readonly name: string
  /** JSON text as it is sent, or what to write as JSON. */
  readonly params: unknown
  readonly index?: number
  readonly pieces?: number
}): Script => {
  const json = typeof call.params === "string" ? call.params : JSON.stringify(call.params)
  const size = Math.max(1, Math.ceil(json.length / (call.pieces ?? 3)))
  const pieces = json.match(new RegExp(`[^]{1,${size}}`, "g")) ?? []
  const index = call.index ?? 0
  const first = {
    index,
    id: call.id,
    type: "function",
    function: { name: call.name, arguments: "" }
  }
  return [
    choice({ tool_calls: [first] }),
    ...pieces.map((piece) => choice({ tool_calls: [{ index, function: { arguments: piece } }] }))
  ]
}

/** Why the model ended, and what it cost. */
export const finish = (reason: string, usage?: Json): Script => [
  choice({}, reason),
  ...(usage === undefined ? [] : [raw({ choices: [], usage })])
]

/** A chunk as it is. */
export const raw = (chunk: Json): Step => ({ step: "chunk", chunk })
export const wait = (until: Effect.Effect<unknown>): Step => ({ step: "wait", until })
export const pace = (milliseconds: number): Step => ({ step: "pace", milliseconds })
export const headers: Step = { step: "headers" }
export const breakOff: Step = { step: "break" }
export const end: Step = { step: "end" }
export const refuse = (
  status: number,
  error: Json,
  headers: Readonly<Record<string, string>> = {}
): Step => ({ step: "refuse", status, error, headers })

/** How a request went, seen from the server. */
interface Outcome {
  /** False if the answer was sent to its end, or the server broke it off. */
  readonly closedByClient: boolean
  readonly written: number
  readonly writtenAfterClose: number
}

/** One request and its answer, as they stand. */
export interface Exchange {
  readonly index: number
  readonly body: unknown
  readonly authorization: string | undefined
  /** What a strict server would not accept of it. */
  readonly violations: ReadonlyArray<string>
  /** How many chunks have been written. */
  readonly written: () => number
  /** Waits until so many have been written, or nothing more will be. */
  readonly wrote: (count: number) => Effect.Effect<void>
  /** Waits until nothing more will be written. */
  readonly outcome: Effect.Effect<Outcome>
}

export interface ChatCompletionsServer {
  /** For `OPENAI_BASE_URL`. */
  readonly baseUrl: string
  /** The requests so far. */
  readonly exchanges: () => ReadonlyArray<Exchange>
  /** Waits for the request of this number, from 0. */
  readonly exchange: (index: number) => Effect.Effect<Exchange>
  /** What was wrong with all requests so far. */
  readonly violations: () => ReadonlyArray<string>
}

/** Listens until the scope closes. */
export const serveChatCompletions = (
  script: (request: { readonly index: number; readonly body: unknown }) => Script
): Effect.Effect<ChatCompletionsServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const run = Effect.runPromiseWith(yield* Effect.context<never>())
    const exchanges: Array<Exchange> = []
    const awaited = new Map<number, Deferred.Deferred<Exchange>>()
    const arrival = (index: number) => {
      const known = awaited.get(index) ?? Deferred.makeUnsafe<Exchange>()
      awaited.set(index, known)
      return known
    }

    const answer = async (request: IncomingMessage, response: ServerResponse) => {
      let text = ""
      for await (const piece of request) text += String(piece)
      if (request.method !== "POST" || request.url !== "/v1/chat/completions") {
        return refuseNow(response, 404, { message: "no such path", type: "invalid_request_error" })
      }
      const body: unknown = JSON.parse(text)
      const exchange = observe(exchanges.length, body, request, response)
      exchanges.push(exchange)
      Deferred.doneUnsafe(arrival(exchange.index), Effect.succeed(exchange))
      if (exchange.violations.length > 0) {
        const message = exchange.violations.join("; ")
        return refuseNow(response, 400, { message, type: "invalid_request_error" })
      }
      await play(script({ index: exchange.index, body }), exchange, response, run)
    }

    const server = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer((request, response) => {
          answer(request, response).catch((error: unknown) => response.destroy(error as Error))
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    const { port } = server.address() as AddressInfo
    return {
      baseUrl: `http://127.0.0.1:${port}/v1`,
      exchanges: () => exchanges,
      exchange: (index) => Effect.suspend(() => Deferred.await(arrival(index))),
      violations: () => exchanges.flatMap((exchange) => exchange.violations)
    }
  })

interface Observed extends Exchange {
  readonly left: AbortSignal
  readonly wroteOne: () => void
}

const observe = (
  index: number,
  body: unknown,
  { headers, socket }: IncomingMessage,
  response: ServerResponse
): Observed => {
  const outcome = Deferred.makeUnsafe<Outcome>()
  const waiting: Array<{ readonly count: number; readonly reached: Deferred.Deferred<void> }> = []
  const left = new AbortController()
  let written = 0
  let writtenAtClose: number | undefined

  const tell = () => {
    for (const { count, reached } of waiting) {
      if (written >= count || left.signal.aborted) Deferred.doneUnsafe(reached, Effect.void)
    }
  }
  const over = (closedByClient: boolean) => {
    socket.off("end", close)
    socket.off("close", close)
    writtenAtClose ??= written
    left.abort()
    tell()
    // What is still written is written in this turn.
    soon(() => {
      const writtenAfterClose = written - (writtenAtClose ?? written)
      const seen = { closedByClient, written, writtenAfterClose }
      Deferred.doneUnsafe(outcome, Effect.succeed(seen))
    })
  }
  const close = () => over(!response.writableEnded && !broken.has(response))
  socket.on("end", close)
  socket.on("close", close)
  response.on("finish", () => over(false))

  return {
    index,
    body,
    authorization: headers.authorization,
    violations: [
      ...requestViolations(body),
      ...(isObject(body) && body["stream"] === true ? [] : ["stream: this server only streams"])
    ],
    written: () => written,
    wrote: (count) =>
      Effect.suspend(() => {
        if (written >= count || left.signal.aborted) return Effect.void
        const reached = Deferred.makeUnsafe<void>()
        waiting.push({ count, reached })
        return Deferred.await(reached)
      }),
    outcome: Deferred.await(outcome),
    left: left.signal,
    wroteOne: () => {
      written++
      tell()
    }
  }
}

// Answers that the server itself broke off.
const broken = new WeakSet<ServerResponse>()

const play = async (
  script: Script,
  exchange: Observed,
  response: ServerResponse,
  run: (
    effect: Effect.Effect<unknown>,
    options: { readonly signal: AbortSignal }
  ) => Promise<unknown>
): Promise<void> => {
  const signal = exchange.left
  let milliseconds: number | undefined
  const begin = () => {
    if (!response.headersSent) {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" })
      response.flushHeaders()
      response.socket?.setNoDelay(true)
    }
  }
  const write = (chunk: Json) => {
    const whole = {
      id: `chatcmpl-${exchange.index}`,
      object: "chat.completion.chunk",
      created: 1_700_000_000,
      model: isObject(exchange.body) ? exchange.body["model"] : "",
      ...chunk
    }
    response.write(`data: ${JSON.stringify(whole)}\n\n`)
    exchange.wroteOne()
  }
  try {
    for (const step of script) {
      switch (step.step) {
        case "pace": {
          milliseconds = step.milliseconds
          break
        }
        case "wait": {
          await run(step.until, { signal })
          break
        }
        case "headers": {
          begin()
          break
        }
        case "chunk": {
          begin()
          if (milliseconds === 0) await setImmediate(undefined, { signal })
          else if (milliseconds !== undefined) await setTimeout(milliseconds, undefined, { signal })
          if (step.chunk["usage"] === undefined || wantsUsage(exchange.body)) write(step.chunk)
          break
        }
        case "break": {
          broken.add(response)
          response.destroy()
          return
        }
        case "end": {
          response.end()
          return
        }
        case "refuse": {
          return refuseNow(response, step.status, step.error, step.headers)
        }
      }
    }
    begin()
    response.end("data: [DONE]\n\n")
  } catch (error) {
    // Its client has left; that is kept in the outcome.
    if (!signal.aborted) throw error
  }
}

const wantsUsage = (body: unknown): boolean =>
  isObject(body) &&
  isObject(body["stream_options"]) &&
  body["stream_options"]["include_usage"] === true

const refuseNow = (
  response: ServerResponse,
  status: number,
  error: Json,
  headers: Readonly<Record<string, string>> = {}
): void => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify({ error: { param: null, code: null, ...error } }))
}
