/**
 * What lies where: all of a user, of a chat or of a message, within one tenant.
 */
import { type ChatId, defaultTenant, type MessageId } from "../Message.ts"

/** A place in which refs lie, or the place of one. */
export interface Where {
  readonly companyId?: string
  readonly userId?: string
  readonly chatId?: ChatId
  readonly messageId?: MessageId
}

/** Whether a ref lies in what a query names; without a company that is the default tenant's. */
export const isIn = (query: Where, ref: Where): boolean =>
  (query.companyId ?? defaultTenant) === (ref.companyId ?? defaultTenant) &&
  (query.userId === undefined || query.userId === (ref.userId ?? defaultTenant)) &&
  (query.chatId === undefined || query.chatId === ref.chatId) &&
  (query.messageId === undefined || query.messageId === ref.messageId)
