// The page of the guide, as it is written there.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { RunQuery } from "effect-cancellation"
import { Viewers } from "effect-cancellation-http/Viewers"
import * as client from "effect-cancellation-http/browser"
import fs from "node:fs"
import path from "node:path"
import { transformWithOxc } from "vite"
import { event, receipts } from "./support/receipts.ts"
import { openServer } from "./support/server.ts"
import { runOf } from "./support/stops.ts"
import { type Answer, json, listen, refuse, stream } from "./support/scripted.ts"

const guide = path.resolve(import.meta.dirname, "../docs/page.md")
const sample = /^```ts\n(.*?)^```$/ms.exec(fs.readFileSync(guide, "utf8"))?.[1] ?? ""
const { code } = await transformWithOxc(sample.replace("/api", "BASE_URL"), "page.ts")
const names = /^import \{([^}]*)\}.*$/m.exec(code)
const body = code.replace(names?.[0] ?? "", `const {${names?.[1] ?? ""}} = client`)

/** The label and the button after a press, when the button has done what it does. */
const press = async (answer: Answer) => {
  await using server = await listen(answer)
  let click: () => Promise<void> = () => assert.fail("The page listens to no click.")
  const label = { textContent: "" }
  const button = {
    disabled: false,
    addEventListener: (_: string, listener: () => Promise<void>) => {
      click = listener
    }
  }
  // oxlint-disable-next-line typescript/no-implied-eval -- it is what the guide tells people to run
  const run = new Function("client", "label", "button", body.replace("BASE_URL", server.url))
  run(client, label, button)
  const clicked = click()
  assert.deepStrictEqual([label.textContent, button.disabled], ["Stopping…", true])
  await clicked
  return [label.textContent, button.disabled]
}

const { ended, lost, none, observed, pending, requested, superseded, tooLate } = receipts
const at = ended.ended.at
const over = "It was done before it could stop"

describe("the page of the guide", () => {
  for (const [receipt, words] of [
    [ended, "Stopped"],
    [{ ...ended, ended: { at, outcome: "completed" } }, over],
    [{ ...ended, ended: { at, outcome: "failed" } }, "It failed before it could stop"],
    [{ ...ended, ended: { at, outcome: "interrupted" } }, "Interrupted, and not by this stop"],
    [
      { ...ended, ended: { at, outcome: "abandoned" } },
      "It did not end when it was stopped, and was given up"
    ],
    [tooLate, over],
    [{ ...tooLate, ended: { at, outcome: "failed" } }, "It failed before it could stop"],
    [{ ...none, ended: { at, outcome: "completed" } }, over],
    [lost, "Lost: the process that wrote it is gone"],
    [superseded, "A newer answer has taken its place"]
  ] satisfies ReadonlyArray<readonly [client.StopReceipt, string]>) {
    const outcome = "ended" in receipt ? receipt.ended.outcome : ""
    it(`says "${words}" of ${receipt.phase} ${outcome}, at once and later`, async () => {
      const atOnce = await press((response) => json(response, 200, receipt))
      assert.deepStrictEqual(atOnce, [words, true])
      const later = await press((response, { method }) =>
        method === "POST"
          ? json(response, 202, requested)
          : stream(response, event(requested), event(observed), event(receipt)).end()
      )
      assert.deepStrictEqual(later, [words, true])
    })
  }

  it("follows a stop that has found its run", async () => {
    const answers = [pending, requested, ended]
    const shown = await press((response, { method }, index) =>
      method === "POST"
        ? json(response, index < 2 ? 202 : 200, answers[index])
        : stream(response, event(ended)).end()
    )
    assert.deepStrictEqual(shown, ["Stopped", true])
  })

  it("goes on to follow the same stop when just the connection is cut, as often as it is", async () => {
    const asked: Array<string> = []
    const shown = await press((response, { method, url }, index) => {
      asked.push(`${method} ${url}`)
      if (method === "POST") return json(response, 202, requested)
      if (index === 3) return stream(response, event(ended)).end()
      const told = event(index === 1 ? requested : observed)
      return stream(response, "retry: 1\n\n").write(told, () => response.destroy())
    })
    assert.deepStrictEqual(shown, ["Stopped", true])
    const path = "/chats/chat-1/messages/message-7/stop"
    const events = `GET ${path}/events?runId=run-1`
    assert.deepStrictEqual(asked, [`POST ${path}`, events, events, events])
  })

  it("says that nothing was stopped if no run began, and lets press again", async () => {
    const vain = { ...pending, runId: "run-1", expiresAt: pending.requested.at }
    const asked: Array<string> = []
    const shown = await press((response, { body }) => {
      asked.push(body)
      return json(response, 202, vain)
    })
    assert.deepStrictEqual(shown, ["Nothing was stopped: the answer has not begun", false])
    assert.deepStrictEqual(asked, ['{"runId":"run-1"}', '{"runId":"run-1","wait":"ended"}'])
  })

  it("says why there is no stop, and lets press again", async () => {
    const shown = await press((response) => refuse(response, 403, "forbidden"))
    assert.deepStrictEqual(shown, ["Not stopped, as far as is known: No.", false])
  })
})

describe("a page on the Stop API itself", () => {
  for (const [what, onDisconnect] of [
    ["goes on", "continue"],
    ["goes on within the grace", "stop"]
  ] as const) {
    it.live(`is told on when just its connection is cut, and the run ${what}`, () =>
      Effect.gen(function* () {
        const server = yield* openServer({
          beside: Viewers.layer({ onDisconnect, grace: "1 minute" }),
          idleTick: "5 millis"
        })
        const run = runOf()
        yield* server.start(run)
        const retried: Array<string> = []
        const events = client.stopEvents({
          baseUrl: `http://127.0.0.1:${server.port}`,
          ...run.ref,
          headers: { authorization: "Bearer ada" },
          onRetry: ({ code }) => retried.push(code)
        })
        yield* Effect.addFinalizer(() => Effect.sync(events.close))
        const next = Effect.promise(() => events.next())
        assert.strictEqual((yield* next).value?.phase, "none")
        const hearing = yield* Effect.forkChild(next)
        server.server.closeAllConnections()
        // it comes back by itself
        yield* server.requests.atLeast(2)
        const [record] = yield* server.faults.store.findRuns(
          RunQuery.cases.Refs.make({ refs: [run.ref] })
        )
        assert.isDefined(record)
        assert.isUndefined(record.request)
        assert.isUndefined(record.outcome)
        yield* server.faults.store.advanceRuns([{ run, to: "completed" }])
        const { value } = yield* Fiber.join(hearing)
        assert.deepStrictEqual(value && "ended" in value && value.ended?.outcome, "completed")
        assert.deepStrictEqual(retried, ["no_answer"])
      }).pipe(Effect.scoped)
    )
  }
})
