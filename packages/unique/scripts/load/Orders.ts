/** What is said between the script and the two processes that it starts for each design. */
import type { ProbeFigures } from "./probes.ts"

/** By the clock that all processes share. */
export interface Timed {
  readonly at: number
}

export type PlatformOrder =
  /** Presses Stop at the moments of the load, from now on. */
  { readonly kind: "press" } | { readonly kind: "tell" }

export interface PlatformFigures {
  readonly stops: ReadonlyArray<Timed & { readonly index: number }>
  readonly requests: ReadonlyArray<Timed & { readonly chat: string }>
  /** Opened in all. */
  readonly connections: number
  readonly maxConcurrent: number
}

export type WatchOrder =
  /** Begins all runs, and answers when they are under way. */
  | { readonly kind: "start" }
  /** Measures while Stop is pressed, and answers when all stops have arrived. */
  | { readonly kind: "measure"; readonly turns: boolean }

export interface WatchFigures extends ProbeFigures {
  readonly interrupts: ReadonlyArray<Timed & { readonly index: number }>
  /** Made by the client, whether they arrived or not. */
  readonly requests: ReadonlyArray<number>
  /** Opened by the client, whether they reached the platform or not. */
  readonly sockets: ReadonlyArray<number>
  readonly lines: ReadonlyArray<Timed & { readonly level: string; readonly text: string }>
  /** Bytes that the watched runs keep. */
  readonly heap: number
  /** The most that the process had, in bytes. */
  readonly maxRss: number
}
