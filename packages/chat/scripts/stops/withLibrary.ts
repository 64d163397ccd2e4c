/** The agent on this library. The stop comes from another repo, as from another process, and by push. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { Tool, Toolkit } from "effect/ai"
import {
  MessageContent,
  MessageRef,
  MessageRepo,
  MessageStore,
  NewMessage,
  StopSignal
} from "effect-cancellation"
import OpenAI from "openai"
import { AgentLoop, ChatCompletionsModel, ChatService } from "../../src/index.ts"
import type { Loop, World } from "./World.ts"

const toolkit = Toolkit.make(Tool.make("change"))

/** A store that tells when a look begins, which finds no stop, and when a stop is stored. */
const watched = (world: World) =>
  Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        stopRequests: (runs) =>
          Effect.suspend(() => {
            const isClear = world.look()
            return Effect.tap(store.stopRequests(runs), ({ requests }) =>
              Effect.sync(() => {
                if (requests.length === 0) isClear()
              })
            )
          }),
        requestStop: (target, intent) =>
          Effect.tap(store.requestStop(target, intent), () => Effect.sync(world.stored))
      })
    )
  ).pipe(Layer.provide(MessageStore.layerMemory()))

export const withLibrary: Loop = ({ baseUrl, id, onInterrupt, world }) =>
  Effect.gen(function* () {
    const ref = MessageRef.of({ chatId: id, messageId: id })
    const openai = new OpenAI({ baseURL: baseUrl, apiKey: "none" })
    const model = ChatCompletionsModel.layer({
      model: "model",
      extra: { user: id },
      create: (body, { signal }) =>
        openai.chat.completions.create({ ...body, stream: true }, { signal })
    })
    const stores = yield* Layer.build(
      Layer.mergeAll(watched(world), MessageContent.layerMemory, StopSignal.layerMemory)
    )
    const repo = MessageRepo.layer().pipe(Layer.provide(Layer.succeedContext(stores)))
    const agentSide = yield* Layer.build(Layer.fresh(repo))
    const userSide = yield* Layer.build(Layer.fresh(repo))

    const agent = Effect.gen(function* () {
      const chat = yield* ChatService
      yield* chat.cancellation.onCancellation(() => onInterrupt)
      return yield* AgentLoop.run({ prompt: "Change the world.", toolkit, concurrency: 1 })
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Layer.mergeAll(
          ChatService.layer({ ref }),
          model,
          toolkit.toLayer({ change: () => world.change })
        )
      ),
      Effect.provideContext(Context.merge(agentSide, stores))
    )
    yield* Effect.provideContext(
      Effect.flatMap(MessageContent, (content) =>
        Effect.orDie(content.create(NewMessage.make({ ref, role: "assistant" })))
      ),
      stores
    )
    const fiber = yield* Effect.forkDetach(agent)
    return {
      stop: Effect.provideContext(
        Effect.flatMap(MessageRepo, (users) => users.requestStop(ref)),
        userSide
      ).pipe(Effect.asVoid, Effect.orDie),
      ended: Effect.asVoid(Effect.orDie(Fiber.join(fiber)))
    }
  })
