/** What a test and its processes of agents tell each other, a line of JSON each. */
import * as Schema from "effect/Schema"
import { DetectedBy, Run, StopReason } from "effect-cancellation"

/** How a process of agents is set up; it finds them in its environment. Times are milliseconds. */
export const Settings = Schema.Struct({
  url: Schema.String,
  listenUrl: Schema.optionalKey(Schema.String),
  /** Prepared statements by name; a pooler may not know them. */
  prepare: Schema.optionalKey(Schema.Boolean),
  maxConnections: Schema.optionalKey(Schema.Finite),
  pollInterval: Schema.Finite,
  pollTimeout: Schema.Finite,
  leaseTtl: Schema.Finite,
  finalWriteTimeout: Schema.Finite
})
export type Settings = typeof Settings.Type

const SettingsLine = Schema.fromJsonString(Settings)
export const encodeSettings = Schema.encodeSync(SettingsLine)
export const decodeSettings = Schema.decodeUnknownSync(SettingsLine)

/** The name of {@link Settings} in the environment. */
export const settingsVariable = "AGENTS"

export const Command = Schema.TaggedUnion({
  /** Starts an agent for each. */
  Start: { runs: Schema.Array(Run) },
  /** Their work ends by itself. */
  Complete: { runs: Schema.Array(Run) },
  /** Stops what is left and ends the process. */
  Drain: {}
})
export type Command = typeof Command.Type

const CommandLine = Schema.fromJsonString(Command)
export const encodeCommand = Schema.encodeSync(CommandLine)
export const decodeCommand = Schema.decodeUnknownSync(CommandLine)

export const Report = Schema.TaggedUnion({
  Ready: {},
  /** The work was interrupted. The time is this machine's, as the test's own. */
  Detected: { run: Run, by: DetectedBy, reason: StopReason, at: Schema.Finite },
  /** A handler of the cancellation has run. */
  Handled: { run: Run },
  /** The run's scope has closed. */
  Ended: { run: Run },
  /** A line of the log. */
  Said: { level: Schema.String, text: Schema.String }
})
export type Report = typeof Report.Type

const ReportLine = Schema.fromJsonString(Report)
export const encodeReport = Schema.encodeSync(ReportLine)
export const decodeReport = Schema.decodeUnknownSync(ReportLine)
