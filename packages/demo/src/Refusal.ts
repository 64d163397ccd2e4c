/**
 * What the programs of the demo say when they cannot do what was asked: one line, and an exit code.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type { Usage } from "./Usage.ts"

/** One line for a person, on stderr; the process ends with code 1. */
export class Refusal extends Data.TaggedError("Refusal")<{ readonly line: string }> {
  override readonly [Runtime.errorReported] = false
  override readonly [Runtime.errorExitCode] = 1
}

/**
 * Runs a program of the demo as a process, with its arguments; asked for help it says only how it is
 * used. Any error of it is said in one line, without a trace.
 */
export const runProgram = <E extends { readonly message: string }>(
  { help }: Usage,
  program: (args: ReadonlyArray<string>) => Effect.Effect<void, E | Refusal>
): void => {
  const args = process.argv.slice(2)
  const asksHelp = args.includes("--help") || args.includes("-h")
  return (asksHelp ? Effect.flatMap(help, Console.log) : program(args)).pipe(
    Effect.mapError((error) =>
      error instanceof Refusal ? error : new Refusal({ line: error.message })
    ),
    Effect.tapError(({ line }) => Console.error(line)),
    NodeRuntime.runMain
  )
}

/** A program that takes no arguments. */
export const withoutArguments =
  <A, E, R>({ line }: Usage, program: Effect.Effect<A, E, R>) =>
  ([argument]: ReadonlyArray<string>): Effect.Effect<A, E | Refusal, R> =>
    argument === undefined
      ? program
      : Effect.fail(new Refusal({ line: `${JSON.stringify(argument)} is not understood. ${line}` }))
