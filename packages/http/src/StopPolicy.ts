/**
 * Who may stop, or look at, which run: decided by the application.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { defaultTenant, type RunRecord } from "effect-cancellation"
import type { Actor } from "./CurrentActor.ts"
import type { Unavailable } from "./Problem.ts"

/**
 * What is to be done with a run: its receipt is read, or it is stopped.
 *
 * @category models
 * @since 0.1.0
 */
export type StopAction = "read" | "stop"

/**
 * `allow`: it is done. `forbid`: refused, and the answer says so. `hide`: as if there were no such run.
 *
 * @category models
 * @since 0.1.0
 */
export type StopDecision = "allow" | "forbid" | "hide"

/**
 * Decides of one run. `Unavailable` if that cannot be found out now: nothing is done then.
 *
 * @category models
 * @since 0.1.0
 */
export type DecideStop<R = never> = (
  actor: Actor["Service"],
  run: RunRecord,
  action: StopAction
) => Effect.Effect<StopDecision, Unavailable, R>

/**
 * The rule of an application. It is asked after a run was found in the actor's own company, and never
 * sees another's. It is also asked whether the actor might stop a run that has not begun, before a stop
 * waits for one: that record's `startedAt` is 0, and its ids are the actor's own (see `ownerOf`), with
 * names that nothing has where the page named none. There is no default: without it the Stop API does not type-check.
 *
 * @category services
 * @since 0.1.0
 */
export class StopPolicy extends Context.Service<
  StopPolicy,
  {
    readonly decide: DecideStop
  }
>()("effect-cancellation-http/StopPolicy") {
  /** A rule of your own. */
  static readonly layer = <R = never>(decide: DecideStop<R>): Layer.Layer<StopPolicy, never, R> =>
    Layer.effect(
      this,
      Effect.map(Effect.context<R>(), (context) => ({
        decide: (actor, run, action) => Effect.provideContext(decide(actor, run, action), context)
      }))
    )

  /**
   * The usual rule: one's own runs may be stopped (those whose ref has the actor's `userId`);
   * those with whom the chat is shared may read and not stop; administrators of the company may
   * stop any in it, and the receipt names who did. Everything else is hidden.
   *
   * `isShared` says with whom (by default with nobody), `adminRole` is the role of an administrator
   * (by default `admin`).
   *
   * ```ts
   * import { Effect } from "effect"
   * import { StopPolicy } from "effect-cancellation-http/StopPolicy"
   *
   * const members = new Map([["chat-1", new Set(["ada", "bob"])]])
   *
   * const Policy = StopPolicy.layerOwn({
   *   isShared: (actor, { run }) =>
   *     Effect.succeed(members.get(run.ref.chatId)?.has(actor.userId) === true)
   * })
   * ```
   */
  static readonly layerOwn = <R = never>(options?: {
    readonly isShared?:
      | ((actor: Actor["Service"], run: RunRecord) => Effect.Effect<boolean, Unavailable, R>)
      | undefined
    readonly adminRole?: string | undefined
  }): Layer.Layer<StopPolicy, never, R> => {
    const adminRole = options?.adminRole ?? "admin"
    return this.layer<R>((actor, record, action) => {
      const { userId } = record.run.ref
      // What has no user is nobody's own.
      const isOwn = userId === actor.userId && userId !== defaultTenant
      if (isOwn || actor.roles.includes(adminRole)) return Effect.succeed("allow")
      const isShared = options?.isShared?.(actor, record) ?? Effect.succeed(false)
      return Effect.map(isShared, (shared) =>
        shared ? (action === "read" ? "allow" : "forbid") : "hide"
      )
    })
  }
}
