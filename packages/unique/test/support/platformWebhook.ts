// The event that starts an agent, and how the platform delivers it.
import { createHmac } from "node:crypto"
import * as Effect from "effect/Effect"
import { type MessageStore, newId, type Owner } from "./platformMessages.ts"

/** The event that a user's message becomes for the agent that was chosen. */
interface ChatEvent extends Owner {
  readonly id: string
  readonly event: "unique.chat.external-module.chosen"
  /** Unix seconds, as text. */
  readonly createdAt: string
  readonly version: string
  readonly payload: {
    readonly name: string
    readonly description: string
    readonly chatId: string
    readonly assistantId: string
    readonly configuration: Readonly<Record<string, unknown>>
    readonly userMessage: {
      readonly id: string
      readonly text: string
      readonly originalText: string
      readonly createdAt: string
      readonly language: string
    }
    readonly assistantMessage: { readonly id: string; readonly createdAt: string }
  }
}

interface Delivery {
  readonly secret: string
  /** Unix seconds, or what to send instead; now unless told, null leaves the header out. */
  readonly createdAt?: number | string | null
  /** Another than the right one; null leaves the header out. */
  readonly signature?: string | null
}

export interface Webhook {
  /** Adds a user's message and the empty one for the answer, and tells of them. */
  readonly chatEvent: (
    turn: Owner & { readonly chatId: string; readonly text?: string }
  ) => ChatEvent
  /** Posts an event, or any text, to an agent. */
  readonly deliver: (
    url: string,
    event: ChatEvent | string,
    delivery: Delivery
  ) => Effect.Effect<{ readonly status: number; readonly body: string }>
}

export const makeWebhook = (messages: MessageStore, now: () => number): Webhook => {
  const seconds = () => Math.floor(now() / 1000)
  return {
    chatEvent: ({ companyId, userId, chatId, text = "Hello" }) => {
      const owner = { companyId, userId }
      const user = messages.add({ ...owner, chatId, role: "USER", text, originalText: text })
      const assistant = messages.add({ ...owner, chatId, role: "ASSISTANT" })
      return {
        id: newId("evt"),
        event: "unique.chat.external-module.chosen",
        ...owner,
        createdAt: String(seconds()),
        version: "1.0.0",
        payload: {
          name: "agent",
          description: "An agent",
          chatId,
          assistantId: newId("assistant"),
          configuration: {},
          userMessage: {
            id: user.id,
            text,
            originalText: text,
            createdAt: user.createdAt,
            language: "English"
          },
          assistantMessage: { id: assistant.id, createdAt: assistant.createdAt }
        }
      }
    },
    deliver: (url, event, { secret, createdAt = seconds(), signature }) =>
      Effect.promise(async (signal) => {
        const body = typeof event === "string" ? event : JSON.stringify(event)
        const headers = new Headers({ "content-type": "application/json" })
        const right = createHmac("sha256", secret).update(body).digest("hex")
        if (signature !== null) headers.set("x-unique-signature", signature ?? right)
        if (createdAt !== null) headers.set("x-unique-created-at", String(createdAt))
        const response = await fetch(url, { method: "POST", headers, body, signal })
        return { status: response.status, body: await response.text() }
      })
  }
}
