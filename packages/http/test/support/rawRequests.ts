// Requests as bytes on a connection: whole, cut, mangled, or several at once.
import fc from "fast-check"
import { Buffer } from "node:buffer"
import { type RandomRequest, randomRequest } from "./randomRequests.ts"

export interface RawRequest {
  readonly bytes: Buffer
  /** In how many pieces it is sent. */
  readonly pieces: number
  /** What the client does when all is sent: waits for the server to close, or leaves. */
  readonly leaving: "wait" | "end" | "destroy"
}

const line = (text: string) => text.replaceAll(/[^\x21-\x7e]/g, "_")

/** As a client that knows its trade sends it; the connection is closed after the answer. */
export const bytesOf = ({ body, headers, method, path }: RandomRequest, more = ""): Buffer => {
  const sent = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")
  const length = body === undefined ? "" : `content-length: ${body.length}\r\n`
  const head = `${method.toUpperCase()} ${line(path)} HTTP/1.1\r\nhost: localhost\r\n${sent}${length}${more}\r\n`
  return Buffer.concat([Buffer.from(head, "latin1"), body ?? Buffer.alloc(0)])
}

/** The connection is closed after the answer. */
export const last = "connection: close\r\n"
const whole = randomRequest.map((request) => bytesOf(request, last))

const cut = fc
  .tuple(whole, fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([bytes, share]) => bytes.subarray(0, Math.floor(bytes.length * share)))

const mangled = fc
  .tuple(whole, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 20 }))
  .map(([bytes, changes]) => {
    const changed = Buffer.from(bytes)
    for (const [at, byte] of changes) changed[at % Math.min(changed.length, 400)] = byte
    return changed
  })

const odd = fc
  .constantFrom(
    "",
    "\r\n\r\n",
    "GET",
    "GET / HTTP/9.9\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "POST /chats/a/stop HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "POST /chats/a/stop HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n{}",

    "POST /chats/a/stop HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",

    "POST /chats/a/stop HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",

    "GET /chats/a/messages/b/stop HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",

    "GET /chats/a/messages/b/stop/events HTTP/1.1\r\nhost: a\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",

    "GET http://other.example/chats/a/messages/b/stop HTTP/1.1\r\nhost: a\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET http://[ HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET //// HTTP/1.1\r\nhost: \xff\r\n\r\n"
  )
  .map((text) => Buffer.from(text, "latin1"))

const several = fc
  .tuple(fc.array(randomRequest, { minLength: 1, maxLength: 5 }), whole)
  .map(([before, bytes]) => Buffer.concat([...before.map((request) => bytesOf(request)), bytes]))

const sent = (bytes: fc.Arbitrary<Buffer>, ...ways: ReadonlyArray<RawRequest["leaving"]>) =>
  fc.record({ bytes, pieces: fc.integer({ min: 1, max: 4 }), leaving: fc.constantFrom(...ways) })

const rawRequest = fc.oneof(
  { arbitrary: sent(whole, "wait", "wait", "wait", "end", "destroy"), weight: 5 },
  { arbitrary: sent(cut, "end", "destroy"), weight: 3 },
  { arbitrary: sent(mangled, "end", "destroy"), weight: 3 },
  { arbitrary: sent(odd, "end", "destroy"), weight: 2 },
  { arbitrary: sent(several, "end", "destroy"), weight: 2 }
)

/** That many of a seed. */
export const rawRequests = (seed: number, count: number): ReadonlyArray<RawRequest> =>
  fc.sample(rawRequest, { seed, numRuns: count })
