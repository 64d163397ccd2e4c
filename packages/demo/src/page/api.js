// What the page asks of the server, beside stops. A refusal is an Error with a sentence for a person.

const post = async (path, body) => {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  }).catch(() => {
    throw new Error("The server does not answer.")
  })
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Error(answer.detail ?? `The server answered ${response.status}.`)
  return answer
}

const messagesOf = (chatId) => `/api/chats/${encodeURIComponent(chatId)}/messages`

/** Asks a question. The names come from here, so asking twice by mistake is asking once. */
export const ask = (chatId, question) => post(messagesOf(chatId), question)

export const regenerate = (chatId, messageId, runId) =>
  post(`${messagesOf(chatId)}/${encodeURIComponent(messageId)}/regenerate`, { runId })

/** A name that nobody else takes, short enough to type in a terminal. */
export const newId = (kind) => {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789"
  const random = crypto.getRandomValues(new Uint8Array(10))
  return `${kind}-${Array.from(random, (byte) => letters[byte % letters.length]).join("")}`
}
