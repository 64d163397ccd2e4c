/**
 * The end of the demo that comes in any case: should a disk or a connection hang, the process still
 * ends when it was told to; and npm, which waits for it, within two seconds.
 */

const patience = 800
const limit = 1500

/** Begins with `begin`; until then `watch` says how many answers are not saved yet. */
export const makeEnding = () => {
  let unsaved = () => 0
  const begin = () => {
    setTimeout(() => {
      if (unsaved() > 0) {
        console.error(`Waiting for the database, to save ${answers(unsaved())} ...`)
      }
    }, patience).unref()
    setTimeout(() => {
      console.error(
        unsaved() > 0
          ? `Ended without it: the last words of ${answers(unsaved())} may be missing.`
          : "The end was forced: something did not finish in time."
      )
      process.exit(130)
    }, limit).unref()
  }
  const watch = (count: () => number) => {
    unsaved = count
  }
  return { begin, watch }
}

const answers = (count: number): string => (count === 1 ? "1 answer" : `${count} answers`)
