/**
 * What the library has to say, in the words of a program without Effect.
 */
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Cause from "effect/Cause"
import type { StopsLog, StopsLogEntry } from "../StopsLog.ts"

/** Passes on what Effect's loggers are told. */
export const loggerOf = (log: StopsLog) =>
  Logger.make<unknown, void>(({ cause, fiber, logLevel, message }) => {
    const level = levels[logLevel]
    if (level === undefined) return
    const parts = Array.isArray(message) ? message : [message]
    const error = parts.find((part) => part instanceof Error)
    const entry: StopsLogEntry = {
      level,
      message: parts.filter((part) => typeof part === "string").join(" "),
      details: detailsOf(fiber.getRef(References.CurrentLogAnnotations)),
      ...(cause.reasons.length > 0
        ? { error: Cause.squash(cause) }
        : error === undefined
          ? {}
          : { error })
    }
    try {
      log(entry)
    } catch {
      // What tells of an outage must not be the next one.
    }
  })

const levels: Readonly<Record<string, StopsLogEntry["level"]>> = {
  Info: "info",
  Warn: "warning",
  Error: "error",
  Fatal: "error"
}

const detailsOf = (annotations: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(annotations).map(([name, value]) => [plain(name), value]))

// `effect_cancellation.chat_id` is `chatId` here.
const plain = (name: string): string =>
  name
    .replace(/^effect_cancellation\./, "")
    .replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
