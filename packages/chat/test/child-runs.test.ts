import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import {
  CancellationWatcher,
  InvalidSetting,
  MessageRepo,
  RunId,
  type StopReason
} from "effect-cancellation"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { ChildRuns, type OnParentStop } from "../src/ChildRuns.ts"
import {
  asParent,
  childOf,
  Eyes,
  inLab,
  lab,
  named,
  outcomeOf,
  outcomes,
  pass,
  refOf,
  settle,
  slowly,
  story,
  warnings
} from "./child-runs.fixture.ts"

const both: ReadonlyArray<OnParentStop> = ["stop", "continue"]

/** A run whose work is interrupted when it is stopped, and which says how it ended. */
const parentOf = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  work.pipe(CancellationWatcher.runWithCancellation({ cancelResult: "parent stopped" }), asParent)

/** The same in a fiber, its child begun. */
const started = Effect.fnUntraced(function* <A, E, R>(
  begun: Effect.Effect<void>,
  parent: Effect.Effect<A, E, R>
) {
  const fiber = yield* Effect.forkChild(parent)
  yield* begun
  yield* settle
  return fiber
})

const stop = (name: string) =>
  Effect.flatMap(MessageRepo, (repo) =>
    Effect.andThen(Effect.orDie(repo.requestStop(refOf(name))), settle)
  )

describe("a child run", () => {
  it.effect("answers what its effect answers, and ends so", () =>
    Effect.gen(function* () {
      const answer = yield* Effect.succeed(7).pipe(slowly, childOf("child"), asParent)
      assert.strictEqual(answer, 7)
      assert.deepStrictEqual(yield* outcomes, ["parent: completed", "child: completed"])
    }).pipe(inLab())
  )

  it.effect("fails as its effect fails, and is recorded as failed", () =>
    Effect.gen(function* () {
      const answer = yield* Effect.fail("no answer").pipe(
        slowly,
        childOf("child"),
        Effect.flip,
        asParent
      )
      assert.strictEqual(answer, "no answer")
      assert.strictEqual(yield* outcomeOf("child"), "failed")
      assert.strictEqual(yield* outcomeOf("parent"), "completed")
    }).pipe(inLab())
  )

  it.effect("dies as its effect dies", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.die("broken").pipe(childOf("child"), Effect.exit, asParent)
      assert.deepStrictEqual(exit, Exit.die("broken"))
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(inLab())
  )

  it.effect("that interrupts itself ends so for its caller, who is not interrupted", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.interrupt.pipe(slowly, childOf("child"), Effect.exit, asParent)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.strictEqual(yield* outcomeOf("child"), "interrupted")
      assert.strictEqual(yield* outcomeOf("parent"), "completed")
    }).pipe(inLab())
  )

  it.effect("finds its own watcher where its parent has the parent's", () =>
    Effect.gen(function* () {
      const runs = yield* Effect.gen(function* () {
        const before = yield* CancellationWatcher.run
        const child = yield* ChildRuns.run(CancellationWatcher.run, named("child"))
        return [before, child, yield* CancellationWatcher.run]
      }).pipe(asParent)
      assert.deepStrictEqual(
        runs.map(({ ref, runId }) => `${ref.messageId} ${runId}`),
        ["parent parent-run", "child child-run", "parent parent-run"]
      )
    }).pipe(inLab())
  )

  it.effect("is a new run each time it is run, though it is one value", () =>
    Effect.gen(function* () {
      const child = CancellationWatcher.run.pipe(ChildRuns.run({ ref: refOf("child") }))
      const runs = yield* Effect.all([child, child], { concurrency: 2 }).pipe(asParent)
      assert.notStrictEqual(runs[0].runId, runs[1].runId)
    }).pipe(inLab())
  )

  it.effect("builds its layers anew, with its own watcher and not its parent's", () =>
    Effect.gen(function* () {
      class Whose extends Context.Service<Whose, string>()("test/Whose") {}
      const layer = Layer.effect(
        Whose,
        Effect.map(CancellationWatcher.run, ({ ref }) => ref.messageId)
      )
      const whose = Effect.map(Whose, String)
      const grandchild = whose.pipe(Effect.provide(layer), childOf("grandchild"))
      const child = Effect.all([whose, grandchild]).pipe(Effect.provide(layer), childOf("child"))
      const seen = yield* Effect.all([whose, child]).pipe(Effect.provide(layer), asParent)
      assert.deepStrictEqual(seen, ["parent", ["child", "grandchild"]])
    }).pipe(inLab())
  )

  it.effect("dies with a setting that cannot work, and with the message of its parent", () =>
    Effect.gen(function* () {
      const settingOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.exit(effect), (exit) => {
          const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
          return error instanceof InvalidSetting ? error.message : exit
        })
      const seen = yield* Effect.all([
        settingOf(ChildRuns.run(Effect.void, named("parent"))),
        settingOf(childOf("child", { pollInterval: 0 })(Effect.void)),
        settingOf(childOf("child", { gracePeriod: -1 })(Effect.void))
      ]).pipe(asParent)
      assert.deepStrictEqual(seen, [
        "ref is message parent, which the parent writes; it must be a message of the child's own.",
        "pollInterval is 0; it must be a finite time above zero.",
        "gracePeriod is -1; it must be a finite time, zero or above."
      ])
      assert.deepStrictEqual(yield* outcomes, ["parent: completed"])
    }).pipe(inLab())
  )
})

describe("when the parent is stopped, a child that is to stop", () => {
  const reasons: ReadonlyArray<StopReason> = [
    "user",
    "disconnect",
    "deadline",
    "parent",
    "deleted",
    "unreachable",
    "other:budget"
  ]
  for (const reason of reasons) {
    it.effect(`is stopped with the reason parent, whatever its parent's reason: ${reason}`, () =>
      Effect.gen(function* () {
        const child = story()
        const answer = yield* Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(childOf("child")(child.works()))
          yield* child.begun
          yield* CancellationWatcher.cancel(reason)
          return yield* Fiber.join(fiber)
        }).pipe(asParent)
        // its own result, by its own means
        assert.strictEqual(answer, "partial, parent")
        assert.deepStrictEqual(child.lines, ["begins", "stopped: parent", "saved"])
        assert.strictEqual(yield* outcomeOf("child"), "stopped")
      }).pipe(inLab())
    )
  }

  it.effect("keeps what it has, and is waited for by a caller that is interrupted", () =>
    Effect.gen(function* () {
      const child = story()
      const parent = yield* started(
        child.begun,
        parentOf(childOf("child")(child.works("10 seconds")))
      )
      yield* stop("parent")
      yield* pass("9 seconds")
      assert.isUndefined(parent.pollUnsafe())
      assert.deepStrictEqual(child.lines, ["begins", "stopped: parent"])
      yield* pass("1 second")
      assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
      assert.deepStrictEqual(child.lines, ["begins", "stopped: parent", "saved"])
      assert.deepStrictEqual(yield* outcomes, ["parent: stopped", "child: stopped"])
    }).pipe(inLab())
  )

  it.effect("is told of a drain of their process as what it is, however many there are", () =>
    Effect.gen(function* () {
      const children = Array.from({ length: 300 }, () => story())
      const parents = yield* Effect.forEach(children, (child, index) =>
        child.works("1 seconds").pipe(
          childOf(`child ${index}`),
          CancellationWatcher.runWithCancellation({
            onCancelled: ({ request }) => Effect.succeed(request.reason)
          }),
          Effect.provide(CancellationWatcher.layer(named(`parent ${index}`))),
          Effect.forkChild
        )
      )
      yield* Effect.forEach(children, ({ begun }) => begun)
      yield* settle
      const repo = yield* MessageRepo
      const drain = yield* Effect.forkChild(repo.drain({ timeout: 0 }))
      yield* pass("1 second")
      yield* Fiber.join(drain)
      const reasons = yield* Effect.forEach(parents, Fiber.join)
      assert.deepStrictEqual(new Set(reasons), new Set<StopReason>(["shutdown"]))
      const told = new Set(children.map(({ lines }) => lines.slice(1).join(", ")))
      assert.deepStrictEqual(told, new Set(["stopped: shutdown, saved"]))
      assert.deepStrictEqual(
        new Set((yield* outcomes).map((line) => line.split(": ")[1])),
        new Set(["interrupted"])
      )
    }).pipe(inLab())
  )

  it.effect("ends by its own runWithCancellation, which answers for it", () =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const answer = yield* Effect.gen(function* () {
        const fiber = yield* Effect.never.pipe(
          CancellationWatcher.runWithCancellation({
            onCancelled: ({ request }) => Effect.succeed(`cut short: ${request.reason}`)
          }),
          (work) => Effect.andThen(Deferred.succeed(begun, undefined), work),
          childOf("child"),
          Effect.forkChild
        )
        yield* Deferred.await(begun)
        yield* CancellationWatcher.cancel("user")
        return yield* Fiber.join(fiber)
      }).pipe(asParent)
      assert.strictEqual(answer, "cut short: parent")
    }).pipe(inLab())
  )

  it.effect("whose work resists is given up after its own grace period", () =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const child = Effect.andThen(Deferred.succeed(begun, undefined), Effect.sleep("1 hour")).pipe(
        Effect.uninterruptible,
        CancellationWatcher.runWithCancellation({ cancelResult: undefined }),
        childOf("child", { gracePeriod: "3 seconds" })
      )
      const parent = yield* started(Deferred.await(begun), parentOf(child))
      yield* stop("parent")
      yield* pass("2900 millis")
      assert.isUndefined(parent.pollUnsafe())
      yield* pass("100 millis")
      assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
      assert.strictEqual(yield* outcomeOf("child"), "abandoned")
      yield* pass("1 hour")
    }).pipe(inLab())
  )

  it.effect("that never looks is interrupted after its grace period and its handlerTimeout", () =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const child = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
        childOf("child", { gracePeriod: "3 seconds", handlerTimeout: "2 seconds" })
      )
      const parent = yield* started(Deferred.await(begun), parentOf(child))
      yield* stop("parent")
      yield* pass("4900 millis")
      assert.isUndefined(parent.pollUnsafe())
      yield* pass("100 millis")
      assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
      yield* settle
      assert.strictEqual(yield* outcomeOf("child"), "stopped")
      const [line, ...others] = yield* warnings
      assert.deepStrictEqual(others, [])
      assert.include(line?.text, "A child run did not end in time")
      assert.strictEqual(line?.annotations["effect_cancellation.message_id"], "child")
    }).pipe(inLab())
  )

  it.effect(
    "that cannot be interrupted either is left behind, and the closing layer waits for it",
    () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(lab(), scope)
        const child = Effect.andThen(
          Deferred.succeed(begun, undefined),
          Effect.sleep("1 hour")
        ).pipe(Effect.uninterruptible, childOf("child", { gracePeriod: "3 seconds" }))
        const parent = yield* started(
          Deferred.await(begun),
          parentOf(child).pipe(Effect.provide(context))
        )
        yield* stop("parent").pipe(Effect.provide(context))
        yield* pass("8 seconds")
        assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* pass("50 minutes")
        assert.isUndefined(closing.pollUnsafe())
        yield* pass("10 minutes")
        yield* Fiber.join(closing)
        const seen = yield* outcomeOf("child").pipe(Effect.provide(context))
        assert.strictEqual(seen, "stopped")
      })
  )

  it.effect("that fails as it ends is logged: its caller is interrupted and cannot tell", () =>
    Effect.gen(function* () {
      const child = story()
      const parent = yield* started(
        child.begun,
        parentOf(child.works().pipe(Effect.andThen(Effect.fail("disk full")), childOf("child")))
      )
      yield* stop("parent")
      assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
      const [line] = yield* warnings
      assert.include(line?.text, "A child run failed after its parent was stopped")
      assert.include(line?.text, "disk full")
    }).pipe(inLab())
  )

  it.effect("is stopped before its first step if its parent was before", () =>
    Effect.gen(function* () {
      const seen = yield* Effect.gen(function* () {
        yield* CancellationWatcher.cancel("user")
        return yield* Effect.flatMap(CancellationWatcher.isCancelled, (isCancelled) =>
          Effect.map(CancellationWatcher.cancellation, ({ request }) => [
            isCancelled,
            request.reason
          ])
        ).pipe(
          Effect.zip(settle),
          Effect.map(([seen]) => seen),
          childOf("child")
        )
      }).pipe(asParent)
      assert.deepStrictEqual(seen, [true, "parent"])
      assert.strictEqual(yield* outcomeOf("child"), "stopped")
    }).pipe(inLab())
  )

  it.effect("does not even start its work then, where it is wrapped", () =>
    Effect.gen(function* () {
      let begun = false
      const seen = yield* Effect.gen(function* () {
        yield* CancellationWatcher.cancel("user")
        return yield* Effect.sync(() => (begun = true)).pipe(
          CancellationWatcher.runWithCancellation({ cancelResult: "stopped" }),
          childOf("child")
        )
      }).pipe(asParent)
      assert.strictEqual(seen, "stopped")
      assert.isFalse(begun)
    }).pipe(inLab())
  )

  it.effect("is not interrupted any more by who interrupts its caller while it ends", () =>
    Effect.gen(function* () {
      const child = story()
      const parent = yield* started(
        child.begun,
        childOf("child")(child.works("10 seconds")).pipe(asParent)
      )
      yield* stop("parent")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(parent))
      yield* pass("9 seconds")
      assert.isUndefined(interrupting.pollUnsafe())
      yield* pass("1 second")
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(child.lines, ["begins", "stopped: parent", "saved"])
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(parent)))
    }).pipe(inLab())
  )
})

describe("when the parent is stopped, a child that is to continue", () => {
  it.effect("lives on, and its interrupted caller does not wait for it", () =>
    Effect.gen(function* () {
      const child = story()
      const work = child
        .works()
        .pipe(Effect.raceFirst(Effect.sleep("1 hour")), Effect.andThen(child.says("done")))
      const parent = yield* started(
        child.begun,
        parentOf(childOf("child", { onParentStop: "continue" })(work))
      )
      yield* stop("parent")
      assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
      yield* pass("59 minutes")
      assert.deepStrictEqual(yield* outcomes, ["parent: stopped", "child: running"])
      yield* pass("1 minute")
      assert.deepStrictEqual(yield* outcomes, ["parent: stopped", "child: completed"])
      assert.strictEqual(child.lines.at(-1), "done")
    }).pipe(inLab())
  )

  it.effect("can still be stopped itself", () =>
    Effect.gen(function* () {
      const child = story()
      const parent = yield* started(
        child.begun,
        parentOf(childOf("child", { onParentStop: "continue" })(child.works()))
      )
      yield* stop("parent")
      yield* Fiber.join(parent)
      yield* stop("child")
      assert.deepStrictEqual(child.lines, ["begins", "stopped: user", "saved"])
      assert.strictEqual(yield* outcomeOf("child"), "stopped")
    }).pipe(inLab())
  )

  it.effect("answers a caller that is not interrupted", () =>
    Effect.gen(function* () {
      const answer = yield* Effect.gen(function* () {
        const fiber = yield* Effect.delay(Effect.succeed(7), "1 minute").pipe(
          childOf("child", { onParentStop: "continue" }),
          Effect.forkChild
        )
        yield* settle
        yield* CancellationWatcher.cancel("user")
        yield* pass("1 minute")
        return yield* Fiber.join(fiber)
      }).pipe(asParent)
      assert.strictEqual(answer, 7)
      assert.strictEqual(yield* outcomeOf("child"), "completed")
    }).pipe(inLab())
  )

  it.effect("runs though its parent was stopped before", () =>
    Effect.gen(function* () {
      const seen = yield* Effect.andThen(
        CancellationWatcher.cancel("user"),
        childOf("child", { onParentStop: "continue" })(slowly(CancellationWatcher.isCancelled))
      ).pipe(asParent)
      assert.isFalse(seen)
      assert.strictEqual(yield* outcomeOf("child"), "completed")
    }).pipe(inLab())
  )

  it.effect("and fails with nobody left to hear it, is logged", () =>
    Effect.gen(function* () {
      const parent = yield* started(
        settle,
        parentOf(
          Effect.delay(Effect.fail("no answer"), "1 minute").pipe(
            childOf("child", { onParentStop: "continue" })
          )
        )
      )
      yield* stop("parent")
      yield* Fiber.join(parent)
      yield* pass("1 minute")
      const [line, ...others] = yield* warnings
      assert.deepStrictEqual(others, [])
      assert.include(line?.text, "no answer")
      assert.strictEqual(yield* outcomeOf("child"), "failed")
    }).pipe(inLab())
  )

  it.effect("is interrupted by the layer that closes, which waits for all at the same time", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(lab(), scope)
      const children = Array.from({ length: 5 }, () => story())
      const parent = yield* started(
        Effect.forEach(children, ({ begun }) => begun, { discard: true }),
        parentOf(
          Effect.forEach(
            children,
            (child, index) =>
              child
                .works()
                .pipe(
                  Effect.ensuring(Effect.sleep("10 seconds")),
                  childOf(`child ${index}`, { onParentStop: "continue" })
                ),
            { concurrency: "unbounded" }
          )
        ).pipe(Effect.provide(context))
      )
      yield* stop("parent").pipe(Effect.provide(context))
      yield* Fiber.join(parent)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* pass("9 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* pass("1 second")
      yield* Fiber.join(closing)
      for (const { lines } of children) assert.deepStrictEqual(lines, ["begins", "interrupted"])
      const seen = yield* Effect.forEach(children, (_, index) => outcomeOf(`child ${index}`)).pipe(
        Effect.provide(context)
      )
      for (const outcome of seen) assert.strictEqual(outcome, "interrupted")
    })
  )

  it.effect("is waited for by a drain, and then cancelled with the reason shutdown", () =>
    Effect.gen(function* () {
      const child = story()
      const parent = yield* started(
        child.begun,
        parentOf(childOf("child", { onParentStop: "continue" })(child.works()))
      )
      yield* stop("parent")
      yield* Fiber.join(parent)
      const repo = yield* MessageRepo
      const drain = yield* Effect.forkChild(repo.drain({ timeout: "1 minute" }))
      yield* pass("59 seconds")
      assert.deepStrictEqual(child.lines, ["begins"])
      yield* pass("1 second")
      yield* Fiber.join(drain)
      assert.deepStrictEqual(child.lines, ["begins", "stopped: shutdown", "saved"])
      assert.strictEqual(yield* outcomeOf("child"), "interrupted")
    }).pipe(inLab())
  )
})

describe("an interruption that is no stop of the parent", () => {
  for (const onParentStop of both) {
    it.effect(`ends a child that is to ${onParentStop} by interruption: a timeout`, () =>
      Effect.gen(function* () {
        const child = story()
        const answer = yield* child
          .works()
          .pipe(
            Effect.ensuring(Effect.sleep("10 seconds")),
            childOf("child", { onParentStop }),
            Effect.timeoutOption("1 minute"),
            asParent,
            (work) => started(child.begun, work)
          )
        yield* pass("69 seconds")
        // waits for the finalizers
        assert.isUndefined(answer.pollUnsafe())
        yield* pass("1 second")
        assert.deepStrictEqual(yield* Fiber.join(answer), Option.none())
        assert.deepStrictEqual(child.lines, ["begins", "interrupted"])
        assert.deepStrictEqual(yield* outcomes, ["parent: completed", "child: interrupted"])
      }).pipe(inLab())
    )

    it.effect(`ends a child that is to ${onParentStop} by interruption: its whole parent`, () =>
      Effect.gen(function* () {
        const child = story()
        const parent = yield* started(
          child.begun,
          parentOf(childOf("child", { onParentStop })(child.works()))
        )
        yield* Fiber.interrupt(parent)
        assert.deepStrictEqual(child.lines, ["begins", "interrupted"])
        assert.deepStrictEqual(yield* outcomes, ["parent: interrupted", "child: interrupted"])
      }).pipe(inLab())
    )

    it.effect(`starts no child that is to ${onParentStop} if it comes before its first step`, () =>
      Effect.gen(function* () {
        const child = story()
        const parent = yield* Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(childOf("child", { onParentStop })(child.works()), {
            startImmediately: true
          })
          yield* Fiber.interrupt(fiber)
          yield* settle
        }).pipe(asParent, Effect.forkChild)
        yield* settle
        yield* Fiber.join(parent)
        assert.deepStrictEqual(child.lines, [])
        assert.deepStrictEqual(yield* outcomes, ["parent: completed"])
      }).pipe(inLab())
    )
  }

  it.effect("does not turn into a stop when one comes after it", () =>
    Effect.gen(function* () {
      const child = story()
      const parent = yield* started(
        child.begun,
        child
          .works()
          .pipe(
            Effect.ensuring(Effect.sleep("10 seconds")),
            childOf("child"),
            Effect.timeoutOption("1 minute"),
            asParent
          )
      )
      yield* pass("65 seconds")
      yield* stop("parent")
      yield* pass("5 seconds")
      assert.deepStrictEqual(yield* Fiber.join(parent), Option.none())
      assert.deepStrictEqual(child.lines, ["begins", "interrupted"])
    }).pipe(inLab())
  )

  it.effect("ends a child of a layer that is closed already", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(lab(), scope)
      const children = Context.get(context, ChildRuns)
      const exit = yield* Effect.andThen(
        Scope.close(scope, Exit.void),
        Effect.exit(children.run(Effect.never, named("child")))
      ).pipe(asParent, Effect.provide(context))
      assert.isTrue(Exit.hasInterrupts(exit))
    })
  )
})

describe("a stop of the child", () => {
  for (const onParentStop of both) {
    it.effect(`that is to ${onParentStop} with its parent leaves the parent alone`, () =>
      Effect.gen(function* () {
        const child = story()
        const parent = yield* started(
          child.begun,
          Effect.gen(function* () {
            const answer = yield* childOf("child", { onParentStop })(child.works())
            const isCancelled = yield* CancellationWatcher.check
            yield* Effect.sleep("1 minute")
            return [answer, isCancelled]
          }).pipe(CancellationWatcher.runWithCancellation({ cancelResult: "stopped" }), asParent)
        )
        yield* stop("child")
        yield* pass("1 minute")
        assert.deepStrictEqual(yield* Fiber.join(parent), ["partial, user", false])
        assert.deepStrictEqual(yield* outcomes, ["parent: completed", "child: stopped"])
      }).pipe(inLab())
    )
  }

  it.effect("leaves its siblings alone", () =>
    Effect.gen(function* () {
      const [one, other] = [story(), story()]
      const parent = yield* started(
        Effect.andThen(one.begun, other.begun),
        parentOf(
          Effect.all([childOf("one")(one.works()), childOf("other")(other.works())], {
            concurrency: 2
          })
        )
      )
      yield* stop("one")
      assert.deepStrictEqual(other.lines, ["begins"])
      yield* stop("parent")
      yield* Fiber.join(parent)
      assert.deepStrictEqual(one.lines, ["begins", "stopped: user", "saved"])
      assert.deepStrictEqual(other.lines, ["begins", "stopped: parent", "saved"])
    }).pipe(inLab())
  )
})

describe("children of children", () => {
  /** Runs of runs, the innermost last; each waits for the next in a `runWithCancellation` of its own. */
  const chain = (
    names: ReadonlyArray<string>,
    options: Readonly<Record<string, OnParentStop>>,
    stories: ReadonlyMap<string, ReturnType<typeof story>>
  ): Effect.Effect<unknown, never, ChildRuns | CancellationWatcher> => {
    const [name = "", ...rest] = names
    const onParentStop = options[name] ?? "stop"
    const work = Effect.gen(function* () {
      const below =
        rest.length === 0
          ? Effect.void
          : CancellationWatcher.runWithCancellation(chain(rest, options, stories), {
              cancelResult: undefined
            })
      yield* Effect.all([below, stories.get(name)?.works("1 seconds") ?? Effect.void], {
        concurrency: 2
      })
    })
    return childOf(name, { onParentStop })(work)
  }
  const family = ["a", "b", "c", "d"]
  const openFamily = Effect.fnUntraced(function* (options: Record<string, OnParentStop> = {}) {
    const stories = new Map(family.map((name) => [name, story()]))
    const parent = yield* started(
      Effect.forEach(stories.values(), ({ begun }) => begun, { discard: true }),
      parentOf(chain(family, options, stories))
    )
    const linesOf = (name: string) => stories.get(name)?.lines.slice(1)
    return { parent, told: () => family.map((name) => linesOf(name)?.[0] ?? "runs") }
  })

  it.effect("are stopped with their grandparents, each by its own parent", () =>
    Effect.gen(function* () {
      const { parent, told } = yield* openFamily()
      yield* stop("parent")
      assert.deepStrictEqual(
        told(),
        family.map(() => "stopped: parent")
      )
      yield* pass("1 second")
      assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
      assert.deepStrictEqual(yield* outcomes, [
        "parent: stopped",
        ...family.map((name) => `${name}: stopped`)
      ])
    }).pipe(inLab())
  )

  it.effect("are stopped with the one in the middle, which leaves those above alone", () =>
    Effect.gen(function* () {
      const { parent, told } = yield* openFamily()
      yield* stop("b")
      assert.deepStrictEqual(told(), [
        "runs",
        "stopped: user",
        "stopped: parent",
        "stopped: parent"
      ])
      yield* pass("1 second")
      assert.isUndefined(parent.pollUnsafe())
      yield* stop("parent")
      yield* pass("1 second")
      assert.deepStrictEqual(told().slice(0, 1), ["stopped: parent"])
      yield* Fiber.join(parent)
    }).pipe(inLab())
  )

  it.effect("live on below one that continues", () =>
    Effect.gen(function* () {
      const { parent, told } = yield* openFamily({ c: "continue" })
      yield* stop("parent")
      assert.deepStrictEqual(told(), ["stopped: parent", "stopped: parent", "runs", "runs"])
      yield* pass("1 second")
      yield* Fiber.join(parent)
      assert.deepStrictEqual((yield* outcomes).slice(3), ["c: running", "d: running"])
      yield* stop("c")
      yield* pass("1 second")
      assert.deepStrictEqual(told().slice(2), ["stopped: user", "stopped: parent"])
      assert.deepStrictEqual((yield* outcomes).slice(3), ["c: stopped", "d: stopped"])
    }).pipe(inLab())
  )

  it.effect("are interrupted with their grandparents", () =>
    Effect.gen(function* () {
      const { parent, told } = yield* openFamily({ c: "continue" })
      yield* Fiber.interrupt(parent)
      assert.deepStrictEqual(
        told(),
        family.map(() => "interrupted")
      )
      assert.deepStrictEqual(
        new Set((yield* outcomes).map((line) => line.split(": ")[1])),
        new Set(["interrupted"])
      )
    }).pipe(inLab())
  )
})

describe("nothing is left", () => {
  /** Everything is over and written, no fiber more than before. */
  const assertNothingLeft = Effect.fnUntraced(function* (alive: number) {
    const { fibers } = yield* Eyes
    const seen = yield* outcomes
    assert.deepStrictEqual(
      seen.filter((line) => line.endsWith("running")),
      []
    )
    assert.strictEqual(fibers.alive, alive)
  })

  it.effect("of many children, of either kind, at a stop", () =>
    Effect.gen(function* () {
      const children = Array.from({ length: 200 }, (_, index) => ({
        name: `child ${index}`,
        onParentStop: both[index % 2] ?? "stop",
        ...story()
      }))
      const { fibers } = yield* Eyes
      const alive = fibers.alive
      const parent = yield* started(
        Effect.forEach(children, ({ begun }) => begun, { discard: true }),
        parentOf(
          Effect.forEach(
            children,
            ({ name, onParentStop, works }) => childOf(name, { onParentStop })(works("1 seconds")),
            { concurrency: "unbounded" }
          )
        )
      )
      yield* stop("parent")
      yield* pass("1 second")
      assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
      for (const { lines, onParentStop } of children) {
        assert.deepStrictEqual(
          lines,
          onParentStop === "stop" ? ["begins", "stopped: parent", "saved"] : ["begins"]
        )
      }
      yield* Effect.forEach(children, ({ name, onParentStop }) =>
        onParentStop === "stop" ? Effect.void : stop(name)
      )
      yield* pass("1 second")
      yield* assertNothingLeft(alive)
    }).pipe(inLab())
  )

  it.effect("of a parent with a thousand children, one after the other", () =>
    Effect.gen(function* () {
      const { fibers } = yield* Eyes
      yield* Effect.gen(function* () {
        yield* childOf("first")(Effect.void)
        yield* settle
        yield* settle
        const { alive } = fibers
        for (let index = 0; index < 1000; index++) {
          yield* ChildRuns.run(Effect.void, { ref: refOf(`child ${index}`) })
        }
        yield* settle
        assert.isAtMost(fibers.alive, alive)
        // no handler is left to run, each in a fiber of its own
        const { started: before } = fibers
        yield* CancellationWatcher.cancel("user")
        yield* settle
        assert.isBelow(fibers.started - before, 10)
      }).pipe(asParent)
    }).pipe(inLab())
  )

  // How many steps the parent has taken, as its fiber gives way to others, when it is stopped or
  // interrupted: from before it has begun until after its child has ended.
  const steps = Array.from({ length: 40 }, (_, step) => step)
  for (const onParentStop of both) {
    for (const by of ["stop", "interrupt", "stop, then interrupt", "interrupt, then stop"]) {
      it.effect(`of a child that is to ${onParentStop}, whenever there is: ${by}`, () =>
        Effect.gen(function* () {
          const { fibers } = yield* Eyes
          const alive = fibers.alive
          const seen = new Set<string>()
          for (const step of steps) {
            const child = story()
            const watcher = yield* Deferred.make<CancellationWatcher["Service"]>()
            const work = Effect.gen(function* () {
              for (let turn = 0; turn < 10; turn++) yield* Effect.yieldNow
              return yield* child
                .works("1 seconds")
                .pipe(
                  Effect.raceFirst(Effect.forEach(steps.slice(0, 15), () => Effect.yieldNow)),
                  childOf("child", { onParentStop, runId: RunId.make(`child ${by} ${step}`) })
                )
            })
            const parent = yield* Effect.gen(function* () {
              yield* Deferred.succeed(watcher, yield* CancellationWatcher)
              return yield* CancellationWatcher.runWithCancellation(work, {
                cancelResult: "parent stopped"
              })
            }).pipe(
              Effect.provide(
                CancellationWatcher.layer({
                  ref: refOf("parent"),
                  runId: RunId.make(`${by} ${step}`)
                })
              ),
              Effect.forkDetach
            )
            const { cancel } = yield* Deferred.await(watcher)
            for (let turn = 0; turn < step; turn++) yield* Effect.yieldNow
            for (const what of by.split(", then ")) {
              if (what === "stop") yield* cancel("user")
              else parent.interruptUnsafe()
            }
            yield* pass("2 seconds")
            assert.isDefined(parent.pollUnsafe(), `step ${step}`)
            seen.add(child.lines.join(", "))
            yield* assertNothingLeft(alive)
          }
          // neither too early nor too late to see something
          assert.isTrue(seen.has(""))
          assert.isAbove(seen.size, 1)
        }).pipe(inLab())
      )
    }
  }
})

describe("a store that is down", () => {
  it.effect("keeps no stop of a parent from its children", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const child = story()
      yield* faults.set({ all: Fault.hang })
      const parent = yield* started(
        child.begun,
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(childOf("child")(child.works()))
          yield* child.begun
          yield* CancellationWatcher.cancel("deadline")
          return yield* Fiber.join(fiber)
        }).pipe(asParent)
      )
      yield* pass("10 minutes")
      assert.strictEqual(yield* Fiber.join(parent), "partial, parent")
      yield* faults.heal
    }).pipe(inLab())
  )
})
