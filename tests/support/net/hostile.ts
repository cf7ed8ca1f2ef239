/**
 * Text as nobody wants it in a message, for property tests.
 *
 * @module
 */
import fc from "fast-check";

/** Any characters and any halves of surrogate pairs. (`fc.string({ unit: "binary" })` takes seconds to make in `deno test`.) */
export const anyText: fc.Arbitrary<string> = fc.array(
  fc.oneof(
    fc.nat(0x7f),
    fc.nat(0xffff),
    fc.integer({ min: 0x10000, max: 0x10ffff }),
  ),
).map((codes) => String.fromCodePoint(...codes));

/** The same with what terminals and log viewers act on. */
export const hostile: fc.Arbitrary<string> = fc.array(
  fc.oneof(
    anyText,
    fc.constantFrom("\u001b[2K", "\r", "\n", "\u009b1A", "\u202e", "\ud83d"),
  ),
  { maxLength: 8 },
).map((parts) => parts.join(""));

/** Whether the text is one line that no terminal acts on. */
export function isClean(text: string): boolean {
  return text.isWellFormed() &&
    !/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(text);
}
