/**
 * Ids that are allowed, and hard on whoever stores or sends them.
 */
import { ChatId, CompanyId, MessageId, MessageRef, Run, RunId, UserId } from "effect-cancellation"

/**
 * Ids that a database might take for each other, or not take at all, each with what it is: 36
 * characters may be put before them, because a test needs ids that are new.
 */
export const pairs: ReadonlyArray<readonly [string, string, string]> = [
  ["of 255 emoji", "😀".repeat(219), `${"😀".repeat(218)}😁`],
  ["of 255 letters", "a".repeat(219), `${"a".repeat(218)}b`],
  ["with %", "a%c", "abc"],
  ["with _", "a_c", "abc"],
  ["with a backslash", "a\\", "a"],
  ["with an escaped wildcard", "\\%", "%"],
  ["with ;", "a; DROP TABLE runs; --", "a"],
  ["with a separator", "a:b", "a"],
  ["with braces and brackets", "{a,b}[c]($1)?", "{a,b}[c]($2)?"],
  ["that differ in case", "Run", "run"],
  ["that differ in an accent's form", "e\u0301", "\u00e9"],
  ["that differ in an accent", "\u00e9", "e"],
  ["that differ in a space at the end", "a ", "a"],
  ["that look like numbers", "01", "1"],
  ["of other scripts", "عربى-中文-हिन्दी-עברית", "عربى-中文-हिन्दी-ไทย"]
]

/** A run all of whose ids are this one. */
export const placeOf = (id: string): Run =>
  Run.make({
    ref: MessageRef.make({
      companyId: CompanyId.make(id),
      userId: UserId.make(id),
      chatId: ChatId.make(id),
      messageId: MessageId.make(id)
    }),
    runId: RunId.make(id)
  })
