/**
 * The two people of the demo, and which of them sends a request.
 *
 * Nobody logs in: the page sets a cookie, since what reads server-sent events can send no header of
 * its own. An application has a session in that place.
 */
import { UserId } from "effect-cancellation"
import type { HttpServerRequest } from "effect/http"

export interface Person {
  readonly userId: UserId
  readonly name: string
}

const ada: Person = { userId: UserId.make("ada"), name: "Ada" }
const bob: Person = { userId: UserId.make("bob"), name: "Bob" }

export const people: ReadonlyArray<Person> = [ada, bob]

/** Who sends a request; whoever does not say so is Ada. */
export const personOf = ({ cookies }: HttpServerRequest.HttpServerRequest): Person =>
  people.find(({ userId }) => userId === cookies["demo-user"]) ?? ada

/** What a person is called; nothing for messages from before there were two people. */
export const nameOf = (userId: UserId | undefined): string | undefined =>
  people.find((person) => person.userId === userId)?.name ?? userId
