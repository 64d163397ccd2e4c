/**
 * The browser's client of the Stop API, as the page loads it: the module of the package without its
 * types. It imports nothing, so there is nothing to build.
 */
import { Worker } from "node:worker_threads"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { withProblems } from "./Problem.ts"

const file = import.meta.resolve("effect-cancellation-http/browser")

// In a thread of its own, in which Node does not warn on the terminal that it may change how it does
// this.
const withoutTypes = Effect.callback<string>((resume, signal) => {
  const worker = new Worker(new URL("./withoutTypes.ts", import.meta.url), {
    workerData: file,
    execArgv: ["--disable-warning=ExperimentalWarning"]
  })
  worker.once("message", (source: string) => resume(Effect.succeed(source)))
  worker.once("error", (error) => resume(Effect.die(error)))
  signal.addEventListener("abort", () => void worker.terminate())
})

export const layer = Layer.unwrap(
  Effect.map(Effect.cached(withoutTypes), (read) =>
    HttpRouter.add(
      "GET",
      "/stop-api.js",
      withProblems(
        Effect.map(read, (source) =>
          HttpServerResponse.text(source, {
            contentType: "text/javascript; charset=utf-8",
            headers: { "cache-control": "no-cache" }
          })
        )
      )
    )
  )
)
