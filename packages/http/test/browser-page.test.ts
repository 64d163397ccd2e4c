// The page of the guide, as it is written there.
import { assert, describe, it } from "@effect/vitest"
import * as client from "effect-cancellation-http/browser"
import fs from "node:fs"
import path from "node:path"
import { transformWithOxc } from "vite"
import { event, receipts } from "./support/receipts.ts"
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
