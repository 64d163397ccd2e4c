/**
 * What tells one stop of one actor from another.
 */
import { defaultTenant, messageKey, runKey, type StopTarget } from "effect-cancellation"
import type { Actor } from "../CurrentActor.ts"

// No id has a NUL.

export const actorKey = ({ companyId, userId }: Actor["Service"]): string =>
  `${companyId ?? defaultTenant}\0${userId}`

export const targetKey = (target: StopTarget): string => {
  switch (target._tag) {
    case "Chat":
      return `chat\0${target.companyId ?? defaultTenant}\0${target.userId ?? defaultTenant}\0${target.chatId}`
    case "Message":
      return `message\0${messageKey(target.ref)}`
    case "Run":
      return `run\0${runKey(target.run)}`
  }
}
