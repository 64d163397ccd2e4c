/** The runs on this library: one look for all of them, one read for each chat. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CancellationWatcher, MessageRef, MessageRepo } from "effect-cancellation"
import { onPlatform } from "../../test/support/platform.ts"
import type { Design } from "./Design.ts"

export const withLibrary: Design = Effect.fnUntraced(function* ({
  address,
  chunkSize,
  interrupted,
  pollMillis,
  starts
}) {
  const repo = yield* Layer.build(
    MessageRepo.layer({ chunkSize }).pipe(Layer.provide(onPlatform(address)))
  )
  yield* starts(({ index, place }) =>
    Effect.never.pipe(
      Effect.onInterrupt(() => Effect.sync(() => interrupted(index))),
      CancellationWatcher.runWithCancellation({ cancelResult: undefined }),
      Effect.provide(
        CancellationWatcher.layer({ ref: MessageRef.of(place), pollInterval: pollMillis }),
        { local: true }
      ),
      Effect.provideContext(repo),
      Effect.forkScoped
    )
  )
})
