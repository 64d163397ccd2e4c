// The contract suites, as far as the platform can.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { defaultTenant, type MessageRef } from "effect-cancellation"
import { MessageContentContract, MessageStoreContract } from "effect-cancellation-testing"
import { layerPorts, onPlatform } from "./support/platform.ts"
import { type Platform, startPlatform } from "./support/PlatformServer.ts"

// The suite arranges rows outside of the layer it tests.
let platform: Platform | undefined
const Store = Layer.unwrap(
  Effect.map(startPlatform(), (started) => {
    platform = started
    // 2,500 chats in one look are not what the time-out is for.
    return onPlatform(started, { pollTimeout: "1 minute" })
  })
)

const add = (ref: MessageRef) =>
  Effect.fromNullishOr(platform).pipe(
    Effect.map((platform) => {
      const { chatId, companyId = defaultTenant, messageId, userId = defaultTenant } = ref
      platform.add({ id: messageId, chatId, companyId, userId })
      return { platform, messageId }
    })
  )

MessageStoreContract.suite("Unique platform", Store, {
  supports: { runs: false, stops: false, leases: false, erasure: false, hints: false },
  rows: {
    running: (ref) => Effect.asVoid(add(ref)),
    stopped: (ref) =>
      Effect.map(add(ref), ({ messageId, platform }) => void platform.stopMessage(messageId))
  }
})

MessageContentContract.suite("Unique platform", layerPorts({ assistantId: "assistant_1" }), {
  supports: {
    ids: false,
    roles: ["assistant"],
    writers: false,
    reopen: false,
    nulls: false,
    clock: false
  }
})
