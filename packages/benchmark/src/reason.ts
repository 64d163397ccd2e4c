/**
 * Why something failed, in one line: the message of what caused it in the end.
 */
export const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return firstLine(String(error))
  // A name with several addresses, none of which answers, has a message for each and none of its own.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  return error.cause === undefined ? firstLine(error.message || error.name) : reasonOf(error.cause)
}

const firstLine = (text: string): string => text.trim().split("\n")[0] ?? ""
