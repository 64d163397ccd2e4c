import { readdirSync } from "node:fs"
import path from "node:path"
import { assert, describe, it } from "vitest"
import { importsOf, loadedInNode, namesOf, serverModules, src } from "./support/modules.ts"

describe("the modules of the Agent API", () => {
  it("load no server with the client", () => {
    const names = namesOf("HttpMessageStore.ts")
    assert.includeMembers([...names], ["AgentApi.ts", "internal/agentClient.ts"])
    for (const server of [
      "AgentServer.ts",
      "internal/agentHandlers.ts",
      "internal/agentHints.ts",
      "internal/agentScope.ts",
      "internal/guard.ts",
      "internal/storeProblem.ts"
    ]) {
      assert.notInclude(names, server)
    }
  })

  it("load no client with the server", () => {
    const names = namesOf("AgentServer.ts")
    assert.include(names, "internal/agentHandlers.ts")
    for (const client of [
      "HttpMessageStore.ts",
      "internal/agentClient.ts",
      "internal/agentListener.ts",
      "internal/agentTokens.ts"
    ]) {
      assert.notInclude(names, client)
    }
  })

  it("load neither with the contract, and the Stop API not at all", () => {
    const names = namesOf("AgentApi.ts")
    assert.deepStrictEqual(names.filter((name) => name.endsWith(".ts")).toSorted(), [
      "AgentApi.ts",
      "CurrentAgent.ts",
      "Problem.ts",
      "RequestGuard.ts",
      "internal/authenticate.ts",
      "internal/within.ts"
    ])
    for (const module of ["HttpMessageStore.ts", "AgentServer.ts"]) {
      assert.deepStrictEqual(
        namesOf(module).filter((name) => name.startsWith("Stop")),
        []
      )
    }
  })

  it("import nothing of Node", () => {
    const modules = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) =>
      /(?:^|\/)(?:agent|Agent|CurrentAgent|HttpMessageStore)[^/]*\.ts$/.test(name)
    )
    assert.isAbove(modules.length, 10)
    for (const module of modules) {
      assert.deepStrictEqual(
        importsOf(path.join(src, module)).filter((name) => name.startsWith("node:")),
        [],
        module
      )
    }
  })

  it("are mounted by nothing but `AgentServer`", () => {
    const mounting = readdirSync(src, { recursive: true, encoding: "utf8" }).filter(
      (name) =>
        name.endsWith(".ts") &&
        importsOf(path.join(src, name)).some((specifier) => specifier.endsWith("/AgentServer.ts"))
    )
    assert.deepStrictEqual(mounting, [])
  })

  it("load as Node finds them, the client without the server", () => {
    const all = loadedInNode("HttpMessageStore.ts")
    const loaded = all.filter((url) => url.includes("/packages/http/src/")).join("\n")
    assert.include(loaded, "agentClient.ts")
    assert.notMatch(loaded, /AgentServer|agentHandlers|agentHints|guard\.ts|Stop/)
    for (const contract of ["AgentApi.ts", "HttpMessageStore.ts"]) {
      const ofEffect = loadedInNode(contract).filter((url) => serverModules.test(url))
      assert.deepStrictEqual(ofEffect, [], contract)
    }
  })
})
