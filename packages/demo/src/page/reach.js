// Whether the server is heard, and has its database: the line at the top, and what it means for
// answers that were being written.

import { setText } from "./message-view.js"
import { isOpen } from "./words.js"

/** `onTime` is called each second while nobody knows how the answers stand. */
export const watchReach = (onTime) => {
  const line = document.getElementById("connection")
  let heardAt = performance.now()
  let silent
  let isDatabaseAway = false

  const server = (isReachable) => {
    if (!isReachable) silent ??= setInterval(() => onTime(), 1000)
    else if (silent === undefined) heardAt = performance.now()
    document.body.classList.toggle("unreachable", !isReachable)
    const away = !isReachable ? "server" : isDatabaseAway ? "database" : undefined
    setText(line, away === undefined ? "" : `The ${away} does not answer. Trying again…`)
    line.hidden = away === undefined
  }
  const database = (answers) => {
    isDatabaseAway = !answers
    server(true)
  }
  const told = () => {
    clearInterval(silent)
    silent = undefined
    database(true)
  }

  // From when the server went until it tells of the chat again, for which it needs the database,
  // nobody knows whether it still writes: only when it last did.
  const asKnown = (message) =>
    silent !== undefined && isOpen(message)
      ? { ...message, silence: Math.max(1, Math.floor((performance.now() - heardAt) / 1000)) }
      : message

  return { server, database, told, asKnown }
}
