// What is sent as the body of a stop.
import fc from "fast-check"
import { Buffer } from "node:buffer"
import { gzipSync } from "node:zlib"
import { runIds } from "./randomRuns.ts"
import { anyText, long, mostly, oneOf } from "./randomValues.ts"
import { people } from "./stops.ts"

const note = fc.oneof(
  anyText,
  long(500),
  oneOf("", "enough", "💥".repeat(250), "💥".repeat(251), "\0", "\ud800", "x".repeat(501), "\r\n")
)

const wrong = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  oneOf<unknown>(null, 0, -1, 1e308, [], {}, [[]], true, "", "USER", "deadline", { a: { b: null } })
)

const known = {
  reason: mostly<unknown>(oneOf("user", "disconnect"), wrong),
  note: mostly<unknown>(note, wrong),
  wait: mostly<unknown>(oneOf("observed", "ended"), wrong),
  runId: mostly<unknown>(oneOf(...runIds), anyText, wrong)
}

const { runId: _runId, ...ofChat } = known

// What somebody claims who may not.
const claimed = {
  ...known,
  requestedBy: mostly<unknown>(oneOf(...Object.keys(people)), wrong),
  companyId: oneOf("globex", "acme")
}

const fields = mostly<object>(
  fc.oneof(fc.record(ofChat, { requiredKeys: [] }), fc.record(known, { requiredKeys: [] })),
  fc.record(claimed, { requiredKeys: [] })
)

const nested = fc
  .tuple(oneOf("[", '{"a":', '{"note":', '{"__proto__":'), fc.integer({ min: 1, max: 3000 }))
  .map(([open, depth]) => `${open.repeat(depth)}1${(open === "[" ? "]" : "}").repeat(depth)}`)

const oddJson = fc.oneof(
  wrong.map((value) => JSON.stringify(value)),
  fields.map((value) => JSON.stringify(value).slice(0, -1)),
  nested,
  oneOf(
    "",
    " ",
    "null",
    "{",
    "}",
    "{}{}",
    "{}\0",
    "\0",
    "\uFEFF{}",
    "'{}'",
    "NaN",
    "1e999",
    "-",
    '{"reason":"user","reason":"disconnect"}',
    '{"note":"\\ud800"}',
    '{"note":"\\u0000"}',
    '{"__proto__":{"reason":"disconnect"}}',
    '{"constructor":{"prototype":{"wait":"ended"}}}',

    '{"reason":"user",}',
    '{"wait":"ended"/**/}',
    '{"note":"a\nb"}',
    "{reason:1}",
    "[object Object]"
  ),
  fields.map((value) => JSON.stringify({ ...value, padding: "x".repeat(20_000) })),
  long(60_000)
)

const utf8 = (text: string) => new Uint8Array(Buffer.from(text))

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((all) => new Uint8Array(all)),
  fields.map((value) => new Uint8Array(Buffer.from(JSON.stringify(value), "utf16le"))),
  fields.map((value) => new Uint8Array(Buffer.from(`${JSON.stringify(value)}\xff\xe9`, "latin1"))),
  fields.map((value) => new Uint8Array(gzipSync(JSON.stringify(value))))
)

/** The bytes of a body: nearly right, odd, or no text at all. */
export const randomBody = fc.oneof(
  { arbitrary: fields.map((value) => utf8(JSON.stringify(value))), weight: 8 },
  { arbitrary: fc.constant(utf8("{}")), weight: 8 },
  { arbitrary: oddJson.map(utf8), weight: 3 },
  { arbitrary: bytes, weight: 1 }
)
