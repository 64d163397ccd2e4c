/**
 * What an application must provide to serve agents: nothing lets any in by default.
 */
import * as Context from "effect/Context"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { MessageStore } from "effect-cancellation"
import type { HttpClient } from "effect/http"
import { HttpApi, HttpApiGroup, HttpApiMiddleware } from "effect/http-api"
import { describe, expect, it } from "tstyche"
import { AgentApi, AgentHttpApi } from "../src/AgentApi.ts"
import * as AgentServer from "../src/AgentServer.ts"
import type { CurrentAgent } from "../src/CurrentAgent.ts"
import * as HttpMessageStore from "../src/HttpMessageStore.ts"

describe("the Agent API", () => {
  it("needs somebody who knows the agent, and a store", () => {
    expect<Layer.Services<ReturnType<typeof AgentServer.layer>>>().type.toBeAssignableFrom<
      CurrentAgent | MessageStore
    >()
    const group = AgentServer.group(AgentHttpApi)
    expect<Layer.Services<typeof group>>().type.toBe<CurrentAgent | MessageStore>()
  })

  it("needs the middleware that an application has added to it, and what that needs", () => {
    class Needed extends Context.Service<Needed, string>()("test/Needed") {}
    class Extra extends HttpApiMiddleware.Service<Extra, { requires: Needed }>()("test/Extra") {}
    const group = AgentServer.group(HttpApi.make("own").add(AgentApi.middleware(Extra)))
    expect<Layer.Services<typeof group>>().type.toBe<CurrentAgent | MessageStore | Extra | Needed>()
    const other = HttpApiGroup.make("other").middleware(Extra)
    const beside = AgentServer.group(HttpApi.make("own").add(AgentApi.prefix("/v1"), other))
    expect<Layer.Services<typeof beside>>().type.toBe<CurrentAgent | MessageStore>()
  })

  it("is a group of any API that has it, below any prefix, and of no other", () => {
    const own = HttpApi.make("own").add(AgentApi.prefix("/v1"), HttpApiGroup.make("other"))
    expect(AgentServer.group).type.toBeCallableWith(own)
    expect(AgentServer.group).type.not.toBeCallableWith(HttpApi.make("none"))
  })

  it("is asked with a token that is redacted, by whichever client there is", () => {
    expect(HttpMessageStore.layer).type.not.toBeCallableWith({ baseUrl: "https://a", token: "t" })
    expect(HttpMessageStore.layer).type.not.toBeCallableWith({ baseUrl: "https://a" })
    expect(HttpMessageStore.layer({ baseUrl: "https://a", token: Redacted.make("t") })).type.toBe<
      Layer.Layer<MessageStore, never, HttpClient.HttpClient>
    >()
  })
})
