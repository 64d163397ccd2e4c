/**
 * Tokens that a provider tells while it answers, for a stop that comes before it tells them all.
 *
 * No part of effect/ai has a place for them but the last, so they go in the metadata of a part that no
 * history keeps.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Response } from "effect/ai"
import { plain } from "./plainJson.ts"

const name = "chat-completions"

const decode = Schema.decodeUnknownOption(Schema.Struct({ usage: Response.Usage }))

/** The metadata that tells these tokens. */
export const tellingUsage = (
  usage: typeof Response.Usage.Encoded
): Response.ResponseMetadataPartMetadata => ({ [name]: plain({ usage }) })

/** The tokens that a part tells, if it does. */
export const usageIn = (part: Response.AnyPart): Response.Usage | undefined =>
  part.type === "response-metadata"
    ? Option.getOrUndefined(Option.map(decode(part.metadata[name]), ({ usage }) => usage))
    : undefined
