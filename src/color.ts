/**
 * Colours of a terminal.
 *
 * @module
 */

export const RED = 31;
export const GREEN = 32;
export const YELLOW = 33;

/** Paints a text, or leaves it as it is without colour. */
export function painter(
  color: boolean,
): (code: number, text: string) => string {
  return (code, text) => color ? `\u001b[${code}m${text}\u001b[0m` : text;
}
