/** What is watched, stopped and answered: the same for both designs, by a seed. */
import { createHash } from "node:crypto"

export interface Load {
  readonly seed: string
  readonly companies: number
  readonly chats: number
  readonly messages: number
  /** How many of them are stopped. */
  readonly stops: number
  /** Within how many seconds. */
  readonly seconds: number
  readonly pollMillis: number
  /** Most runs in one look, undefined for the repo's own. */
  readonly chunkSize: number | undefined
}

/** Where a message is. */
export interface Place {
  readonly companyId: string
  readonly userId: string
  readonly chatId: string
  readonly messageId: string
}

/** How a client reaches the platform. */
export interface Address {
  readonly baseUrl: string
  readonly apiKey: string
  readonly appId: string
}

/** Something that happens after so many milliseconds to the message of this index. */
export interface Moment {
  readonly index: number
  readonly after: number
}

export const placesOf = ({ chats, companies, messages }: Load): ReadonlyArray<Place> =>
  Array.from({ length: messages }, (_, index) => {
    const chat = index % chats
    return {
      companyId: `company_${chat % companies}`,
      userId: `user_${chat}`,
      chatId: `chat_${chat}`,
      messageId: `msg_${index}`
    }
  })

/** From 0 to 1, always the same for the same words. */
const chance = (...words: ReadonlyArray<string | number>): number =>
  createHash("sha256").update(words.join(" ")).digest().readUIntBE(0, 6) / 2 ** 48

/** The runs begin within one poll interval, as agents do not all begin at once. */
export const startsOf = ({ messages, pollMillis, seed }: Load): ReadonlyArray<Moment> =>
  Array.from({ length: messages }, (_, index) => ({
    index,
    after: chance(seed, "start", index) * pollMillis
  })).toSorted((one, other) => one.after - other.after)

export const stopsOf = ({ messages, seconds, seed, stops }: Load): ReadonlyArray<Moment> =>
  Array.from({ length: messages }, (_, index) => index)
    .toSorted((one, other) => chance(seed, "stop", one) - chance(seed, "stop", other))
    .slice(0, stops)
    .map((index) => ({ index, after: chance(seed, "moment", index) * seconds * 1000 }))

/** How long the platform thinks about its nth request, in milliseconds. */
export const latencyOf = ({ seed }: Load, nth: number): number =>
  20 + 40 * chance(seed, "latency", nth)

/** Milliseconds of a clock that all processes of this machine share. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6
