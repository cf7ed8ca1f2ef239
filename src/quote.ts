/**
 * Text from outside, made fit for a message: on one line, without escape sequences, of bounded length.
 *
 * @module
 */

const CONTROL = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** Shows control characters (C0, C1, line separators, direction marks) as `\u001b`; a line stays one line. */
export function visible(text: string): string {
  return text.replace(
    CONTROL,
    (character) =>
      `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Quotes a name or value from outside, at most 200 characters of it. */
export function quote(text: string): string {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return `"${visible(shown)}"`;
}

/** Quotes an argument that nobody asked for. It may be a connection string in the wrong place: only its head is shown. */
export function quoteArgument(argument: string): string {
  const head = /^(?:[a-z][a-z0-9+.-]*:\/\/|[^=@]*=|-[^-])/i.exec(argument)?.[0];
  if (head !== undefined && head.length < argument.length) {
    return quote(`${head}…`);
  }
  return argument.includes("@") ? quote("…") : quote(argument);
}
