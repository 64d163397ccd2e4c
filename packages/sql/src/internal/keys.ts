/**
 * What a row is found by: a hash of its ids, and not the ids themselves.
 *
 * Five ids of 255 characters can take 5,100 bytes, and an entry of an index of PostgreSQL at most
 * 2,704. The ids are stored beside, as they are.
 */
import * as crypto from "node:crypto"
import { defaultTenant, type MessageRef, type Run, type StopTarget } from "effect-cancellation"

export interface Keys {
  readonly run: (run: Run) => string
  readonly message: (ref: MessageRef) => string
  /** Of a company and a user as a row has them. */
  readonly chat: (company: string, user: string, chat: string) => string
  readonly target: (target: StopTarget) => string
  /** Of a run, its message and its chat: what a stop may be aimed at to reach it. */
  readonly targets: (run: Run) => readonly [run: string, message: string, chat: string]
}

interface Chat {
  readonly companyId?: string
  readonly userId?: string
  readonly chatId: string
}

/** The company and the user that a row has. */
export const tenantOf = (where: Omit<Chat, "chatId">): readonly [company: string, user: string] => [
  where.companyId ?? defaultTenant,
  where.userId ?? defaultTenant
]

export const makeKeys = (): Keys => {
  // A run is asked for at every tick.
  const known = new WeakMap<Run, string>()
  const run = (one: Run): string => {
    const key = known.get(one) ?? hash([...messageIds(one.ref), one.runId])
    known.set(one, key)
    return key
  }
  return {
    run,
    message,
    chat: (...ids) => hash(ids),
    target: (target) => {
      if (target._tag === "Run") return run(target.run)
      return target._tag === "Message" ? message(target.ref) : hash(chatIds(target))
    },
    targets: (one) => [run(one), message(one.ref), hash(chatIds(one.ref))]
  }
}

const message = (ref: MessageRef): string => hash(messageIds(ref))

const chatIds = (chat: Chat) => [...tenantOf(chat), chat.chatId]

const messageIds = (ref: MessageRef) => [...chatIds(ref), ref.messageId]

// In one call it takes a tenth of the time, on the way of every stop; Node has that from 20.12 on.
const sha256 =
  "hash" in crypto
    ? (text: string): string => crypto.hash("sha256", text, "base64url")
    : (text: string): string => crypto.createHash("sha256").update(text).digest("base64url")

const hash = (ids: ReadonlyArray<string>): string => sha256(JSON.stringify(ids))
