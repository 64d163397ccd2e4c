/**
 * Waits for something, but not for ever.
 */

/** Resolves when it has settled, or when the time is over: true if it has. `Infinity` waits. */
export const within = async (millis: number, promise: Promise<unknown>): Promise<boolean> => {
  const settled = promise.then(
    () => true,
    () => true
  )
  if (!Number.isFinite(millis)) return settled
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), millis)
  })
  try {
    return await Promise.race([settled, late])
  } finally {
    clearTimeout(timer)
  }
}
