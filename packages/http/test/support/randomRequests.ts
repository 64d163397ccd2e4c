// Requests of all kinds: most of them nearly right, so that they get past the first look, and some
// that nobody sane would send. The same seed gives the same ones.
import fc from "fast-check"
import { Buffer } from "node:buffer"
import { anyText, long, mostly, oneOf } from "./randomValues.ts"
import { randomBody } from "./randomBodies.ts"
import { chats, messages, runIds } from "./randomRuns.ts"
import { page, people } from "./stops.ts"

export interface RandomRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly body: Uint8Array<ArrayBuffer> | undefined
  /** The client is gone before the end of the body. */
  readonly isBroken: boolean
  /** The chat as it was meant, if the path was written by the rules. */
  readonly chatId: string | undefined
}

// Paths

const everyByte = (text: string) =>
  Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")

const encoded = (text: string) => encodeURIComponent(text.toWellFormed())

const malformed = oneOf(
  "%",
  "%zz",
  "%c3",
  "%C0%AF",
  "%E0%A4%A",
  "%00",
  "a%00b",
  "%ED%A0%80",
  "%25zz",
  "%2e%2e",
  "%u0041",
  "..%2f..%2f",
  ";",
  "*",
  ":chatId",
  "?",
  "#",
  "\\",
  "%0d%0aSet-Cookie:a=b",
  "%22",
  "%E2%80%AE",
  "%F0%9F%9A%AB".repeat(60),
  "a".repeat(256),
  "%61".repeat(255),
  "",
  ".",
  ".."
)

const partOf = (known: ReadonlyArray<string>) =>
  mostly(
    oneOf(...known).map(encoded),
    oneOf(...known).map(everyByte),
    anyText.map(encoded),
    fc.oneof(malformed, anyText, long(5000))
  )

const chat = mostly(
  oneOf(...chats).map((chatId) => ({
    chatId: chatId as string | undefined,
    text: encoded(chatId)
  })),
  partOf(chats).map((text) => ({ chatId: undefined, text }))
)

const place = fc
  .tuple(chat, partOf(messages), oneOf("chat", "stop", "stop", "receipt", "events"))
  .map(([{ chatId, text }, message, route]) => ({
    chatId,
    route,
    path:
      route === "chat"
        ? `/chats/${text}/stop`
        : `/chats/${text}/messages/${message}/stop${route === "events" ? "/events" : ""}`
  }))

const noPlace = fc
  .oneof(
    oneOf("/", "//", "/chats", "/chats//stop", "/chats/a/stop/", "/CHATS/shared-1/STOP", "/*"),
    oneOf("/chats/shared-1/messages//stop", "/openapi.json", "/chats/shared-1/stop;a=b", "/.env"),
    anyText.map((text) => `/${text}`),
    fc.array(partOf(chats), { maxLength: 12 }).map((parts) => `/${parts.join("/")}`)
  )
  .map((path) => ({ chatId: undefined as string | undefined, route: "receipt", path }))

const query = mostly(
  oneOf(""),
  oneOf(...runIds).map((runId) => `?runId=${encoded(runId)}`),
  oneOf(
    "?",
    "?runId",
    "?runId=",
    "?runId=run-1&runId=run-2",
    "?runId[]=run-1",
    "?runId=%",
    "?&&&",
    "?runId=%00",
    "?__proto__=1&__proto__[a]=b",
    "?unknown=1",
    "?runId=%E0%A4%A",
    "?%=%"
  ),
  anyText.map((text) => `?runId=${encoded(text)}`),
  long(3000).map((text) => `?${text}=${text}`)
)

// Headers

/** What a header can carry at all. */
const headerText = fc
  .string({ unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)) })
  .map((text) => text.replaceAll("\x7f", "").trim())

const header = (name: string, value: fc.Arbitrary<string | undefined>) =>
  value.map((text) => (text === undefined ? [] : [[name, text] as const]))

const authorization = mostly<string | undefined>(
  oneOf(...Object.keys(people)).map((token) => `Bearer ${token}`),
  oneOf(undefined, "", "Bearer", "Bearer ", "bearer ada", "Basic YWRhOmFkYQ==", "Bearer expired"),
  oneOf("Bearer __proto__", "Bearer constructor", "Bearer ada, Bearer root", "Bearer \xe4"),
  headerText.map((text) => `Bearer ${text}`),
  long(30_000)
)

const contentType = mostly<string | undefined>(
  oneOf("application/json", "application/json; charset=utf-8"),
  oneOf(undefined, "", "text/plain", "application/x-www-form-urlencoded", "APPLICATION/JSON"),
  oneOf("application/jsonp", "application/json-patch+json", "multipart/form-data", "*/*"),
  oneOf("application/json; charset=utf-16", "application/json;;;=", "application/json,text/plain")
)

const origin = mostly<string | undefined>(
  oneOf(undefined, page),
  oneOf(
    "null",
    "",
    `${page}.evil.example`,
    `${page}/`,
    page.toUpperCase(),
    "http://localhost",
    "*"
  ),
  headerText
)

const site = mostly<string | undefined>(
  oneOf(undefined, "same-origin", "none", "same-site"),
  oneOf("cross-site", "Cross-Site", "cross-site, same-origin", "", "elsewhere")
)

const lastEvent = oneOf("none run-2", "superseded run-1", "tooLate run-2", "requested run-2")

const rest = fc.oneof(
  { arbitrary: fc.constant([]), weight: 6 },
  { arbitrary: header("last-event-id", mostly(lastEvent, headerText)), weight: 3 },
  {
    arbitrary: header("cookie", fc.oneof(headerText, oneOf("a=%", "__proto__=1; a", ";;;"))),
    weight: 1
  },
  {
    arbitrary: header("content-encoding", oneOf("gzip", "br", "identity", "gzip, gzip")),
    weight: 1
  },
  {
    arbitrary: header(
      "traceparent",
      fc.oneof(headerText, oneOf(`00-${"0".repeat(32)}-${"0".repeat(16)}-00`))
    ),
    weight: 1
  },
  { arbitrary: header("b3", fc.oneof(headerText, oneOf("0", "1-2-3-4"))), weight: 1 },
  {
    arbitrary: header("accept", fc.oneof(headerText, oneOf("text/event-stream", "image/*"))),
    weight: 1
  },
  { arbitrary: header("x-http-method-override", oneOf("DELETE", "GET")), weight: 1 },
  { arbitrary: header("x-forwarded-for", headerText), weight: 1 },
  { arbitrary: header("x-padding", long(60_000)), weight: 1 }
)

const headers = fc
  .tuple(
    header("authorization", authorization),
    header("content-type", contentType),
    header("origin", origin),
    header("sec-fetch-site", site),
    rest
  )
  .map((all) => all.flat())

const method = mostly<string | undefined>(
  oneOf(undefined),
  oneOf("GET", "POST"),
  oneOf("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND", "BREW", "post")
)

/** One request. */
export const randomRequest: fc.Arbitrary<RandomRequest> = fc
  .tuple(mostly(place, place, noPlace), query, method, headers, randomBody, fc.nat(99))
  .map(([{ chatId, path, route }, search, chosen, all, content, share]) => {
    const used = chosen ?? (route === "chat" || route === "stop" ? "POST" : "GET")
    return {
      method: used,
      path: path + search,
      headers: all,
      body: used === "GET" || used === "HEAD" ? undefined : content,
      isBroken: share === 0,
      chatId
    }
  })

/** That many requests of a seed. */
export const randomRequests = (seed: number, count: number): ReadonlyArray<RandomRequest> =>
  fc.sample(randomRequest, { seed, numRuns: count })
