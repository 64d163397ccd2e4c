/**
 * What a message says of a stop: the run, as JSON.
 */
import * as Schema from "effect/Schema"
import { Run } from "effect-cancellation"

const Payload = Schema.fromJsonString(Run)

/** The message that announces a stop of this run. */
export const encodeStop: (run: Run) => string = Schema.encodeSync(Payload)

/** The run that a message names; none if it is no such message. */
export const decodeStop = Schema.decodeUnknownOption(Payload)
