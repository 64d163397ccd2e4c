// What the states of a message are called, for a person.

/** @param {number} millis */
export const duration = (millis) => {
  if (millis < 1000) return `${Math.round(millis)} ms`
  // what rounds to a minute is one
  return millis < 59_950 ? `${(millis / 1000).toFixed(1)} s` : age(Math.round(millis / 1000))
}

const age = (seconds) => {
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

const words = {
  said: () => "",
  running: ({ silence, text, tools }) => {
    if (silence !== undefined) return `No sign of life for ${age(silence)}`
    if (tools.some(({ state }) => state === "running")) return "Working…"
    return text === "" ? "Thinking…" : "Writing…"
  },
  stopping: ({ silence }) =>
    silence === undefined ? "Stopping…" : `Stopping, but no sign of life for ${age(silence)}`,
  stopped: ({ stop }) => {
    if (stop?.reason === "disconnect") return "Stopped, because its page was closed"
    return stop?.endedAt === undefined
      ? "Stopped"
      : `Stopped after ${duration(stop.endedAt - stop.askedAt)}`
  },
  completed: ({ stop }) => (stop === undefined ? "" : "Finished before the stop was seen"),
  interrupted: () => "Interrupted by shutdown",
  failed: () => "Failed",
  abandoned: () => "Given up: it did not end when it was stopped",
  lost: () => "Lost: its process died or was cut off"
}

/** The state of a message in words; empty if there is nothing to say. */
export const stateInWords = (message) => words[message.state](message)

/** The same for somebody who cannot see the message. */
export const announcement = (message) => {
  if (message.state === "running") return "The answer is being written."
  return stateInWords(message) || "The answer is finished."
}

/** The messages a run still writes, stop or no stop. */
export const isOpen = ({ state }) => state === "running" || state === "stopping"

/** Whether there is nothing to see in a text; the server would refuse it. */
export const isBlank = (text) => !/[^\s\p{Cc}\p{Cf}]/u.test(text)

const maxLength = 4000

/** Why a text is too long to be sent, if it is. */
export const tooLong = (text) => {
  if (text.length <= maxLength) return undefined
  const [length, limit] = [text.length, maxLength].map((one) => one.toLocaleString("en"))
  return `This text has ${length} characters; a message has ${limit} at most.`
}
