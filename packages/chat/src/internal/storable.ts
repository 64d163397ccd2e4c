/**
 * What of a change is given, and in which form every database keeps it.
 */
import type { AssistantChange, AssistantFields } from "../AssistantMessage.ts"

type Given<A> = { readonly [K in keyof A]?: Exclude<A[K], undefined> }

/** What is not given, or is given as `undefined`, is left alone. */
export const given = (change: AssistantChange): Given<AssistantChange> =>
  Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))

/** What the message is to hold, without what happens to it. */
export const fieldsOf = (change: AssistantChange): Given<AssistantFields> => {
  const { setCompletedAt: _, setStoppedStreamingAt: __, ...fields } = given(change)
  return fields
}

/**
 * Half a surrogate pair (the other half may be on its way) and NUL are kept by no or not every
 * database; a text must not be lost for one character that nobody can see.
 */
export const storable = (change: AssistantChange): Given<AssistantChange> => {
  const { originalText, segmentKind, text, ...rest } = change
  return given({
    ...rest,
    text: storableText(text),
    originalText: storableText(originalText),
    segmentKind: storableText(segmentKind)
  })
}

const storableText = (text: string | undefined): string | undefined =>
  text?.toWellFormed().replaceAll("\0", "\uFFFD")
