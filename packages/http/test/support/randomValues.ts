// Values of which all random requests are made.
import fc from "fast-check"

export const oneOf = <A>(...all: ReadonlyArray<A>) => fc.constantFrom(...all)
export const mostly = <A>(usual: fc.Arbitrary<A>, ...rare: ReadonlyArray<fc.Arbitrary<A>>) =>
  fc.oneof(
    { arbitrary: usual, weight: 9 * rare.length },
    ...rare.map((arbitrary) => ({ arbitrary, weight: 1 }))
  )

export const long = (most: number) =>
  fc.integer({ min: 1, max: most }).map((size) => "x".repeat(size))

const unit = fc
  .oneof(
    { arbitrary: fc.integer({ min: 0x20, max: 0x7e }), weight: 6 },
    { arbitrary: fc.integer({ min: 0, max: 0x2fff }), weight: 2 },
    // half surrogate pairs and private use
    { arbitrary: fc.integer({ min: 0xd7f0, max: 0xffff }), weight: 1 },
    { arbitrary: fc.integer({ min: 0x1f300, max: 0x1faff }), weight: 1 }
  )
  .map((code) => String.fromCodePoint(code))

/** What somebody types, and what nobody can type. */
export const anyText = fc.string({ unit, maxLength: 40 })
