// Clients that hardly read. What a kernel buffers for such a one is left out: it is slow at once.
import * as Effect from "effect/Effect"
import type { Server as HttpServer, ServerResponse } from "node:http"
import { Duplex } from "node:stream"
import type { Run } from "effect-cancellation"
import { makeCount } from "./count.ts"
import { askingFor, phasesIn } from "./events.ts"

/** How many milliseconds it takes for a byte; or it reads no further than the first receipt. */
type Pace = { readonly millisPerByte: number } | "stops reading"

class SlowConnection extends Duplex {
  #came = ""
  #isAwake = false
  #due: (() => void) | undefined
  readonly #pace: Pace
  readonly #news = makeCount()

  constructor(pace: Pace) {
    super({ writableHighWaterMark: 1 })
    this.#pace = pace
  }

  override _read() {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void) {
    const take = () => {
      this.#came += chunk.toString("latin1")
      this.#news.add(1)
      done()
    }
    if (this.#isAwake) return take()
    if (this.#pace !== "stops reading") {
      setTimeout(take, this.#pace.millisPerByte * chunk.length)
    } else if (phasesIn(this.#came).length === 0) {
      take()
    } else {
      this.#due = take
    }
  }

  /** From now on it reads as fast as any other. */
  wake() {
    this.#isAwake = true
    this.#due?.()
  }

  until(wanted: (came: string) => boolean): Effect.Effect<string> {
    const look: Effect.Effect<string> = Effect.suspend(() =>
      wanted(this.#came)
        ? Effect.succeed(this.#came)
        : Effect.flatMap(this.#news.now, (seen) =>
            Effect.andThen(this.#news.atLeast(seen + 1), look)
          )
    )
    return look
  }
}

/** A client of the events of a run that hardly reads, and what the server holds for it. */
export const listenSlowly = Effect.fnUntraced(function* (server: HttpServer, run: Run, pace: Pace) {
  const connection = yield* Effect.acquireRelease(
    Effect.sync(() => new SlowConnection(pace)),
    (opened) => Effect.sync(() => opened.destroy())
  )
  const response = yield* Effect.callback<ServerResponse>((resume) => {
    server.once("request", (_, answer) => resume(Effect.succeed(answer)))
    server.emit("connection", connection)
    connection.push(askingFor(run))
  })
  if (pace === "stops reading") yield* connection.until((came) => phasesIn(came).length > 0)
  return {
    connection,
    /** In bytes. */
    held: Effect.sync(() => response.writableLength + connection.writableLength)
  }
})
