/**
 * What it costs to watch a thousand messages on the platform, beside the usual design, where each
 * run has a poller of its own: `npm run unique:load`.
 *
 * The platform is a local one in a process of its own, which takes 20 to 60 ms for each answer; the
 * runs are in another. Both designs begin the same runs at the same moments, and the same stops are
 * pressed. It ends with 1 if this library misses a bar.
 *
 *   npm run unique:load [-- --quick] [--cable] [--messages <n>] [--chunk-size <n>] [--seed <text>]
 *                       [--profile <folder>]
 */
import os from "node:os"
import path from "node:path"
import { parseArgs } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { cableReport } from "./load/cableReport.ts"
import type { Load } from "./load/Load.ts"
import { loadReport } from "./load/loadReport.ts"
import { trial } from "./load/trial.ts"

const { values: args } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    /** Pulls the network's cable for ten seconds instead. */
    cable: { type: "boolean", default: false },
    messages: { type: "string", default: "1000" },
    "chunk-size": { type: "string" },
    seed: { type: "string", default: "1" },
    profile: { type: "string" }
  }
})

const messages = Number(args.messages)
const seconds = args.cable ? (args.quick ? 20 : 30) : args.quick ? 9 : 30
const load: Load = {
  seed: args.seed,
  companies: 5,
  chats: 50,
  messages,
  stops: Math.round(messages * (args.quick ? 0.1 : 0.3)),
  seconds,
  pollMillis: 2000,
  chunkSize: args["chunk-size"] === undefined ? undefined : Number(args["chunk-size"])
}
const cable = args.cable ? { afterSeconds: 5, seconds: 10 } : undefined
const profile = args.profile === undefined ? undefined : path.resolve(args.profile)

const machine = () =>
  [
    `${os.cpus().length} x ${os.cpus()[0]?.model.trim() ?? "unknown"}`,
    `${Math.round(os.totalmem() / 2 ** 30)} GB`,
    `${os.type()} ${os.release()}`,
    `Node ${process.version}`,
    `load ${os
      .loadavg()
      .map((value) => value.toFixed(2))
      .join(" ")}`
  ].join(", ")

const program = Effect.gen(function* () {
  const { chats, companies, pollMillis, seed, stops } = load
  yield* Console.log(machine())
  yield* Console.log(
    `${messages} messages in ${chats} chats of ${companies} companies, a poll each ${pollMillis / 1000} s, ` +
      `${stops} stops within ${seconds} s, seed ${seed}` +
      (cable === undefined
        ? ""
        : `; no network from second ${cable.afterSeconds}, for ${cable.seconds} s`)
  )
  const ours = yield* trial({ design: "ours", load, cable, profile })
  const byHand = yield* trial({ design: "by hand", load, cable, profile })
  const report = args.cable ? cableReport(ours, byHand) : loadReport({ load, ours, byHand })
  yield* Console.log(report.lines.join("\n"))
  yield* Console.log(machine())
  if (!report.met) yield* Effect.sync(() => (process.exitCode = 1))
})

NodeRuntime.runMain(program)
