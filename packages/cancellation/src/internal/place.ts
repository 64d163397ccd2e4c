/**
 * What lies where: all of a user, or all of a chat, within one tenant.
 */
import { type ChatId, defaultTenant } from "../Message.ts"

/** A place in which refs lie, or the place of one. */
export interface Where {
  readonly companyId?: string
  readonly userId?: string
  readonly chatId?: ChatId
}

/** Whether a ref lies in what a query names; without a company that is the default tenant's. */
export const isIn = (query: Where, ref: Where): boolean =>
  (query.companyId ?? defaultTenant) === (ref.companyId ?? defaultTenant) &&
  (query.userId === undefined || query.userId === (ref.userId ?? defaultTenant)) &&
  (query.chatId === undefined || query.chatId === ref.chatId)
