/**
 * Messages as the platform sends them. Fields may be absent, and enumerations may have values that
 * nobody here has heard of.
 */
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

// The zero of a time is what some serializers write for "none".
const isTime = Schema.makeFilter((text: string) =>
  iso.test(text) && Date.parse(text) > 0 ? undefined : "a time as in 2026-11-29T12:00:00.000Z"
)
const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/

/** A field that may be absent or null. */
export const maybe = <S extends Schema.Constraint>(schema: S) =>
  Schema.optionalKey(Schema.NullOr(schema))
const Time = maybe(Schema.String.check(isTime))

/** A list, whose entries are looked at one by one: a wrong one must hide no other. */
export const MessageList = Schema.Struct({
  object: Schema.Literal("list"),
  data: Schema.Array(Schema.Unknown)
})

/** What tells which message it is, and to which turn it belongs. */
export const Identity = Schema.Struct({
  id: Schema.NonEmptyString,
  chatId: maybe(Schema.String),
  role: maybe(Schema.String),
  responseTurnId: maybe(Schema.String),
  userAbortedAt: Schema.optionalKey(Schema.Unknown)
})
/** A value of {@link Identity}. */
export type Identity = typeof Identity.Type

export const isIdentity = Schema.is(Identity)

/** When a message came as far as it has. */
export const Progress = Schema.Struct({
  ...Identity.fields,
  createdAt: Time,
  startedStreamingAt: Time,
  stoppedStreamingAt: Time,
  completedAt: Time
})

/** Where a message stands in its turn. */
export const SegmentPlace = Schema.Struct({
  ...Identity.fields,
  segmentIndex: maybe(Schema.Finite)
})

/** A message with all that is used of it. */
export const WireMessage = Schema.Struct({
  ...Progress.fields,
  text: maybe(Schema.String),
  originalText: maybe(Schema.String),
  references: maybe(Schema.Json),
  debugInfo: maybe(Schema.Json),
  segmentKind: maybe(Schema.String),
  updatedAt: Time
})

const pathsOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** The fields that are wrong. What is in them may be what somebody said, and must not reach a log. */
export const wrongFields = ({ issue }: Schema.SchemaError): string =>
  Array.from(
    new Set(pathsOf(issue).issues.map(({ path }) => (path ?? []).map(String).join(".")))
  ).join(", ")

const isStopTime = Schema.is(Schema.String.check(isTime))

/** When the person pressed Stop; `malformed` if what is there is neither a time nor nothing. */
export const stopOf = ({ userAbortedAt }: Identity): number | "malformed" | undefined => {
  if (userAbortedAt === null || userAbortedAt === undefined) return undefined
  return isStopTime(userAbortedAt) ? Date.parse(userAbortedAt) : "malformed"
}

export const millisOf = (time: string | null | undefined): number | undefined =>
  time === null || time === undefined ? undefined : Date.parse(time)

/** Said to be, or not said at all: a stop must not be missed for a field that was left out. */
export const isAssistant = ({ role }: Identity): boolean => (role ?? "ASSISTANT") === "ASSISTANT"

/** ISO 8601 in UTC, as the platform writes it. */
export const timeOf = (millis: number): string => new Date(millis).toISOString()
