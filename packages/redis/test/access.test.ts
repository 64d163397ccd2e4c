// Passwords, rights and certificates.
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { inspect } from "node:util"
import { assert, beforeEach, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import { until } from "../../sql/test/support/until.ts"
import { freshRun, logs, muteServer, observe, open, untilLater } from "./signal.fixture.ts"
import * as Redis from "./support/Redis.ts"

beforeEach(Redis.skipWithout)

const dumped = (error: unknown) =>
  [
    inspect(error, { depth: null, showHidden: true }),
    JSON.stringify(error),
    String(error),
    Cause.pretty(Cause.fail(error))
  ].join("\n")

describe("a password is in no error and no log", () => {
  it.live("when nobody answers, when it is wrong, and when the server quotes it", () =>
    Effect.gen(function* () {
      const away = yield* Redis.server({ isAway: true })
      const there = yield* Redis.server()
      const quoting = yield* Redis.server({ config: `rename-command AUTH ""` })
      for (const [redis, words, times] of [
        [away, "ECONNREFUSED", 1],
        [there, "WRONGPASS", 1],
        [quoting, "unknown command", 1],
        // quoted as far as it goes
        [quoting, "unknown command", 30]
      ] as const) {
        const opened = yield* open(redis.urlOf(`agents:${"s3cret".repeat(times)}`))
        yield* observe(opened.signal)
        yield* logs(opened, "Warn", 1)
        const error = yield* Effect.flip(opened.signal.publish(freshRun()))
        assert.include(dumped(error), words)
        assert.include(opened.raw.join(), words)
        assert.notInclude(dumped(error), "s3cret")
        assert.notInclude(opened.raw.join(), "s3cret")
        yield* opened.close
      }
    })
  )
})

describe("a user", () => {
  const rights = [
    "resetchannels",
    "&effect_cancellation",
    "&effect_cancellation:probe:*",
    "-@all",
    "+publish",
    "+subscribe"
  ]

  it.live("needs the rights that the README names, and no other", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.server()
      const { command } = yield* Redis.operator(redis.url)
      yield* command("ACL", "SETUSER", "agents", "on", ">s3cret", ...rights)
      const { close, lines, signal } = yield* open(redis.urlOf("agents:s3cret"))
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      const run = freshRun()
      yield* signal.publish(run)
      yield* observer.hears(run)
      yield* close
      assert.deepStrictEqual(lines, [])
      const refused = yield* command<ReadonlyArray<{ readonly object: string }>>("ACL", "LOG")
      assert.deepStrictEqual(
        new Set(refused.map(({ object }) => object)),
        new Set(["client|setname"])
      )
      for (const missing of ["-publish", "-subscribe", "resetchannels"]) {
        yield* command("ACL", "SETUSER", "agents", missing)
        const opened = yield* open(redis.urlOf("agents:s3cret"))
        yield* observe(opened.signal)
        assert.include((yield* logs(opened, "Warn", 1)).join(), "NOPERM")
        yield* opened.close
        yield* command("ACL", "SETUSER", "agents", ...rights)
      }
    })
  )

  it.live("that may not publish hears others all the same, and is told once what it lacks", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.server()
      const { command, named, kill } = yield* Redis.operator(redis.url)
      yield* command("ACL", "SETUSER", "agents", "on", "nopass", ...rights, "-publish")
      yield* command("ACL", "SETUSER", "agents", "+client|setname")
      const opened = yield* open(redis.urlOf("agents"), { probeInterval: "20 millis" })
      const other = yield* open(redis.url)
      const observer = yield* observe(opened.signal)
      yield* observer.hearsReconnected(1)
      const hears = Effect.gen(function* () {
        const run = freshRun()
        yield* other.signal.publish(run)
        yield* observer.hears(run)
      })
      yield* hears
      assert.include((yield* logs(opened, "Warn", 1)).join(), "NOPERM")
      const error = yield* Effect.flip(opened.signal.publish(freshRun()))
      assert.include(String(error.cause), "NOPERM")
      const [id = ""] = yield* named("listen")
      yield* kill(id)
      yield* observer.hearsReconnected(2)
      yield* hears
      yield* command("ACL", "SETUSER", "agents", "+publish")
      yield* logs(opened, "Info", 1)
      yield* observer.hearsReconnected(3)
      assert.lengthOf(opened.lines, 2)
    })
  )
})

describe("TLS", () => {
  /** A certificate of 127.0.0.1 that nobody but who is told trusts. */
  const certificate = Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    ),
    (folder) => {
      const [key, cert] = [path.join(folder, "key.pem"), path.join(folder, "cert.pem")]
      execFileSync(
        "openssl",
        [
          "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2",
          "-subj /CN=redis -addext subjectAltName=IP:127.0.0.1",
          `-keyout ${key} -out ${cert}`
        ]
          .join(" ")
          .split(" "),
        { stdio: "ignore" }
      )
      return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
    }
  )

  beforeEach(Redis.skipWithoutOpenssl)

  it.effect("with a certificate that cannot be read is one warning, and tried again", () =>
    Effect.gen(function* () {
      const { accepted, port } = yield* muteServer()
      const opened = yield* open(Redacted.make(`rediss://127.0.0.1:${port}`), {
        tls: { cert: "no certificate", key: Redacted.make("no key") }
      })
      yield* observe(opened.signal)
      yield* untilLater(
        Effect.sync(() => opened.linesAt("Warn").length),
        (count) => count > 0
      )
      for (let seconds = 0; seconds < 60; seconds++) yield* TestClock.adjust("1 second")
      assert.lengthOf(opened.lines, 1)
      assert.include(opened.lines.join(), `Redis at 127.0.0.1:${port}`)
      assert.notInclude(opened.raw.join(), "no key")
      assert.strictEqual(accepted(), 0)
    })
  )

  it.live("serves who trusts the certificate and shows its own, and nobody else", () =>
    Effect.gen(function* () {
      const { cert, key } = yield* certificate
      const { port } = yield* Redis.server({
        files: { "key.pem": key, "cert.pem": cert },
        config: [
          "tls-cert-file cert.pem",
          "tls-key-file key.pem",
          "tls-ca-cert-file cert.pem"
        ].join("\n"),
        isTls: true
      })
      const url = Redacted.make(`rediss://127.0.0.1:${port}`)
      const trusting = yield* open(url, {
        tls: { ca: cert, cert, key: Redacted.make(key) }
      })
      const observer = yield* observe(trusting.signal)
      yield* observer.hearsReconnected(1)
      const run = freshRun()
      yield* trusting.signal.publish(run)
      yield* observer.hears(run)
      assert.deepStrictEqual(trusting.lines, [])
      for (const [options, words] of [
        [{}, "self-signed certificate"],
        // the alert, or what the end of the connection made of it
        [{ tls: { ca: cert } }, `Redis at 127.0.0.1:${port}`]
      ] as const) {
        const opened = yield* open(url, options)
        yield* observe(opened.signal)
        const [warning = ""] = yield* until(
          Effect.sync(() => opened.linesAt("Warn")),
          (lines) => lines.length === 1
        )
        assert.include(warning, words)
      }
      const plain = yield* open(Redacted.make(`redis://127.0.0.1:${port}`))
      yield* observe(plain.signal)
      yield* logs(plain, "Warn", 1)
    })
  )
})
