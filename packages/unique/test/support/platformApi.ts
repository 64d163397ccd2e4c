// The calls of the platform's public API, and what it refuses.
//
// Where the platform's documents say nothing, this is decided here: a missing or wrong x-app-id is
// 403, as an unknown app has no permission; a create answers 201 and all other calls 200; a field
// that the call does not have is 400, so that nobody sets userAbortedAt; a turn-interruption answers
// what it was asked; chats come into being with their first message.
import type { IncomingHttpHeaders } from "node:http"
import { isTimestamp, type Message, type MessageStore, type Owner } from "./platformMessages.ts"

export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: IncomingHttpHeaders
  readonly body: unknown
}

export interface ApiReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
}

/** Who may ask, and what an answer is made of. */
export interface Api {
  readonly apiKey: string
  readonly appId: string
  readonly messages: MessageStore
  /** Refuses a company that asks too often. */
  readonly admit: (companyId: string) => void
  /** Takes a text for the page. */
  readonly show: (messageId: string, text: string) => void
}

const apiVersion = "2023-12-06"

/** Why a request was refused. */
export class Refusal extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

/** Answers a request, or throws a refusal. */
export const answerCall = (api: Api, request: ApiRequest): ApiReply => {
  const owner = authenticate(api, request)
  api.admit(owner.companyId)
  const { messageId, call } = route(request)
  const { messages } = api

  const messageIn = (chatId: string): Message => {
    const message = messages.find(owner, chatId, messageId)
    if (message === undefined) throw new Refusal(404, `Message ${messageId} not found`)
    return message
  }

  switch (call) {
    case "list": {
      return ok({ object: "list", data: messages.list(owner, chatIdInQuery(request)) })
    }
    case "get": {
      return ok(messageIn(chatIdInQuery(request)))
    }
    case "create": {
      const { assistantId: _, ...fields } = bodyOf(request, createFields)
      if (messages.isForeign(owner, fields.chatId)) {
        throw new Refusal(404, `Chat ${fields.chatId} not found`)
      }
      return { status: 201, body: messages.add({ ...owner, ...fields }) }
    }
    case "change": {
      const { chatId, ...fields } = bodyOf(request, changeFields)
      messageIn(chatId)
      return ok(messages.change(messageId, fields))
    }
    case "event": {
      const { chatId, text } = bodyOf(request, changeFields)
      const message = messageIn(chatId)
      if (typeof text === "string") api.show(messageId, text)
      return ok(message)
    }
    case "turn-interruption": {
      const { chatId, reason } = bodyOf(request, interruptionFields)
      if (messageIn(chatId).role !== "USER") {
        throw new Refusal(400, `Message ${messageId} is not a user's`)
      }
      messages.interrupt(messageId)
      return ok({ id: messageId, chatId, reason })
    }
  }
}

const ok = (body: unknown): ApiReply => ({ status: 200, body })

const authenticate = (api: Api, { headers }: ApiRequest): Owner => {
  if (headers.authorization !== `Bearer ${api.apiKey}`) throw new Refusal(401, "Unauthorized")
  if (headers["x-app-id"] !== api.appId) throw new Refusal(403, "Forbidden: unknown app")
  const needed = (name: string): string => {
    const value = headers[name]
    if (typeof value !== "string" || value === "") throw new Refusal(400, `${name} is missing`)
    return value
  }
  const owner = { companyId: needed("x-company-id"), userId: needed("x-user-id") }
  const version = needed("x-api-version")
  if (version !== apiVersion) throw new Refusal(400, `x-api-version ${version} is unknown`)
  return owner
}

type Call = "list" | "get" | "create" | "change" | "event" | "turn-interruption"

const places =
  /^\/public(?:\/chat-gen2|\/chat)?\/messages(?:\/(?<id>[^/]+)(?:\/(?<part>event|turn-interruption))?)?$/

const route = ({
  method,
  path
}: ApiRequest): { readonly messageId: string; readonly call: Call } => {
  const place = places.exec(path)
  const { id, part } = place?.groups ?? {}
  const call = place === null ? undefined : callOf(method, id, part)
  if (call === undefined) throw new Refusal(404, `Cannot ${method} ${path}`)
  return { messageId: decoded(id ?? ""), call }
}

const callOf = (
  method: string,
  id: string | undefined,
  part: string | undefined
): Call | undefined => {
  if (part !== undefined) return method === "POST" ? (part as Call) : undefined
  if (method === "GET") return id === undefined ? "list" : "get"
  if (method === "POST" && id === undefined) return "create"
  if (method === "PATCH" && id !== undefined) return "change"
  return undefined
}

const decoded = (id: string): string => {
  try {
    return decodeURIComponent(id)
  } catch {
    throw new Refusal(400, `${id} is not percent-encoded`)
  }
}

const chatIdInQuery = ({ query }: ApiRequest): string => {
  const chatId = query["chatId"]
  if (chatId === undefined || chatId === "") throw new Refusal(400, "chatId is missing")
  return chatId
}

type Check = (value: unknown) => boolean

interface Fields {
  readonly needed: ReadonlyMap<string, Check>
  readonly allowed: ReadonlyMap<string, Check>
}

const fieldsOf = (needed: Record<string, Check>, allowed: Record<string, Check>): Fields => ({
  needed: new Map(Object.entries(needed)),
  allowed: new Map(Object.entries(allowed))
})

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const isString = (value: unknown): value is string => typeof value === "string"
const isId = (value: unknown): boolean => isString(value) && value !== ""
const isIndex = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0

const content = {
  text: isString,
  references: Array.isArray,
  debugInfo: (value: unknown) => value !== undefined,
  completedAt: isTimestamp,
  segmentKind: isString
}
const changeFields = fieldsOf(
  { chatId: isId },
  {
    ...content,
    originalText: isString,
    startedStreamingAt: isTimestamp,
    stoppedStreamingAt: isTimestamp
  }
)
const createFields = fieldsOf(
  { chatId: isId, assistantId: isId, role: (value) => value === "ASSISTANT" },
  { ...content, responseTurnId: isId, segmentIndex: isIndex }
)
const interruptionFields = fieldsOf(
  { chatId: isId, reason: (value) => value === "SYSTEM_INTERRUPTED" },
  {}
)

// The fields that say something: a null says nothing.
const bodyOf = (
  { headers, body }: ApiRequest,
  { needed, allowed }: Fields
): Readonly<Record<string, unknown>> & { readonly chatId: string } => {
  if (!/^application\/json\b/.test(headers["content-type"] ?? "")) {
    throw new Refusal(400, "the body is not application/json")
  }
  if (!isObject(body)) throw new Refusal(400, "the body is not a JSON object")
  for (const [name, check] of needed) {
    if (!check(body[name])) throw new Refusal(400, `${name} is missing or malformed`)
  }
  const said = Object.entries(body).filter(([name, value]) => value !== null || !allowed.has(name))
  for (const [name, value] of said) {
    const check = needed.get(name) ?? allowed.get(name)
    if (check === undefined) throw new Refusal(400, `${name} is no field of this call`)
    if (!check(value)) throw new Refusal(400, `${name} is malformed`)
  }
  return Object.fromEntries(said) as Readonly<Record<string, unknown>> & { readonly chatId: string }
}
