import { Effect, Layer, PubSub, Stream } from "effect"
import { StopHint, StopSignal } from "effect-cancellation"
import { SignalFaults, StopSignalContract } from "../src/index.ts"

StopSignalContract.suite("StopSignal.layerMemory", StopSignal.layerMemory)

StopSignalContract.suite("SignalFaults, healthy", SignalFaults.layer())

// One server, to which every build of the layer connects.
const server = Effect.runSync(PubSub.unbounded<StopHint>())

StopSignalContract.suite(
  "a signal across processes",
  Layer.succeed(StopSignal, {
    publish: (run) => Effect.asVoid(PubSub.publish(server, StopHint.cases.Hint.make({ run }))),
    hints: Stream.fromPubSub(server)
  }),
  { acrossProcesses: true }
)
