// Where the signal's connection leads, and as whom.
import type { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import { listenerConfig } from "../src/internal/stopListener.ts"

describe("the listening connection", () => {
  it("looks at the server's certificate if listenUrl asks for it, whatever the client does", () => {
    const ca = "the certificate of who signs"
    const sslOf = (query: string, ssl: PgClient.PgClientConfig["ssl"]) =>
      listenerConfig({ ssl }, Redacted.make(`postgres://database/app${query}`)).ssl
    const trusting = { ca, rejectUnauthorized: false }
    const verifying = { ca, rejectUnauthorized: true }
    assert.deepStrictEqual(sslOf("?sslmode=verify-full", trusting), verifying)
    assert.deepStrictEqual(sslOf("?sslmode=verify-ca", trusting), verifying)
    assert.deepStrictEqual(sslOf("?sslmode=require", trusting), trusting)
    assert.deepStrictEqual(sslOf("", trusting), trusting)
    // the URL's own mode decides, and the driver verifies unless it is told not to
    for (const mode of ["verify-full", "require", "prefer", "disable"]) {
      assert.isUndefined(sslOf(`?sslmode=${mode}`, false))
    }
    assert.isUndefined(sslOf("?sslmode=disable", trusting))
  })

  it("connects as the client does, also where the client's own URL says how", () => {
    const url = Redacted.make(
      "postgres://app:s%23cret@pooler:6432/one?sslmode=verify-full&connect_timeout=3&application_name=chat"
    )
    assert.deepInclude(listenerConfig({ url, ssl: false }, undefined), { url, ssl: false })
    // What the driver will read of it, options first.
    const read = (listenUrl: string, options: PgClient.PgClientConfig = {}) => {
      const config = listenerConfig({ url, ...options }, Redacted.make(listenUrl))
      const to = new URL(Redacted.value(config.url ?? Redacted.make("")))
      const { password } = config
      return {
        host: to.host,
        ssl: config.ssl ?? to.searchParams.get("sslmode"),
        timeout: config.connectTimeout ?? to.searchParams.get("connect_timeout"),
        name: config.applicationName ?? to.searchParams.get("application_name"),
        user: config.username ?? to.username,
        password: Redacted.isRedacted(password) ? Redacted.value(password) : to.password,
        database: config.database ?? to.pathname.slice(1)
      }
    }
    const client = {
      host: "server",
      ssl: "verify-full",
      timeout: "3",
      name: "chat",
      user: "app",
      password: "s#cret",
      database: "one"
    }
    assert.deepStrictEqual(read("postgres://server"), client)
    assert.deepStrictEqual(read("postgres://server?sslmode=require&connect_timeout=9"), {
      ...client,
      ssl: "require",
      timeout: "9"
    })
    // One user's password is no other user's.
    assert.deepStrictEqual(read("postgres://listener@server/two?application_name=ear"), {
      ...client,
      name: "ear",
      user: "listener",
      password: "",
      database: "two"
    })
    const options = { username: "other", database: "two", ssl: true, applicationName: "options" }
    assert.deepStrictEqual(read("postgres://server", options), {
      ...client,
      ssl: true,
      name: "options",
      user: "other",
      database: "two"
    })
  })

  it("asks for no TLS on a socket, where there is none, but as its URL says", () => {
    const url = Redacted.make("postgres://app:pw@pooler/app?sslmode=require&connect_timeout=3")
    for (const socket of [
      "postgres:///?host=/var/run/postgresql",
      "postgres://server?host=server&host=/var/run/postgresql",
      "postgres://%2Fvar%2Frun%2Fpostgresql"
    ]) {
      for (const ssl of [undefined, true, { ca: "the certificate of who signs" }]) {
        const config = listenerConfig({ url, ssl }, Redacted.make(socket))
        assert.isUndefined(config.ssl, socket)
        const { searchParams } = new URL(Redacted.value(config.url ?? url))
        assert.isNull(searchParams.get("sslmode"), socket)
        assert.strictEqual(searchParams.get("connect_timeout"), "3", socket)
      }
    }
    const own = Redacted.make("postgres://%2Ftmp?sslmode=require")
    const { url: kept = url } = listenerConfig({ url }, own)
    assert.include(Redacted.value(kept), "sslmode=require")
    const away = Redacted.make("postgres:///?host=/tmp&host=server")
    assert.include(Redacted.value(listenerConfig({ url }, away).url ?? away), "sslmode=require")
  })

  it("takes the client's password if the user is the same, and no other's", () => {
    const read = (listenUrl: string, client: PgClient.PgClientConfig) => {
      const { password, username } = listenerConfig(client, Redacted.make(listenUrl))
      return [username, Redacted.isRedacted(password) ? Redacted.value(password) : password]
    }
    const byUrl = { url: Redacted.make("postgres://app:pw@pooler/app") }
    const byOption = {
      url: Redacted.make("postgres://app@pooler/app"),
      password: Redacted.make("pw")
    }
    const byOptions = { username: "app", password: Redacted.make("pw") }
    const twice = { url: Redacted.make("postgres://pooler/app?user=other&user=app&password=pw") }
    for (const client of [byUrl, byOption, byOptions, twice]) {
      for (const same of ["app@server", "server?user=app", "other@server?user=other&user=app"]) {
        assert.deepStrictEqual(read(`postgres://${same}`, client), ["app", "pw"], same)
      }
      assert.deepStrictEqual(read("postgres://server", client), ["app", "pw"])
      assert.deepStrictEqual(read("postgres://server?user=", client), ["app", "pw"])
      // its own password stays in the URL
      assert.deepStrictEqual(read("postgres://server?password=own", client), ["app", undefined])
      assert.deepStrictEqual(read("postgres://app:own@server", client), ["app", undefined])
      assert.deepStrictEqual(read("postgres://other@server", client), [undefined, undefined])
      assert.deepStrictEqual(read("postgres://server?user=app&user=other", client), [
        undefined,
        undefined
      ])
    }
  })
})
