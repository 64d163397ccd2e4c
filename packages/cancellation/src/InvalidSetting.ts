/**
 * The error of a setting that cannot work.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * An option has a value it cannot have. It is a mistake in the program, so the layer dies with it
 * when it is built: nobody can handle it, and nothing runs with a setting that was not meant.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidSetting extends Schema.TaggedError<InvalidSetting>(
  "effect-cancellation/InvalidSetting"
)("InvalidSetting", {
  option: Schema.String,
  value: Schema.String,
  /** What would be right. */
  range: Schema.String
}) {
  override get message(): string {
    return `${this.option} is ${this.value}; it must be ${this.range}.`
  }
}
