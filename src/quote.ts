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
