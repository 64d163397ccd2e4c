/**
 * The Agent API as a contract: what an agent asks that has no database, and what it is told. Server
 * and client are other modules, so that neither loads the other.
 *
 * It is for programs of your own that run agents, never for pages: those use `StopApi`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import {
  MessageStoreError,
  ProcessId,
  Run,
  RunOutcome,
  RunRecord,
  StopHint,
  StopRequest
} from "effect-cancellation"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { CurrentAgent } from "./CurrentAgent.ts"
import { Forbidden, InternalError, NotFound, NotSupported, Unavailable } from "./Problem.ts"
import { RequestBody, RequestGuard } from "./RequestGuard.ts"

/**
 * The most runs, changes or leases of one request.
 *
 * @category models
 * @since 0.1.0
 */
export const maxBatch = 1000

const batchOf = <S extends Schema.Top>(item: S) =>
  Schema.Array(item).check(Schema.isMaxLength(maxBatch))

/**
 * An agent process's claim that it is alive; `ttl` is in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export const AgentLease = Schema.Struct({
  owner: ProcessId,
  ttl: Schema.Finite.check(Schema.isGreaterThan(0))
}).annotate({ identifier: "AgentLease" })
/** A value of {@link AgentLease}. @category models @since 0.1.0 */
export type AgentLease = typeof AgentLease.Type

/**
 * The runs whose stops are asked for.
 *
 * @category models
 * @since 0.1.0
 */
export const LookBody = Schema.Struct({ runs: batchOf(Run) })

/**
 * What a look found, as the `StopLook` of a `MessageStore`.
 *
 * @category models
 * @since 0.1.0
 */
export const Look = Schema.Struct({
  requests: Schema.Array(Schema.Struct({ run: Run, request: StopRequest })),
  /** Runs that have no row, or are none of this agent's. */
  gone: Schema.Array(Run),
  lost: Schema.Array(Run),
  failures: Schema.Array(Schema.Struct({ run: Run, error: MessageStoreError })),
  now: Schema.Finite
}).annotate({ identifier: "AgentLook" })
/** A value of {@link Look}. @category models @since 0.1.0 */
export type Look = typeof Look.Type

/**
 * The runs that begin, and the lease of the process that runs them.
 *
 * @category models
 * @since 0.1.0
 */
export const StartBody = Schema.Struct({
  runs: batchOf(Run),
  lease: Schema.optionalKey(AgentLease)
})

/**
 * Steps forward of runs, in their order.
 *
 * @category models
 * @since 0.1.0
 */
export const AdvanceBody = Schema.Struct({
  changes: batchOf(
    Schema.Struct({
      run: Run,
      to: Schema.Union([Schema.Literal("observed"), RunOutcome])
    })
  )
})

/**
 * The leases to renew.
 *
 * @category models
 * @since 0.1.0
 */
export const LeaseBody = Schema.Struct({ leases: batchOf(AgentLease) })

/**
 * Runs as they stand.
 *
 * @category models
 * @since 0.1.0
 */
export const Records = Schema.Struct({ records: Schema.Array(RunRecord) }).annotate({
  identifier: "AgentRecords"
})
/** A value of {@link Records}. @category models @since 0.1.0 */
export type Records = typeof Records.Type

const failing = [NotFound, NotSupported, Unavailable, InternalError] as const
const starting = [Forbidden, ...failing] as const

/**
 * The six routes of the Agent API, to be added to an API of your own that no page calls.
 *
 * ```ts
 * import { HttpApi } from "effect/http-api"
 * import { AgentApi } from "effect-cancellation-http/AgentApi"
 *
 * class Internal extends HttpApi.make("my-app-internal").add(AgentApi.prefix("/internal")) {}
 * ```
 *
 * @category api
 * @since 0.1.0
 */
export class AgentApi extends HttpApiGroup.make("agent")
  .add(
    HttpApiEndpoint.post("look", "/agent/look", {
      payload: LookBody,
      success: Look,
      error: failing
    }).annotateMerge(
      OpenApi.annotations({
        summary: "The stops of runs",
        description: "A run that is none of this agent's is answered as one that does not exist."
      })
    ),
    HttpApiEndpoint.post("start", "/agent/start", {
      payload: StartBody,
      success: Records,
      error: starting
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Start runs",
        description:
          "Answers the runs as they stand, stops included. If one of them is none of this agent's, none is started."
      })
    ),
    HttpApiEndpoint.post("advance", "/agent/advance", {
      payload: AdvanceBody,
      success: Records,
      error: failing
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Say that stops were observed, and how runs ended",
        description: "Answers the runs as they then stand, without those that do not exist."
      })
    ),
    HttpApiEndpoint.post("lease", "/agent/lease", {
      payload: LeaseBody,
      error: failing
    }).annotateMerge(OpenApi.annotations({ summary: "Say that processes are alive" })),
    HttpApiEndpoint.post("sweep", "/agent/sweep", {
      payload: Schema.Struct({}),
      success: Records,
      error: failing
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Mark the runs of dead processes as lost",
        description:
          "Answers those of them that are this agent's. Marks none until the server has seen leases renewed for a while."
      })
    ),
    HttpApiEndpoint.get("hints", "/agent/hints", {
      success: HttpApiSchema.StreamSse({ data: StopHint }),
      error: [Unavailable, InternalError]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Hints that a stop may have been asked",
        description:
          "Server-sent events of this agent's runs. After `Reconnected` hints may have been missed: look at everything."
      })
    )
  )
  // The last one is asked first.
  .middleware(RequestBody)
  .middleware(CurrentAgent)
  .middleware(RequestGuard)
  .annotateMerge(
    OpenApi.annotations({
      title: "Agent",
      description: "For agents without a database: watches stops, and tells how far runs have come."
    })
  ) {}

/**
 * The Agent API by itself.
 *
 * @category api
 * @since 0.1.0
 */
export class AgentHttpApi extends HttpApi.make("effect-cancellation-agent")
  .add(AgentApi)
  .annotateMerge(OpenApi.annotations({ title: "Agent API", version: "1" })) {}
