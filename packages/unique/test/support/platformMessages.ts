// The messages of the platform: who may see them, in which order they stand, and what a Stop on the
// platform's page does to them.
import { randomBytes } from "node:crypto"

/** Whose messages they are; beside a message, never on the wire. */
export interface Owner {
  readonly companyId: string
  readonly userId: string
}

/** A message as it is on the wire. */
export interface Message {
  readonly id: string
  readonly chatId: string
  readonly object: "message"
  readonly role: "SYSTEM" | "USER" | "ASSISTANT"
  readonly text: string
  readonly originalText: string | null
  readonly references: ReadonlyArray<unknown> | null
  readonly debugInfo: unknown
  readonly segmentKind?: string
  readonly responseTurnId?: string
  readonly segmentIndex?: number
  readonly createdAt: string
  readonly updatedAt: string | null
  readonly completedAt: string | null
  readonly startedStreamingAt: string | null
  readonly stoppedStreamingAt: string | null
  readonly userAbortedAt: string | null
}

/** What must be said of a message, and what may be. */
type NewMessage = Owner & Pick<Message, "chatId"> & Partial<Omit<Message, "object">>

/** A Stop as it was recorded. */
interface PressedStop {
  readonly id: string
  readonly at: string
}

/** What a test does with the messages, past the API. */
export interface MessageState {
  /** Puts a message there. */
  readonly add: (message: NewMessage) => Message
  /** The message as it stands. */
  readonly message: (id: string) => Message | undefined
  /** The messages of a chat, oldest first, whoever owns them. */
  readonly messagesOf: (chatId: string) => ReadonlyArray<Message>
  /** Puts any values on the wire, malformed ones too; undefined takes the field away. */
  readonly patchState: (id: string, fields: Readonly<Record<string, unknown>>) => void
  /** Deletes a message. */
  readonly remove: (id: string) => void
  /** A Stop on the page: for the newest assistant message that is not completed, else the newest. */
  readonly pressStop: (chatId: string, owner?: Owner) => PressedStop
  /** A Stop for this message; a second one keeps the time of the first. */
  readonly stopMessage: (id: string) => PressedStop
  /** When the system interrupted the turn of this user message; nothing if the user stopped it. */
  readonly interruptedAt: (userMessageId: string) => string | undefined
}

/** What the API does with the messages. */
export interface MessageStore extends MessageState {
  readonly find: (owner: Owner, chatId: string, id: string) => Message | undefined
  readonly list: (owner: Owner, chatId: string) => ReadonlyArray<Message>
  /** Whether the chat has messages of others only. */
  readonly isForeign: (owner: Owner, chatId: string) => boolean
  readonly change: (id: string, fields: Readonly<Record<string, unknown>>) => Message
  readonly interrupt: (userMessageId: string) => void
}

interface Stored extends Owner {
  // these decide, whatever a test has put on the wire
  readonly id: string
  readonly chatId: string
  readonly role: Message["role"]
  readonly at: number
  wire: Message
}

export const newId = (kind: string): string => `${kind}_${randomBytes(12).toString("hex")}`

export const makeMessages = (now: () => number): MessageStore => {
  const stored = new Map<string, Stored>()
  const interruptions = new Map<string, string>()
  const timestamp = () => new Date(now()).toISOString()

  const known = (id: string): Stored => {
    const entry = stored.get(id)
    if (entry === undefined) throw new Error(`there is no message ${id}`)
    return entry
  }
  const inChat = (chatId: string, owner?: Owner): ReadonlyArray<Stored> =>
    [...stored.values()]
      .filter((entry) => entry.chatId === chatId && (owner === undefined || owns(owner, entry)))
      .toSorted((one, other) => one.at - other.at)

  const put = (id: string, fields: Readonly<Record<string, unknown>>): Message => {
    const entry = known(id)
    entry.wire = withFields(entry.wire, fields)
    return entry.wire
  }
  const change: MessageStore["change"] = (id, fields) =>
    put(id, { ...fields, updatedAt: timestamp() })

  const stopMessage = (id: string): PressedStop => {
    const before = known(id).wire.userAbortedAt
    if (isTimestamp(before)) return { id, at: before }
    const at = timestamp()
    change(id, { userAbortedAt: at })
    return { id, at }
  }

  const turnOf = (userMessageId: string): ReadonlyArray<Stored> => {
    const user = known(userMessageId)
    const messages = inChat(user.chatId, user)
    const after = messages.slice(messages.indexOf(user) + 1)
    const next = after.findIndex(({ role }) => role === "USER")
    return next === -1 ? after : after.slice(0, next)
  }
  const stoppedByUser = (userMessageId: string): boolean =>
    turnOf(userMessageId).some(({ wire }) => isTimestamp(wire.userAbortedAt))

  return {
    add: ({ companyId, userId, ...fields }) => {
      const id = fields.id ?? newId("msg")
      if (stored.has(id)) throw new Error(`there is already a message ${id}`)
      const createdAt = fields.createdAt ?? timestamp()
      const wire: Message = {
        id,
        object: "message",
        role: "ASSISTANT",
        text: "",
        originalText: null,
        references: null,
        debugInfo: null,
        createdAt,
        updatedAt: createdAt,
        completedAt: null,
        startedStreamingAt: null,
        stoppedStreamingAt: null,
        userAbortedAt: null,
        ...fields
      }
      const { chatId, role } = wire
      stored.set(id, { companyId, userId, id, chatId, role, at: Date.parse(createdAt), wire })
      return wire
    },
    message: (id) => stored.get(id)?.wire,
    messagesOf: (chatId) => inChat(chatId).map(({ wire }) => wire),
    patchState: (id, fields) => {
      put(id, fields)
    },
    remove: (id) => {
      known(id)
      stored.delete(id)
    },
    pressStop: (chatId, owner) => {
      const assistant = inChat(chatId, owner).filter(({ role }) => role === "ASSISTANT")
      const newest = assistant.findLast(({ wire }) => !isTimestamp(wire.completedAt))
      const target = newest ?? assistant.at(-1)
      if (target === undefined) throw new Error(`chat ${chatId} has nothing to stop`)
      return stopMessage(target.id)
    },
    stopMessage,
    interruptedAt: (userMessageId) =>
      stoppedByUser(userMessageId) ? undefined : interruptions.get(userMessageId),

    find: (owner, chatId, id) => {
      const entry = stored.get(id)
      return entry !== undefined && entry.chatId === chatId && owns(owner, entry)
        ? entry.wire
        : undefined
    },
    list: (owner, chatId) => inChat(chatId, owner).map(({ wire }) => wire),
    isForeign: (owner, chatId) => inChat(chatId).length > 0 && inChat(chatId, owner).length === 0,
    change,
    interrupt: (userMessageId) => {
      if (stoppedByUser(userMessageId) || interruptions.has(userMessageId)) return
      interruptions.set(userMessageId, timestamp())
    }
  }
}

const owns = (owner: Owner, entry: Stored): boolean =>
  owner.companyId === entry.companyId && owner.userId === entry.userId

const withFields = (wire: Message, fields: Readonly<Record<string, unknown>>): Message => {
  const changed = Object.entries({ ...wire, ...fields }).filter(([, value]) => value !== undefined)
  return Object.fromEntries(changed) as unknown as Message
}

export const isTimestamp = (value: unknown): value is string =>
  typeof value === "string" &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value) &&
  !Number.isNaN(Date.parse(value))
