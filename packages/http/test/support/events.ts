// What clients of a stop and of its events send, and what they are told.
import * as Effect from "effect/Effect"
import type { Run } from "effect-cancellation"
import { connect } from "./connection.ts"
import { pathsOf } from "./stops.ts"

/** The phases told so far, in their order. */
export const phasesIn = (came: string): ReadonlyArray<string> =>
  Array.from(came.matchAll(/^data: \{"phase":"(\w+)"/gm), ([, phase]) => String(phase))

/** How often it was told that the stream is alive. */
export const signsOfLifeIn = (came: string): number => came.split(": alive\n").length - 1

/** Whether the answer was told to its end. */
export const isWhole = (came: string): boolean => came.endsWith("0\r\n\r\n")

/** What a client of the events of a run sends; the server closes after the answer. */
export const askingFor = (run: Run, headers: Readonly<Record<string, string>> = {}): string => {
  const all = { host: "localhost", authorization: "Bearer ada", connection: "close", ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${pathsOf(run).events} HTTP/1.1\r\n${lines.join("")}\r\n`
}

/** What a client sends that stops a run; the server closes after the answer. */
export const stopOf = (run: Run, body = "{}", length = body.length) =>
  [
    `POST ${pathsOf(run).stop} HTTP/1.1`,
    "host: localhost",
    "authorization: Bearer ada",
    "content-type: application/json",
    "connection: close",
    `content-length: ${length}`,
    "",
    body
  ].join("\r\n")

/** A client that was told the first receipt, and listens on. */
export const listen = Effect.fnUntraced(function* (
  port: number,
  run: Run,
  headers?: Readonly<Record<string, string>>
) {
  const client = yield* connect(port)
  yield* client.write(askingFor(run, headers))
  yield* client.until((came) => phasesIn(came).length > 0)
  return {
    ...client,
    run,
    /** Waits until this phase was told. */
    told: (phase: string) => client.until((came) => phasesIn(came).includes(phase)),
    /** Waits for the end of the stream, and answers all that was told. */
    ended: Effect.map(client.closed, (came) => ({ phases: phasesIn(came), isWhole: isWhole(came) }))
  }
})

export type Listener = Effect.Success<ReturnType<typeof listen>>
