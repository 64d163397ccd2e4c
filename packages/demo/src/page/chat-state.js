// What the page knows of the chat, and how the server's events change it.

export const emptyChat = []

/**
 * The messages after an event, or `undefined` if the event does not fit what is known: then the page
 * has missed something and asks for everything again.
 */
export const applyEvent = (messages, event) => {
  switch (event._tag) {
    case "Chat":
      return event.messages
    case "Message":
      return withMessage(messages, event.message)
    case "Words": {
      const message = messages.find(({ messageId }) => messageId === event.messageId)
      if (message === undefined || message.text.length !== event.at) return undefined
      return withMessage(messages, { ...message, text: message.text + event.text })
    }
    default:
      return messages
  }
}

/** The messages after the answer to a stop, which may come before the event that says the same. */
export const applyReceipt = (messages, receipt) => {
  if (receipt._tag !== "Requested" && receipt._tag !== "Observed") return messages
  const { ref, runId } = receipt.run
  const message = messages.find(
    (one) => one.messageId === ref.messageId && one.runId === runId && one.state === "running"
  )
  return message === undefined
    ? messages
    : withMessage(messages, { ...message, state: "stopping", receipt })
}

const withMessage = (messages, message) => {
  const index = messages.findIndex(({ messageId }) => messageId === message.messageId)
  return index === -1 ? [...messages, message] : messages.with(index, message)
}
