/**
 * What an application must provide: nothing lets anybody in by default.
 */
import * as Layer from "effect/Layer"
import { MessageRepo } from "effect-cancellation"
import { HttpApi, HttpApiGroup, HttpApiMiddleware } from "effect/http-api"
import { describe, expect, it } from "tstyche"
import type { CurrentActor } from "../src/CurrentActor.ts"
import { StopApi } from "../src/StopApi.ts"
import { StopPolicy } from "../src/StopPolicy.ts"
import * as StopServer from "../src/StopServer.ts"

declare const Actors: Layer.Layer<CurrentActor>
const options = { allowedOrigins: ["https://app.example.com"] }

describe("the Stop API", () => {
  it("needs somebody who knows the actor, a policy and a repo", () => {
    const all = Layer.mergeAll(Actors, StopPolicy.layerOwn(), MessageRepo.layerMemory())
    expect(StopServer.toWebHandler).type.toBeCallableWith(options, all)
  })

  it("does not type-check without one of them", () => {
    const repo = MessageRepo.layerMemory()
    expect(StopServer.toWebHandler).type.not.toBeCallableWith(options, repo)
    expect(StopServer.toWebHandler).type.not.toBeCallableWith(options, Layer.merge(Actors, repo))
    expect(StopServer.toWebHandler).type.not.toBeCallableWith(
      options,
      Layer.merge(StopPolicy.layerOwn(), repo)
    )
    expect<Layer.Services<ReturnType<typeof StopServer.layer>>>().type.toBeAssignableFrom<
      CurrentActor | StopPolicy | MessageRepo
    >()
  })

  it("does not type-check without allowed origins", () => {
    expect(StopServer.layer).type.not.toBeCallableWith({})
  })

  it("needs what the application has added to its routes", () => {
    class Extra extends HttpApiMiddleware.Service<Extra>()("test/Extra") {}
    const own = HttpApi.make("own").add(StopApi.middleware(Extra))
    const layer = StopServer.group(own, options)
    expect<Layer.Services<typeof layer>>().type.toBe<
      CurrentActor | StopPolicy | MessageRepo | Extra
    >()
  })

  it("is a group of any API that has it, below any prefix, and of no other", () => {
    const own = HttpApi.make("own").add(StopApi.prefix("/v1"), HttpApiGroup.make("other"))
    expect(StopServer.group).type.toBeCallableWith(own, options)
    const without = HttpApi.make("without").add(HttpApiGroup.make("other"))
    expect(StopServer.group).type.not.toBeCallableWith(without, options)
  })
})
