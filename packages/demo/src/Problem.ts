/**
 * What the API answers when it cannot do what was asked: RFC 9457 problems, never a bare crash.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { MessageContentError, MessageStoreError } from "effect-cancellation"
import { type HttpServerError, type HttpServerResponse, ProblemDetails } from "effect/http"
import type { Conflict, NotFound, NotYours } from "./Answers.ts"
import { isUnavailable } from "./ContentOutage.ts"

export class Problem extends Schema.TaggedError<Problem>("effect-cancellation-demo/Problem")(
  "Problem",
  { status: Schema.Int, title: Schema.String, detail: Schema.String }
) {}

/** What a route of the demo may fail with. */
export type Failure =
  | Problem
  | Conflict
  | NotFound
  | NotYours
  | MessageContentError
  | MessageStoreError
  | Schema.SchemaError
  | HttpServerError.HttpServerError

/** Answers a failure as a problem; a defect is logged, and the client learns only that it happened. */
export const withProblems = <R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, Failure, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
  handler.pipe(
    Effect.catch((failure) => Effect.succeed(respond(problemOf(failure)))),
    Effect.catchDefect((defect) =>
      Effect.as(
        Effect.logError("A request failed", defect),
        respond(problem(500, "Internal error", "This should not have happened; see the server."))
      )
    )
  )

/** A problem as a response. */
export const respond = ({
  detail,
  status,
  title
}: Problem): HttpServerResponse.HttpServerResponse =>
  ProblemDetails.toResponse({ type: ProblemDetails.blankType, status, title, detail })

export const problem = (status: number, title: string, detail: string): Problem =>
  new Problem({ status, title, detail })

const problemOf = (failure: Failure): Problem => {
  switch (failure._tag) {
    case "Problem":
      return failure
    case "NotFound":
      return problem(404, "Not found", failure.message)
    case "NotYours":
      return problem(403, "Not yours", failure.message)
    case "Conflict":
      return problem(409, "Not now", failure.message)
    case "SchemaError":
      return problem(400, "Invalid request", shorten(failure.message))
    case "HttpServerError":
      return failure.reason._tag === "RouteNotFound"
        ? problem(404, "Not found", "There is nothing at this address.")
        : failure.reason._tag === "RequestParseError" && failure.reason.reason === "BodyTooLarge"
          ? problem(413, "Too large", "The request is larger than the server reads.")
          : failure.reason._tag === "RequestParseError"
            ? problem(400, "Invalid request", "The body is not valid JSON.")
            : problem(500, "Internal error", "This should not have happened; see the server.")
    case "MessageContentError":
      return failure.reason._tag === "UnstorableText"
        ? problem(400, "Invalid request", failure.message)
        : ofDatabase(failure)
    case "MessageStoreError":
      return ofDatabase(failure)
  }
}

// An outage is in the log, with what failed in it.
const ofDatabase = (failure: MessageContentError | MessageStoreError): Problem =>
  isUnavailable(failure)
    ? problem(503, "The database does not answer", "The database does not answer.")
    : problem(500, "Internal error", failure.message)

const shorten = (text: string): string => (text.length <= 300 ? text : `${text.slice(0, 300)}…`)
