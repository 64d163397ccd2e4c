/**
 * An agent that stops well.
 *
 * @since 0.1.0
 */
export * from "./AgentEvent.ts"
export * as AgentLoop from "./AgentLoop.ts"
export type * from "./AgentResult.ts"
export * from "./AlreadyStopped.ts"
export type * from "./AssistantMessage.ts"
export * as ChatCompletionsModel from "./ChatCompletionsModel.ts"
export * as ChatHistory from "./ChatHistory.ts"
export * from "./ChatService.ts"
export * from "./ChildRuns.ts"
export type * from "./Completion.ts"
export * from "./Uncancellable.ts"
