// An answer as it came over a connection.
import { Buffer } from "node:buffer"

export interface RawAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** The only answer in what came, to anything but a HEAD. */
export const rawAnswer = (came: string): RawAnswer => {
  const [head = "", ...rest] = came.split("\r\n\r\n")
  const [first = "", ...lines] = head.split("\r\n")
  const headers = new Headers(
    lines.map((line): [string, string] => {
      const [name = "", ...value] = line.split(":")
      return [name, value.join(":").trim()]
    })
  )
  const body = rest.join("\r\n\r\n")
  const bytes = headers.get("transfer-encoding") === "chunked" ? unchunked(body) : body
  return {
    status: Number(first.split(" ")[1]),
    headers,
    text: Buffer.from(bytes, "latin1").toString()
  }
}

const unchunked = (text: string): string => {
  const at = text.indexOf("\r\n")
  const size = Number.parseInt(text.slice(0, at), 16)
  return size > 0 ? text.slice(at + 2, at + 2 + size) + unchunked(text.slice(at + 4 + size)) : ""
}
