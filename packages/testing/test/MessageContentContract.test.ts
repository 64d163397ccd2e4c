import { MessageContent } from "effect-cancellation"
import { MessageContentContract } from "../src/index.ts"

MessageContentContract.suite("MessageContent.layerMemory", MessageContent.layerMemory)
