/**
 * Stop from a web page, or wherever there is `fetch`, without Effect and without any import.
 *
 * @since 0.1.0
 */
import type { StopEvents, StopMessageOptions, StopOptions, StopReceipt } from "./internal/page.ts"

export type * from "./internal/page.ts"

/**
 * Why there is no receipt. `code` is that of the server's problem document, such as `forbidden`;
 * `no_answer` if none came; `unexpected_answer` if what answered is no Stop API. `message` is a
 * sentence for a person.
 *
 * @category errors
 * @since 0.1.0
 */
export class StopError extends Error {
  override readonly name = "StopError"
  readonly code: string
  /** The HTTP status, if there was an answer. */
  readonly status: number | undefined
  /** In seconds: when the server says it is worth trying again. */
  readonly retryAfter: number | undefined

  constructor(code: string, message: string, options: Partial<StopError>) {
    super(message, options)
    this.code = code
    this.status = options.status
    this.retryAfter = options.retryAfter
  }
}

/** Whether nothing more will come. @category predicates @since 0.1.0 */
export const isFinal = (receipt: StopReceipt): boolean =>
  "ended" in receipt || receipt.phase === "superseded"

/**
 * Stops a message. Asking twice is asking once, so it is asked again, after the `Retry-After` of the
 * answer, if nobody answers or the answer is 429, 502, 503 or 504. Rejects with {@link StopError}.
 * Give the `runId` where it is known: a repetition then cannot reach a newer run.
 *
 * @category functions
 * @since 0.1.0
 */
export const stopMessage = async (options: StopMessageOptions): Promise<StopReceipt> =>
  reach(options, await post(options, receiptOf))

/**
 * Stops whatever runs in a chat, for a page that knows no message yet: a receipt for each message.
 * Otherwise as {@link stopMessage}.
 *
 * @category functions
 * @since 0.1.0
 */
export const stopChat = async (
  options: Omit<StopMessageOptions, "messageId" | "runId">
): Promise<ReadonlyArray<StopReceipt>> => {
  const answer = await post(options, receiptsOf)
  return Promise.all(answer.value.map((value) => reach(options, { ...answer, value })))
}

/** The receipt now; `undefined` if who asks has no such run. @category functions @since 0.1.0 */
export const stopReceipt = async (options: StopOptions): Promise<StopReceipt | undefined> => {
  try {
    return (await insist(options, {}, receiptOf)).value
  } catch (error) {
    if (error instanceof StopError && error.code === "not_found") return undefined
    throw error
  }
}

/**
 * The receipt now and at each phase, each once, up to the final one, and all of one run. A lost
 * connection is made again after a second, then two, up to 30, for as long as it takes. What would be
 * the same again (not logged in, not allowed, not there) is thrown as a {@link StopError}. Leaving
 * the loop closes it.
 *
 * @category functions
 * @since 0.1.0
 */
export const stopEvents = (options: StopOptions): StopEvents => {
  const line = openLine(options.signal)
  return Object.assign(follow(options, line), { close: line.close })
}

async function* follow(options: StopOptions, all: ReturnType<typeof openLine>) {
  let [base, pause, target, known] = [1000, 1000, options, ""]
  try {
    while (!all.signal.aborted) {
      const line = openLine(all.signal)
      const onSign = (stated = base) => {
        line.limit(options.timeout ?? 45_000)
        base = stated
      }
      try {
        onSign()
        const response = await within(line.signal, send(target, "/events", {}, line.signal))
        for await (const text of messagesOf(response, line.signal, onSign)) {
          const receipt = receiptOf(parse(text))
          if (receipt === undefined) throw unexpected(response)
          // Whoever comes back means the run that was told of, not one begun since.
          target = { ...options, runId: target.runId ?? receipt.runId }
          // Whoever thinks about a receipt is not a server that is silent.
          line.limit()
          if (text !== known) yield receipt
          if (isFinal(receipt)) return
          known = text
          pause = base
          onSign()
        }
        throw new Error("The stream has ended.")
      } catch (error) {
        if (all.signal.aborted) return
        await getOver(error, pause, { ...options, signal: all.signal })
        pause = Math.min(pause * 2, 30_000)
      } finally {
        line.close()
      }
    }
  } finally {
    all.close()
  }
}

type Target = Pick<StopOptions, "chatId"> & Partial<StopMessageOptions>
type Read<A> = (json: unknown) => A | undefined
// Waits, if what happened can pass by itself: nobody answers, too many ask, a server starts again.
const getOver = async (error: unknown, pause: number, options: Target, end = Infinity) => {
  const problem =
    error instanceof StopError ? error : new StopError("no_answer", "No answer.", { cause: error })
  const { retryAfter = 0, status = 503 } = problem
  // Whoever waits without an end must not be away for a day because a server has said so.
  const most = end === Infinity ? 60_000 : Infinity
  const delay = Math.min(Math.max(retryAfter * 1000, pause * (0.75 + Math.random() / 4)), most)
  if ((status !== 429 && status < 502) || performance.now() + delay > end) throw problem
  options.onRetry?.(problem)
  await sleep(delay, options.signal)
}

const post = <A>(options: Target, read: Read<A>) => {
  const { keepalive, note, reason, runId, wait } = options
  const body = JSON.stringify({ runId, reason, note, wait })
  const init = { method: "POST", body, keepalive: keepalive ?? reason === "disconnect" }
  return insist(options, init, read, wait && 25_000)
}

const insist = async <A>(options: Target, init: RequestInit, read: Read<A>, serverWait = 0) => {
  const { signal, timeout = 30_000 } = options
  const end = performance.now() + timeout + serverWait
  for (let pause = 500; ; pause *= 2) {
    signal?.throwIfAborted()
    const line = openLine(signal)
    const sent = performance.now()
    try {
      line.limit(Math.min(10_000 + serverWait, end - sent))
      const response = await within(line.signal, send(options, "", init, line.signal))
      const value = read(parse(await within(line.signal, response.text())))
      if (value !== undefined) return { sent, status: response.status, value }
      throw unexpected(response)
    } catch (error) {
      signal?.throwIfAborted()
      await getOver(error, pause, options, end)
    } finally {
      line.close()
    }
  }
}

// Asks again until the phase has come: for the run that was stopped, never for one begun since.
const reach = async (
  options: Target,
  { sent, status, value }: Awaited<ReturnType<typeof post<StopReceipt>>>,
  begun = sent
): Promise<StopReceipt> => {
  const { messageId, phase, runId } = value
  const isDone = !options.wait || status !== 202 || isFinal(value) || phase === options.wait
  if (isDone || !messageId || !runId) return value
  await sleep(500, options.signal)
  // A stop that has waited in vain is over by then: another would be asked, and so on for ever.
  if (phase === "pending" && !(performance.now() < begun + lifeOf(value))) return value
  return reach(options, await post({ ...options, messageId, runId }, receiptOf), begun)
}

const lifeOf = ({ expiresAt, requested }: Extract<StopReceipt, { phase: "pending" }>) =>
  Date.parse(expiresAt) - Date.parse(requested.at)

const send = async (options: Target, tail: string, init: RequestInit, signal: AbortSignal) => {
  const { baseUrl = "", chatId, fetch = globalThis.fetch, headers, messageId, runId } = options
  const stated = typeof headers === "function" ? await headers() : headers
  signal.throwIfAborted()
  let request: Parameters<typeof fetch>
  try {
    const message = messageId === undefined ? "" : `/messages/${segment(messageId)}`
    const query = runId === undefined || init.body ? "" : `?runId=${encodeURIComponent(runId)}`
    const path = `/chats/${segment(chatId)}${message}/stop${tail}${query}`
    const url = baseUrl.replace(/\/$/, "") + path
    // A `fetch` of the page's own may know what a relative address is relative to.
    if (!options.fetch) void new URL(url, globalThis.location && "http://page")
    const all = new Headers(stated)
    if (init.body) all.set("content-type", "application/json")
    request = [url, { ...init, headers: all, signal }]
  } catch (cause) {
    throw new StopError("invalid_request", "This cannot be asked.", { status: 400, cause })
  }
  const response = await fetch(...request)
  if (response.ok) return response
  const answer = parse(await response.text())
  if (!isObject(answer) || typeof answer["code"] !== "string") throw unexpected(response)
  const words = [answer["detail"], answer["title"]].find((text) => typeof text === "string")
  throw refusal(response, answer["code"], words ?? answer["code"], answer["retryAfter"])
}

// A dot would be taken for the folder, and the stop of one thing become that of another.
const segment = (id: string) => {
  if (/^\.{0,2}$/.test(id)) throw new Error("This is no id.")
  return encodeURIComponent(id)
}

const unexpected = (response: Response) =>
  refusal(response, "unexpected_answer", `No Stop API answered (status ${response.status}).`)

const refusal = ({ headers, status }: Response, code: string, detail: string, stated?: unknown) => {
  const header = headers.get("retry-after") ?? String(stated)
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000
  return new StopError(code, detail, { status, retryAfter: seconds >= 0 ? seconds : undefined })
}

// The texts of a server-sent stream. `onSign` is told of whatever comes, and of a stated pause.
async function* messagesOf(response: Response, signal: AbortSignal, onSign: (ms?: number) => void) {
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream")
  const reader = isStream ? response.body?.getReader() : undefined
  if (reader === undefined) throw unexpected(response)
  signal.addEventListener("abort", () => void reader.cancel().catch(() => {}))
  const decoder = new TextDecoder()
  let [rest, name, endedInCr] = ["", "", false]
  let data: Array<string> = []
  while (!signal.aborted) {
    const { done, value } = await reader.read()
    if (done) return
    onSign()
    const text = decoder.decode(value, { stream: true })
    const lines = (rest + (endedInCr ? text.replace(/^\n/, "") : text)).split(/\r\n?|\n/)
    rest = lines.pop() ?? ""
    if (text) endedInCr = text.endsWith("\r")
    for (const line of lines) {
      const [, field, content = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
      if (field === "data") data.push(content)
      if (field === "event") name = content
      if (field === "retry" && /^\d+$/.test(content)) onSign(Number(content))
      if (line) continue
      if (data.length && (!name || name === "message") && !signal.aborted) yield data.join("\n")
      ;[data, name] = [[], ""]
    }
  }
}

const place = ["chatId", "messageId", "runId"]
const needed = new Map<unknown, ReadonlyArray<string>>([
  ["none", place],
  ["pending", ["chatId", "requested", "expiresAt"]],
  ["requested", [...place, "requested"]],
  ["observed", [...place, "requested", "observed"]],
  ["ended", [...place, "requested", "ended"]],
  ["tooLate", [...place, "ended"]],
  ["superseded", place],
  ["lost", [...place, "ended"]]
])

const receiptOf: Read<StopReceipt> = (json) => {
  const isStated = (value: unknown) => typeof (isObject(value) ? value["at"] : value) === "string"
  const isWhole = isObject(json) && needed.get(json["phase"])?.every((name) => isStated(json[name]))
  return isWhole ? (json as unknown as StopReceipt) : undefined
}

const receiptsOf: Read<ReadonlyArray<StopReceipt>> = (json) =>
  isObject(json) && Array.isArray(json["receipts"]) && json["receipts"].every(receiptOf)
    ? json["receipts"]
    : undefined

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null
const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

// Aborts with `outer`, when the limit has passed, and when it is closed.
const openLine = (outer: AbortSignal | undefined, onClose?: () => void) => {
  const inner = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const close = () => {
    clearTimeout(timer)
    outer?.removeEventListener("abort", close)
    inner.abort()
    onClose?.()
  }
  const limit = (millis?: number) => {
    clearTimeout(timer)
    if (millis === undefined || inner.signal.aborted) return
    timer = setTimeout(close, Math.min(millis, 2 ** 31 - 1))
  }
  outer?.addEventListener("abort", close)
  if (outer?.aborted) close()
  return { signal: inner.signal, limit, close }
}

const sleep = (millis: number, signal?: AbortSignal) =>
  new Promise<void>((resolve) => openLine(signal, resolve).limit(millis))

// Whatever hangs, a token or a `fetch` that knows no signal, hangs no longer than its line.
const within = <A>(signal: AbortSignal, work: Promise<A>) =>
  new Promise<A>((resolve, reject) => {
    work.then(resolve, reject)
    signal.throwIfAborted()
    signal.addEventListener("abort", () => reject(signal.reason))
  })
