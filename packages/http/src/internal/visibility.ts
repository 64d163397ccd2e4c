/**
 * What an actor may see and stop. Runs are found with the actor's own company, and the policy is
 * asked of what was found; another company's run is never found.
 */
import * as Effect from "effect/Effect"
import {
  type ChatId,
  defaultTenant,
  type MessageId,
  type MessageRepo,
  type RunId,
  RunQuery,
  type RunRecord,
  type UserId
} from "effect-cancellation"
import type { Actor } from "../CurrentActor.ts"
import { Unavailable } from "../Problem.ts"
import type { StopAction, StopDecision, StopPolicy } from "../StopPolicy.ts"
import { ofStore } from "./storeProblem.ts"
import { within } from "./within.ts"

export type Person = Actor["Service"]

export interface Decided {
  readonly record: RunRecord
  readonly decision: StopDecision
}

export type Visibility = ReturnType<typeof makeVisibility>

export const makeVisibility = (options: {
  readonly repo: MessageRepo["Service"]
  readonly policy: StopPolicy["Service"]
  /** The user of the refs of what an actor starts. */
  readonly ownerOf: (actor: Person) => UserId | undefined
}) => {
  const { ownerOf, policy, repo } = options

  const find = (
    { companyId }: Person,
    place: {
      readonly chatId: ChatId
      readonly messageId?: MessageId
      readonly runningOnly?: boolean
    }
  ) =>
    ofStore(
      repo.findRuns(
        RunQuery.cases.Chat.make({ ...(companyId === undefined ? {} : { companyId }), ...place })
      )
    )

  const decide = (actor: Person, record: RunRecord, action: StopAction) =>
    Effect.flatMap(
      within("5 seconds", Effect.fail(undecided))(policy.decide(actor, record, action)),
      (decision) =>
        // What is none of its words lets nobody in.
        decisions.includes(decision)
          ? Effect.succeed(decision)
          : Effect.die(
              new Error(`StopPolicy answered ${decision}; it must be ${decisions.join(", ")}`)
            )
    )

  const decideAll = (actor: Person, records: ReadonlyArray<RunRecord>, action: StopAction) =>
    Effect.forEach(
      records,
      (record) => Effect.map(decide(actor, record, action), (decision) => ({ record, decision })),
      { concurrency: 8 }
    )

  /** The runs of a message that are meant, with what the policy says; one's own before others'. */
  const ofMessage = Effect.fnUntraced(function* (
    actor: Person,
    message: { readonly chatId: ChatId; readonly messageId: MessageId },
    runId: RunId | undefined,
    action: StopAction
  ) {
    const records = (yield* find(actor, message)).filter((record) =>
      runId === undefined ? record.current : record.run.runId === runId
    )
    const owner = ownerOf(actor) ?? defaultTenant
    const isOwn = ({ run }: RunRecord) => (run.ref.userId ?? defaultTenant) === owner
    const own = records.filter(isOwn)
    return yield* decideAll(actor, [...own, ...records.filter((one) => !isOwn(one))], action)
  })

  /** What runs in a chat now, with what the policy says of stopping it. */
  const ofChat = Effect.fnUntraced(function* (actor: Person, chatId: ChatId) {
    const running = yield* find(actor, { chatId, runningOnly: true })
    return yield* decideAll(
      actor,
      running.filter(({ current }) => current),
      "stop"
    )
  })

  return { decide, ofMessage, ofChat }
}

export const isVisible = ({ decision }: Decided): boolean => decision !== "hide"

const decisions: ReadonlyArray<StopDecision> = ["allow", "forbid", "hide"]

const undecided = new Unavailable({
  detail: "Whether you may do this could not be found out in time; nothing was done.",
  retryAfter: 1
})
