/**
 * Rejections by a stop. It may come before anybody looks at the promise, and must not end the process
 * then: an unhandled rejection would.
 */
import { StopError } from "../Stop.ts"

/** The reason of work that was under way when its run was closed. */
export class RunClosed extends Error {
  override readonly name = "AbortError"

  constructor() {
    super("The run is closed.")
  }
}

/** The same promise to whoever awaits it; unawaited, only its own failures are unhandled. */
export const handledIfStopped = <A>(promise: Promise<A>): Promise<A> => {
  const told = new Promise<A>((resolve, reject) => {
    promise.then(resolve, (error: unknown) => {
      if (error instanceof StopError || error instanceof RunClosed) told.catch(() => {})
      reject(error)
    })
  })
  return told
}
