/**
 * Receipts as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Receipt } from "../StopApi.ts"
import { alive } from "./eventStream.ts"

const encode = Schema.encodeEffect(Schema.fromJsonString(Receipt))

/** Whoever listens is to come again. It is no end of what there is to tell. */
class TimeIsUp extends Data.TaggedError("TimeIsUp") {}

/** The bytes of an answer that tells these receipts, and now and then that it is alive. */
export const asEvents = (
  receipts: Stream.Stream<Receipt>,
  {
    keepAlive,
    maxEvents
  }: { readonly keepAlive: Duration.Duration; readonly maxEvents: Duration.Duration }
): Stream.Stream<Uint8Array, TimeIsUp> =>
  Stream.merge(
    receipts.pipe(Stream.mapEffect(event)),
    // Whoever does not read is told nothing more: these wait in line as the receipts do.
    Stream.fromEffectRepeat(Effect.as(Effect.sleep(keepAlive), alive)),
    { haltStrategy: "left" }
  ).pipe(
    Stream.interruptWhen(Effect.andThen(Effect.sleep(maxEvents), Effect.fail(new TimeIsUp()))),
    Stream.encodeText
  )

/** Names a receipt, in ASCII, so that one who comes back can say in a header which was the last. */
export const eventId = (receipt: Receipt): string =>
  `${receipt.phase} ${encodeURIComponent(receipt.runId ?? "")}`

const event = (receipt: Receipt) =>
  Effect.map(Effect.orDie(encode(receipt)), (data) => `id: ${eventId(receipt)}\ndata: ${data}\n\n`)
