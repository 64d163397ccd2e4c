/**
 * Where a message is: what every call to the platform names.
 */
import {
  type ChatId,
  type CompanyId,
  defaultTenant,
  MessageRef,
  type UserId
} from "effect-cancellation"

/** A chat of a user of a company; a `MessageRef` is one too. */
export interface Place {
  readonly companyId?: CompanyId
  readonly userId?: UserId
  readonly chatId: ChatId
}

export const companyOf = ({ companyId }: Place): string => companyId ?? defaultTenant

export const userOf = ({ userId }: Place): string => userId ?? defaultTenant

/** Equal exactly for the same chat of the same tenant: no id can contain NUL. */
export const placeKey = (place: Place): string =>
  `${companyOf(place)}\0${userOf(place)}\0${place.chatId}`

/** A message there, by the id that the platform gave it. */
export const refOf = ({ chatId, companyId, userId }: Place, messageId: string) =>
  MessageRef.decode({
    ...(companyId === undefined ? {} : { companyId }),
    ...(userId === undefined ? {} : { userId }),
    chatId,
    messageId
  })
