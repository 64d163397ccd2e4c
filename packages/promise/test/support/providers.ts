// What holds for every client that takes a signal, tried with a real server that streams its format.
import { setImmediate, setTimeout } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { createStops, memory, type Source, type Stops } from "effect-cancellation-promise"
import {
  broken,
  type Exchange,
  type Format,
  type ProviderServer,
  serveProvider
} from "./providersServer.ts"

/** A client, and the program of its example. */
export interface Program<A> {
  readonly format: Format
  /** The example: streams an answer, and answers the text. */
  readonly answer: (
    url: string,
    stops: Stops,
    chat: { readonly chatId: string; readonly question: string },
    show: (text: string) => void
  ) => Promise<string>
  /** The client alone. */
  readonly source: (
    url: string,
    signal: AbortSignal | undefined
  ) => PromiseLike<Source<A>> | Source<A>
  readonly textOf: (value: A) => string
  /** How reading `source` ends when its signal aborts: by itself (`ends`), or by this rejection. */
  readonly aborted: string
}

export const chat = { chatId: "chat", question: "Where is the nearest station?" }
export const quiet = () => createStops({ store: memory(), log: () => {} })

/** Words without end, one every few milliseconds. */
export async function* endless(format: Format, { left }: Exchange) {
  yield* format.begin
  for (let i = 0; ; i++) {
    yield format.word(`w${i} `)
    await setTimeout(5, undefined, { signal: left })
  }
}

/** A few words, and then nothing until the client leaves. */
export async function* silent(format: Format, { left }: Exchange) {
  yield* format.begin
  yield format.word("one ")
  await new Promise((resolve) => left.addEventListener("abort", resolve))
}

export const outcomes = async (stops: Stops) =>
  (await stops.receipts({ chatId: chat.chatId })).map((receipt) =>
    "ended" in receipt ? receipt.ended?.outcome : undefined
  )

/** Counts the rejections that nobody has handled, until a file's tests are over. */
export const noUnhandledRejection = () => {
  const seen: Array<unknown> = []
  const listener = (error: unknown) => seen.push(error)
  beforeAll(() => {
    process.on("unhandledRejection", listener)
  })
  afterAll(async () => {
    // They are told after the turn in which they happened.
    await setImmediate()
    process.off("unhandledRejection", listener)
    expect(seen).toEqual([])
  })
}

export const the = (server: ProviderServer, index = 0): Exchange => {
  const exchange = server.exchanges[index]
  if (exchange === undefined) throw new Error("no such request")
  return exchange
}

export const describeProgram = <A>(name: string, program: Program<A>) =>
  describe(`a program of ${name}`, () => {
    noUnhandledRejection()
    const { format } = program

    const read = async (source: AsyncIterable<A>, seen: (text: string) => void) => {
      for await (const value of source) seen(program.textOf(value))
    }
    const ofSignal = (server: ProviderServer) => (signal: AbortSignal) =>
      program.source(server.url, signal)
    const iterable = async (source: PromiseLike<Source<A>> | Source<A>) => {
      const opened = await source
      if (Symbol.asyncIterator in opened) return opened
      throw new Error("the client's source is no async iterable")
    }

    test("without a stop the whole answer comes", async () => {
      await using server = await serveProvider(format, () => [
        ...format.begin,
        format.word("one "),
        format.word("two"),
        ...format.end
      ])
      await using stops = quiet()
      expect(await program.answer(server.url, stops, chat, () => {})).toBe("one two")
      expect(await outcomes(stops)).toEqual(["completed"])
      expect(server.violations()).toEqual([])
      expect(await the(server).over).toBe(false)
    })

    test("a stop in the middle closes the connection and keeps what came", async () => {
      await using server = await serveProvider(format, (exchange) => endless(format, exchange))
      await using stops = quiet()
      let shown = ""
      const text = await program.answer(server.url, stops, chat, (piece) => {
        shown += piece
        if (shown.endsWith("w3 ")) void stops.stop(chat)
      })
      expect(await the(server).over).toBe(true)
      expect(text).toMatch(/^w0 w1 w2 w3 /)
      expect(text).toBe(shown)
      expect(await outcomes(stops)).toEqual(["stopped"])
      expect(server.exchanges.length).toBe(1)
      expect(server.violations()).toEqual([])
    })

    test("a stop while nothing comes closes the connection", async () => {
      await using server = await serveProvider(format, (exchange) => silent(format, exchange))
      await using stops = quiet()
      const text = await program.answer(server.url, stops, chat, (piece) => {
        if (piece === "one ") void stops.stop(chat)
      })
      expect(text).toBe("one ")
      expect(await the(server).over).toBe(true)
      expect(await outcomes(stops)).toEqual(["stopped"])
    })

    test("a stop that came before ends it as it begins", async () => {
      await using server = await serveProvider(format, (exchange) => endless(format, exchange))
      await using stops = quiet()
      await stops.stop(chat)
      await program.answer(server.url, stops, chat, () => {})
      // The first look goes on beside the work, which may have asked by then.
      for (const { over } of server.exchanges) expect(await over).toBe(true)
      expect(await outcomes(stops)).toEqual(["stopped"])
    })

    test("a stop that is known asks for nothing", async () => {
      await using server = await serveProvider(format, (exchange) => endless(format, exchange))
      await using stops = quiet()
      await stops.stop(chat)
      await using run = await stops.watch(chat)
      expect(await run.check()).toBe(true)
      await read(run.stream(ofSignal(server)), () => {})
      expect(await run.run(ofSignal(server), { whenStopped: "stopped" })).toBe("stopped")
      expect(server.exchanges).toEqual([])
    })

    test.each(["stream", "run"])(
      "once a run has seen the stop, one more chunk (%s)",
      async (way) => {
        await using server = await serveProvider(format, (exchange) => endless(format, exchange))
        await using stops = quiet()
        await using run = await stops.watch(chat)
        let text = ""
        const seen = (piece: string) => {
          text += piece
          if (text.endsWith("w3 ")) void stops.stop(chat)
        }
        const atStop = new Promise<number>((resolve) => {
          run.signal.addEventListener("abort", () => resolve(the(server).sent()))
        })
        const work = async (signal: AbortSignal) =>
          read(await iterable(program.source(server.url, signal)), seen)
        if (way === "stream") await read(run.stream(ofSignal(server)), seen)
        else await run.run(work, { whenStopped: undefined })
        expect(text).toMatch(/^w0 w1 w2 w3 /)
        expect(await the(server).over).toBe(true)
        expect(the(server).sent() - (await atStop)).toBeLessThanOrEqual(1)
        await run.close()
        expect(await outcomes(stops)).toEqual(["stopped"])
      }
    )

    test("an error of the provider stays a rejection", async () => {
      await using server = await serveProvider(format, () => ({
        status: 500,
        json: format.error("overloaded")
      }))
      await using stops = quiet()
      await expect(program.answer(server.url, stops, chat, () => {})).rejects.toThrow("500")
      expect(await outcomes(stops)).toEqual(["failed"])
    })

    test("a stream that breaks off stays a rejection", async () => {
      await using server = await serveProvider(format, async function* () {
        yield* format.begin
        yield format.word("one ")
        await setTimeout(20)
        yield broken
      })
      await using stops = quiet()
      let shown = ""
      const text = program.answer(server.url, stops, chat, (piece) => {
        shown += piece
      })
      await expect(text).rejects.toThrow(/terminated|Connection error|aborted/)
      expect(shown).toBe("one ")
      expect(await outcomes(stops)).toEqual(["failed"])
    })

    test("a time-out of one's own is no stop", async () => {
      await using server = await serveProvider(format, (exchange) => silent(format, exchange))
      await using stops = quiet()
      await using run = await stops.watch(chat)
      let text = ""
      const result = run.run(
        async (signal) => {
          await read(await iterable(program.source(server.url, signal)), (piece) => {
            text += piece
          })
          return "the end"
        },
        { whenStopped: "stopped", signal: AbortSignal.timeout(200) }
      )
      // What the client says of it stands; half an answer that just ends is no answer.
      expect(await result.catch((error: Error) => error.name)).toBe(
        program.aborted === "ends" ? "TimeoutError" : program.aborted
      )
      expect(text).toBe("one ")
      expect(await the(server).over).toBe(true)
      await run.close()
      expect(await outcomes(stops)).toEqual(["interrupted"])
    })

    test("who ignores the signal is given up, and may fail late", async () => {
      await using stops = quiet()
      let shown = ""
      let tellFailed = () => {}
      const failedLate = new Promise<void>((resolve) => {
        tellFailed = resolve
      })
      {
        await using server = await serveProvider(format, (exchange) => silent(format, exchange))
        await using run = await stops.watch(chat, { gracePeriod: 50 })
        const work = async () => {
          try {
            await read(await iterable(program.source(server.url, undefined)), (piece) => {
              shown += piece
              if (shown === "one ") void stops.stop(chat)
            })
          } finally {
            tellFailed()
          }
        }
        const result = await run.run(work, { whenStopped: "stopped" as const })
        expect(result).toBe("stopped")
        // It goes on, on its own.
        expect(the(server).left.aborted).toBe(false)
        await run.close()
      }
      await failedLate
      expect(await outcomes(stops)).toEqual(["abandoned"])
    })
  })
