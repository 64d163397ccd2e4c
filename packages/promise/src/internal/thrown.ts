/**
 * What was thrown, which may be anything, `undefined` too.
 */

export interface Thrown {
  readonly thrown: unknown
}
