/**
 * Text from outside, made fit for a message: on one line, without escape sequences, of bounded length.
 *
 * @module
 */

const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/** Shows control, direction and other invisible characters and halves of surrogate pairs as `\u001b`; a line stays one line. */
export function visible(text: string): string {
  // To make the set of all invisible characters takes longer than the rest of a message.
  if (/^[ -~]*$/.test(text)) return text;
  return text.replace(INVISIBLE, (character) => {
    const hex = character.codePointAt(0)!.toString(16);
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
  });
}

/** Quotes a name or value from outside, at most 200 characters of it. */
export function quote(text: string): string {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return `"${visible(shown)}"`;
}

/** Quotes the value of an option or a variable. What may be a connection string, or `-pPASSWORD`, is hidden. */
export function quoteValue(value: string): string {
  const head = /^(?:[a-z][a-z0-9+.-]*:\/\/|-[a-z](?=.))/i.exec(value)?.[0];
  if (head !== undefined) return quote(`${head}…`);
  return /@|password\s*=/i.test(value) ? quote("…") : quote(value);
}

/** Quotes an argument that nobody asked for: of `NAME=value` and `-xvalue`, which may hold a password, only the head. */
export function quoteArgument(argument: string): string {
  const head = /^(?:(?![a-z][a-z0-9+.-]*:\/\/)[^=@]*=|-[^-])/iu.exec(argument)
    ?.[0];
  return head !== undefined && head.length < argument.length
    ? quote(`${head}…`)
    : quoteValue(argument);
}

/**
 * The last line of defence: replaces the password, as it is and as a URL writes it, by `***`. Nothing should have to be
 * replaced; a server or a migration that repeats it is beyond our control. A password that is part of what must be said
 * (the user's name, say) is no secret and would only garble the message.
 */
export function redactor(
  password: string | undefined,
  said: readonly string[],
): (text: string) => string {
  if (password === undefined || password.length < 4) return (text) => text;
  if (
    said.some((word) => word.includes(password)) ||
    "postgresql".includes(password)
  ) return (text) => text;
  const forms = new Set([
    password,
    encodeURIComponent(password),
    JSON.stringify(password).slice(1, -1),
  ]);
  return (text) => {
    let hidden = text;
    for (const form of forms) hidden = hidden.replaceAll(form, "***");
    return hidden;
  };
}
