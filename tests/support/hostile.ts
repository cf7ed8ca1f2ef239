/**
 * Text as nobody wants it in a message, for property tests.
 *
 * @module
 */
import fc from "fast-check";

/** Any UTF-16 code units, with what terminals and log viewers act on. */
export const hostile: fc.Arbitrary<string> = fc.array(
  fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\u001b[2K", "\r", "\n", "\u009b1A", "\u202e", "\ud83d"),
  ),
  { maxLength: 8 },
).map((parts) => parts.join(""));

/** Whether the text is one line that no terminal acts on. */
export function isClean(text: string): boolean {
  return text.isWellFormed() &&
    !/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(text);
}
