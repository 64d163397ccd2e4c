/**
 * Receipts as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { HttpServerError } from "effect/http"
import { Receipt } from "../StopApi.ts"

const encode = Schema.encodeEffect(Schema.fromJsonString(Receipt))

/** The bytes of an answer that tells these receipts, and now and then that it is alive. */
export const asEvents = (
  receipts: Stream.Stream<Receipt>,
  {
    keepAlive,
    maxEvents
  }: { readonly keepAlive: Duration.Duration; readonly maxEvents: Duration.Duration }
): Stream.Stream<Uint8Array> =>
  Stream.merge(
    receipts.pipe(Stream.mapEffect(event)),
    // Whoever does not read is told nothing more: these wait in line as the receipts do.
    Stream.fromEffectRepeat(Effect.as(Effect.sleep(keepAlive), ": alive\n\n")),
    { haltStrategy: "left" }
  ).pipe(
    Stream.interruptWhen(Effect.sleep(maxEvents)),
    Stream.encodeText,
    cutAfter(Duration.sum(maxEvents, keepAlive))
  )

// Whoever reads nothing takes no end either. The fiber that would tell it is interrupted then, and
// with it the connection cut, or each such client would be followed for for as long as it likes.
const cutAfter =
  (duration: Duration.Duration) =>
  <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
    Stream.unwrap(
      Effect.withFiber((teller) => {
        const cut = Effect.sync(() =>
          teller.interruptUnsafe(undefined, HttpServerError.ClientAbort.annotation)
        )
        return Effect.as(Effect.forkScoped(Effect.delay(cut, duration)), stream)
      })
    )

/** Names a receipt, so that one who comes back can say which was the last. */
export const eventId = (receipt: Receipt): string => `${receipt.phase} ${receipt.runId ?? ""}`

const event = (receipt: Receipt) =>
  Effect.map(Effect.orDie(encode(receipt)), (data) => `id: ${eventId(receipt)}\ndata: ${data}\n\n`)
