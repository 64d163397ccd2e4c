/** Connections on which a test sees what a client sends, and that freeze at the word it names. */
import { connect, type Socket } from "node:net"
import { Duplex } from "node:stream"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

/** Which way nothing goes any more: what the server would hear, or what it answers. */
export type Direction = "out" | "in"

export const make = (target: Redacted.Redacted) => {
  const url = new URL(Redacted.value(target))
  const address = { host: url.hostname, port: Number(url.port || "5432") }
  const wires = new Set<Wire>()
  let word: string | undefined
  let direction: Direction = "out"
  let reached = Deferred.makeUnsafe<void>()
  let frozen: Direction | undefined

  // Everything from then on, on all connections.
  const sending = (text: string) => {
    if (word === undefined || !text.includes(word)) return
    word = undefined
    frozen = direction
    Deferred.doneUnsafe(reached, Effect.void)
  }

  const release = () => {
    word = undefined
    frozen = undefined
  }

  return {
    /** For the settings of a client. */
    stream: (): Duplex => {
      const wire = new Wire(connect(address), sending, () => frozen)
      wires.add(wire)
      wire.once("close", () => wires.delete(wire))
      return wire
    },
    /** Freezes when a statement with this word is sent; answers an effect that waits for it. */
    freezeAt: (text: string, way: Direction): Effect.Effect<void> => {
      word = text
      direction = way
      reached = Deferred.makeUnsafe()
      return Deferred.await(reached)
    },
    /** Goes on, first of all with what was held back. */
    thaw: () => {
      release()
      for (const wire of wires) wire.flush()
    },
    /** Breaks all connections; new ones work. */
    cut: () => {
      release()
      for (const wire of wires) wire.destroy(new Error("cut"))
    }
  }
}

class Wire extends Duplex {
  readonly #socket: Socket
  readonly #sending: (text: string) => void
  readonly #frozen: () => Direction | undefined
  readonly #out: Array<Uint8Array> = []
  readonly #in: Array<Uint8Array> = []

  constructor(
    socket: Socket,
    sending: (text: string) => void,
    frozen: () => Direction | undefined
  ) {
    super({ autoDestroy: true })
    this.#socket = socket
    this.#sending = sending
    this.#frozen = frozen
    socket.setNoDelay(true)
    socket.on("data", (bytes) => {
      if (this.#frozen() === "in") this.#in.push(bytes)
      else this.push(bytes)
    })
    socket.on("error", (error) => this.destroy(error))
    socket.on("close", () => this.destroy())
  }

  override _read() {}

  override _write(bytes: Buffer, _encoding: string, done: () => void) {
    this.#sending(bytes.toString("latin1"))
    if (this.#frozen() === "out") this.#out.push(bytes)
    else this.#socket.write(bytes)
    done()
  }

  override _final(done: () => void) {
    this.#socket.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void) {
    this.#socket.destroy()
    done(error)
  }

  flush() {
    for (const bytes of this.#out.splice(0)) this.#socket.write(bytes)
    for (const bytes of this.#in.splice(0)) this.push(bytes)
  }
}
