/**
 * What the messages of a chat say of stops: a stop of any of the assistant's segments of a turn is one
 * of the turn.
 */
import * as Predicate from "effect/Predicate"
import type { Place } from "./place.ts"
import { type Identity, isAssistant, isIdentity, stopOf } from "./wire.ts"

/** What is known of the stop of a message. */
export type Finding =
  | { readonly _tag: "Running" }
  /** `direct`: of this message itself. */
  | { readonly _tag: "Stopped"; readonly userAbortedAt: number; readonly direct: boolean }
  | { readonly _tag: "Malformed"; readonly detail: string }
  /** It is not among them. */
  | { readonly _tag: "Missing" }

export interface Turns {
  /** What is known of a message of the chat. */
  readonly finding: (messageId: string) => Finding
  /** The same of a message that came by itself. */
  readonly findingOf: (message: Identity) => Finding
}

/** Reads one message of a chat; says what is wrong with it if it is none. */
export const identityOf = (place: Place, value: unknown): Identity | string => {
  if (!isIdentity(value)) {
    const id = Predicate.isObject(value) ? value["id"] : undefined
    return `what is listed as ${typeof id === "string" ? `message ${id}` : "a message"} is none`
  }
  const { chatId, id } = value
  return typeof chatId === "string" && chatId !== place.chatId
    ? `message ${id} is said to be of another chat`
    : value
}

export const turnsOf = (place: Place, values: ReadonlyArray<unknown>): Turns => {
  const messages = new Map<string, Array<Identity>>()
  const segments = new Map<string, Array<Identity>>()
  const wrong: Array<Wrong> = []
  for (const value of values) {
    const message = identityOf(place, value)
    if (typeof message === "string") {
      wrong.push({ value, detail: message })
      continue
    }
    put(messages, message.id, message)
    const turn = turnOf(message)
    if (turn !== undefined && isAssistant(message)) put(segments, turn, message)
  }

  const judge = (own: ReadonlyArray<Identity>): Finding => {
    const direct = firstStop(own)
    if (direct !== undefined) return { _tag: "Stopped", userAbortedAt: direct, direct: true }
    const turn = own.flatMap((message) => segments.get(turnOf(message) ?? "") ?? [])
    const userAbortedAt = firstStop(turn)
    if (userAbortedAt !== undefined) return { _tag: "Stopped", userAbortedAt, direct: false }
    const malformed = [...own, ...turn].find((message) => stopOf(message) === "malformed")
    if (malformed !== undefined) {
      const detail = `userAbortedAt of message ${malformed.id} is neither a time nor null`
      return { _tag: "Malformed", detail }
    }
    const unreadable = wrong.find(({ value }) => own.some((message) => mayBeOf(message, value)))
    return unreadable === undefined
      ? { _tag: "Running" }
      : { _tag: "Malformed", detail: unreadable.detail }
  }

  return {
    finding: (messageId) => {
      const own = messages.get(messageId)
      return own === undefined ? { _tag: "Missing" } : judge(own)
    },
    findingOf: (message) => judge([message])
  }
}

/** What is listed and cannot be read. */
interface Wrong {
  readonly value: unknown
  readonly detail: string
}

const turnOf = (value: unknown): string | undefined => {
  const turn = Predicate.isObject(value) ? value["responseTurnId"] : undefined
  return typeof turn === "string" && turn !== "" ? turn : undefined
}

/** It might be this message once more, or a segment of its turn, and stopped. */
const mayBeOf = (message: Identity, value: unknown): boolean => {
  if (Predicate.isObject(value) && value["id"] === message.id) return true
  const turn = turnOf(message)
  return turn !== undefined && (turnOf(value) ?? turn) === turn
}

const put = <A>(lists: Map<string, Array<A>>, key: string, value: A): void => {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

const firstStop = (messages: ReadonlyArray<Identity>): number | undefined => {
  const times = messages.map(stopOf).filter((stop) => typeof stop === "number")
  return times.length === 0 ? undefined : Math.min(...times)
}
