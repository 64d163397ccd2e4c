/**
 * One segment of a turn, as the feed looks at it and the store is told of it.
 */
import * as Effect from "effect/Effect"
import type { DetectedBy } from "../CancellationEvent.ts"
import { type Run, runKey } from "../Message.ts"
import type { RunRecord, StopReason, StopRequest } from "../StopRequest.ts"
import type { Chronicle } from "./chronicle.ts"
import type { Segment } from "./feed.ts"

/** Whose segment it is. */
interface Owner {
  readonly started: (part: Part, record: RunRecord) => Effect.Effect<void>
  readonly stepUnsafe: (
    run: Run,
    request: StopRequest,
    by: DetectedBy,
    at: number
  ) => Effect.Effect<void>
  readonly detect: (
    run: Run,
    request: StopRequest | StopReason,
    by: DetectedBy
  ) => Effect.Effect<void>
}

// A class, because there is one for each run, as of `Detection`.
export class Part implements Segment, Chronicle {
  readonly run: Run
  readonly address: string
  seen = false
  stale = false
  isWatched = false
  isAnnounced = false
  recheck: Segment["recheck"] = undefined
  start: Chronicle["start"] = "waiting"
  sending: Chronicle["sending"] = undefined
  answer: Chronicle["answer"] = undefined
  giveUpAt: Chronicle["giveUpAt"] = undefined
  failure: Chronicle["failure"] = undefined
  private readonly watch: Owner
  private ownKey: string | undefined

  /** With its key, if it is known by now. */
  constructor(watch: Owner, run: Run, address: string, key?: string) {
    this.watch = watch
    this.run = run
    this.address = address
    this.ownKey = key
  }

  // Where the store knows no runs, most are never asked for it.
  get key(): string {
    return (this.ownKey ??= runKey(this.run))
  }

  started(record: RunRecord): Effect.Effect<void> {
    return this.watch.started(this, record)
  }

  stepUnsafe(request: StopRequest, by: DetectedBy, at: number): Effect.Effect<void> {
    return this.watch.stepUnsafe(this.run, request, by, at)
  }

  detect(reason: Exclude<StopReason, "user">, by: DetectedBy): Effect.Effect<void> {
    return Effect.suspend(() => {
      // Its row is gone, and with it what could be told of it.
      if (reason === "deleted") this.start = "forgotten"
      return this.watch.detect(this.run, reason, by)
    })
  }
}
