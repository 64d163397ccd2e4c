// Which chat the page shows: the address names it, and the browser remembers the last one.

import { newId } from "./api.js"

/** The chat of the address, or else the last one, or else a new one; afterwards the address has it. */
export const openedChat = () => {
  const named = readName(location.hash.slice(1))
  const chatId = named ?? readName(localStorage.getItem("chat") ?? "") ?? newId("chat")
  localStorage.setItem("chat", chatId)
  if (named !== chatId) history.replaceState(null, "", `#${encodeURIComponent(chatId)}`)
  return chatId
}

// What the server would refuse as the id of a chat names none: the rule of the library's ids.
const readName = (encoded) => {
  try {
    const name = decodeURIComponent(encoded)
    return /^[^\p{C}\p{Zl}\p{Zp}"'`]{1,255}$/u.test(name) ? name : undefined
  } catch {
    return undefined
  }
}
