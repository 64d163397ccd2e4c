/**
 * Why something failed, in one line: the message of what caused it in the end.
 */
export const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return inOneLine(String(error))
  // A name with several addresses, none of which answers, has a message for each and none of its own.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  return error.cause === undefined ? inOneLine(error.message || error.name) : reasonOf(error.cause)
}

// The second line of what a program said is often the one that says why.
const inOneLine = (text: string): string =>
  text
    .trim()
    .split(/\s*\n\s*/)
    .slice(0, 2)
    .join(": ")
