// What the page knows of the chat, and how the server's events change it.

import { isOpen } from "./words.js"

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

/** A message with what the Stop API has said of its run, which may come before the event of it. */
export const withReceipt = (message, receipt) => {
  if (receipt?.requested === undefined || !isOpen(message)) return message
  const { ended, requested } = receipt
  if (ended === undefined && receipt.phase === "pending") return message
  const stop = { reason: requested.reason, askedAt: Date.parse(requested.at) }
  return ended === undefined
    ? { ...message, state: "stopping", stop }
    : { ...message, state: ended.outcome, stop: { ...stop, endedAt: Date.parse(ended.at) } }
}

const withMessage = (messages, message) => {
  const index = messages.findIndex(({ messageId }) => messageId === message.messageId)
  return index === -1 ? [...messages, message] : messages.with(index, message)
}
