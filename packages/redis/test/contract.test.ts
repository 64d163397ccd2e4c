import { beforeEach } from "@effect/vitest"
import { StopSignalContract } from "effect-cancellation-testing"
import { RedisStopSignal } from "../src/index.ts"
import * as Redis from "./support/Redis.ts"

beforeEach(Redis.skipWithoutShared)

StopSignalContract.suite(
  "Redis",
  RedisStopSignal.layer({ url: Redis.shared, channel: `contract:${crypto.randomUUID()}` }),
  { acrossProcesses: true }
)
