import { answer } from "../examples/fetch.ts"
import { describeProgram } from "./support/providers.ts"

describeProgram("fetch", {
  format: {
    contentType: "text/plain",
    begin: [],
    word: (text) => text,
    end: [],
    error: (message) => message,
    violations: (body) => (typeof body === "string" && body !== "" ? [] : ["no question"])
  },
  answer: (url, stops, chat, show) => answer({ stops, url }, chat, show),
  source: async (url, signal) => {
    const response = await fetch(url, { method: "POST", body: "hello", signal: signal ?? null })
    if (response.body === null) throw new Error("no body")
    return response.body.pipeThrough(new TextDecoderStream())
  },
  textOf: (piece) => piece,
  aborted: "TimeoutError"
})
