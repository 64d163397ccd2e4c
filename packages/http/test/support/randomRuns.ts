// Runs of several users and companies, and what is known of each: who may read it, who may stop it.
import * as Effect from "effect/Effect"
import {
  CompanyId,
  defaultTenant,
  type MessageStore,
  type Run,
  RunQuery,
  runKey,
  type RunRecord
} from "effect-cancellation"
import { people, runOf, shared } from "./stops.ts"

/** Chats of these names exist in every company; those that begin with `shared` are shared with Bob. */
export const chats: ReadonlyArray<string> = [
  `${shared}-1`,
  "private",
  "50% off",
  "a/b",
  "été ☕ 🛑",
  "__proto__",
  "x".repeat(255)
]
export const messages: ReadonlyArray<string> = ["message-1", "message-2", "constructor", "?#&="]
export const runIds: ReadonlyArray<string> = ["run-1", "run-2", "run-3"]

const owners = [
  { companyId: "acme", userId: "ada" },
  { companyId: "acme", userId: "bob" },
  { companyId: "acme", userId: "carl" },
  { companyId: "globex", userId: "eve" },
  { companyId: "globex", userId: "ada" },
  {}
]

const everyRef = owners.flatMap((owner) =>
  chats.flatMap((chatId) =>
    messages
      // Bob has none of his own where he is to look at Ada's.
      .filter(() => owner.userId !== "bob" || !chatId.startsWith(shared))
      .map((messageId) => ({ owner, chatId, messageId }))
  )
)

/** Runs to begin with: each message has an older one, and a current one; some are over. */
export const arrange = Effect.fnUntraced(function* (store: MessageStore["Service"]) {
  for (const [index, { chatId, messageId, owner }] of everyRef.entries()) {
    const older = runOf({ chatId, messageId, runId: "run-1" }, owner)
    const current = runOf({ chatId, messageId, runId: "run-2" }, owner)
    yield* store.startRuns([older, current])
    if (index % 5 > 1) continue
    yield* store.advanceRuns([{ run: current, to: index % 5 === 0 ? "completed" : "failed" }])
  }
}, Effect.orDie)

// What is completed in the beginning stays so.
const again = everyRef.filter((_, index) => index % 5 > 0)

/** A message is written anew, by its user; what waits for it is taken up. */
export const regenerate = (store: MessageStore["Service"], nth: number): Effect.Effect<void> => {
  const { owner, ...ids } = again[(nth * 7) % again.length] ?? { owner: {} }
  const run = runOf({ ...ids, runId: nth % 9 === 0 ? "run-3" : `again-${nth}` }, owner)
  return store.startRuns([run]).pipe(Effect.asVoid, Effect.orDie)
}

/** Every run of the store, by its key. */
export const everyRun = (
  store: MessageStore["Service"]
): Effect.Effect<ReadonlyMap<string, RunRecord>> =>
  Effect.forEach(
    [{ companyId: CompanyId.make("acme") }, { companyId: CompanyId.make("globex") }, {}],
    (company) => store.findRuns(RunQuery.cases.Company.make(company))
  ).pipe(
    Effect.orDie,
    Effect.map((all) => new Map(all.flat().map((record) => [runKey(record.run), record])))
  )

type Person = NonNullable<(typeof people)[string]>

const companyOf = ({ companyId }: { readonly companyId?: string | undefined }) =>
  companyId ?? defaultTenant

/** The rule in other words than the policy's own. */
export const mayStop = (person: Person, { ref }: Run): boolean =>
  companyOf(person) === companyOf(ref) &&
  (person.roles?.includes("admin") === true || person.userId === (ref.userId ?? defaultTenant))

/** Who stopped it is of its company, may, and said one of the two reasons that a page may say. */
export const isStoppedByRight = ({ request, run }: RunRecord): boolean =>
  request === undefined ||
  ((request.reason === "user" || request.reason === "disconnect") &&
    Object.values(people).some(
      (person) => person.userId === request.requestedBy && mayStop(person, run)
    ))
