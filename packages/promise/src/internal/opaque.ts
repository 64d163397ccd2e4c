/**
 * The keys under which stores and signals keep what nobody else has to see.
 */

export const keptIn: unique symbol = Symbol("effect-cancellation-promise/store")
export const toldBy: unique symbol = Symbol("effect-cancellation-promise/signal")
