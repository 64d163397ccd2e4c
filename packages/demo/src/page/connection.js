// The stream of the server's events, which comes back by itself when the server does.

const silenceLimit = 15_000
const pause = 1000

/**
 * Calls `onEvent` with each event of the chat, and `onReachable` when the server is found or lost.
 * Returns how to look at everything again and how to leave.
 */
export const openEvents = (chatId, { onEvent, onReachable }) => {
  let source
  let retry
  let watchdog

  const hear = () => {
    clearTimeout(watchdog)
    watchdog = setTimeout(lose, silenceLimit)
  }

  const open = () => {
    close()
    source = new EventSource(`/api/chats/${encodeURIComponent(chatId)}/events`)
    source.addEventListener("open", hear)
    source.addEventListener("message", ({ data }) => {
      hear()
      onReachable(true)
      onEvent(JSON.parse(data))
    })
    // The browser's own way back waits longer each time; a person watches.
    source.addEventListener("error", lose)
    hear()
  }

  const lose = () => {
    onReachable(false)
    close()
    retry = setTimeout(open, pause)
  }

  const close = () => {
    clearTimeout(watchdog)
    clearTimeout(retry)
    source?.close()
  }

  open()
  return { reload: open, close }
}
