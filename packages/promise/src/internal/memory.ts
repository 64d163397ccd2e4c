/**
 * The store in this process's memory.
 */
import { complete, type StoreSource } from "./source.ts"

export const memorySource = (tombstoneTtl: number | undefined): StoreSource => ({
  name: "memory",
  supports: complete,
  load: async () => {
    const { MessageStore } = await import("effect-cancellation")
    return MessageStore.layerMemory({ tombstoneTtl })
  }
})
