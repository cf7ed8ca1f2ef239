/**
 * Text for people: names and values from outside made fit for a message, secrets hidden, durations, colours.
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

/** Where a server is, as a URL would say it: of a Unix socket its folder, an address of IPv6 in brackets. */
export function addressText(
  { host, port }: { readonly host: string; readonly port: number },
): string {
  if (host.startsWith("/")) return host;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Quotes a name or value from outside, at most 200 characters of it. */
export function quote(text: string): string {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return `"${visible(shown)}"`;
}

/** A name as a word of a command line, for a POSIX shell. */
export function shellWord(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
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

/** What stands for bytes that are no text in UTF-8. */
export const NO_TEXT = "\ufffd";

declare const isHidden: unique symbol;

/**
 * A text that a {@link Hide} has been over. Whatever writes to an output or into the history takes no other, so that nothing
 * goes round it.
 */
export type HiddenText = string & { readonly [isHidden]: true };

/** Keeps secrets out of a text. */
export type Hide = (text: string) => HiddenText;

/** For a text of the program's own, which can hold no secret; and where no secret is known yet. */
export function hideNothing(text: string): HiddenText {
  return text as HiddenText;
}

/** The fewest characters of a password that are hidden: shorter ones are in many a word by chance. */
const SECRET_LENGTH = 4;

/**
 * The last line of defence: replaces the password by `***`, in whatever spelling: as it is, as a URL, JSON, SQL or a message
 * writes it, also when a text is cut off in it. Nothing should have to be replaced; a server or a migration that repeats it
 * is beyond our control. A password that is part of what must be said (the user's name, say) is no secret and would only
 * garble the message; nor is one of fewer than {@link SECRET_LENGTH} characters hidden.
 */
export function redactor(
  password: string | undefined,
  said: readonly string[],
): Hide {
  if (password === undefined || password.length < SECRET_LENGTH) {
    return hideNothing;
  }
  if (
    said.some((word) => word.includes(password)) ||
    "postgresql".includes(password)
  ) return hideNothing;
  if (password.length > MIXED_LENGTH) return longRedactor(password);
  // A message may write any white space as one space, but hardly anything else must be left to tell it by.
  const isTelling = password.replaceAll(/\s+/g, " ").length >= SECRET_LENGTH;
  const spellings = [...password.matchAll(/\s+|[^]/gu)].map(([part]) =>
    spellingsOf(part, isTelling ? 1 : part.length)
  );
  const whole = spellings.join("");
  const head = spellings.slice(0, SECRET_LENGTH).join("");
  const cutOff = spellings.slice(SECRET_LENGTH)
    .reduceRight((rest, one) => `(?:${one}${rest})?`, "");
  // Behind the cut there may be half of a spelling.
  const cut = String.raw`(?=(?:%[\da-fA-F]?|\\[ux{\da-fA-F]*)?…)`;
  const pattern = new RegExp(`${whole}|${head}${cutOff}${cut}`, "gu");
  return (text) => text.replace(pattern, "***") as HiddenText;
}

/**
 * The longest secret that is found in any mixture of spellings, in characters: for a longer one the pattern takes much memory
 * and time, and of a few thousand none can be made. Longer ones are tokens, of characters that are written in one way.
 */
const MIXED_LENGTH = 64;

/** Hides a long secret as it is, and as a URL, JSON or SQL writes all of it; also when a text is cut off in it. */
function longRedactor(secret: string): Hide {
  const encoded = encodeURIComponent(secret.toWellFormed());
  const spellings = new Set([
    secret,
    encoded,
    encoded.replace(/%../g, (byte) => byte.toLowerCase()),
    JSON.stringify(secret).slice(1, -1),
    secret.replaceAll("'", "''"),
  ]);
  const hideWhole = (text: string) =>
    [...spellings].reduce((left, one) => left.replaceAll(one, "***"), text);
  const hideEnd = (text: string) => {
    for (const one of spellings) {
      for (let n = Math.min(one.length, text.length); n >= SECRET_LENGTH; n--) {
        if (text.endsWith(one.slice(0, n))) return `${text.slice(0, -n)}***`;
      }
    }
    return text;
  };
  return (text) =>
    hideWhole(text).split("…").map((part, i, { length }) =>
      i < length - 1 ? hideEnd(part) : part
    ).join("…") as HiddenText;
}

/** A pattern of all that may stand for one character of a password, or for white space of at least `fewest` characters. */
function spellingsOf(part: string, fewest: number): string {
  if (/^\s/.test(part)) {
    const each = [...new Set(part)].map(spellingsOfOne);
    return String.raw`(?:\s|\+|\\[tnrfv]|${
      each.join("|")
    }){${fewest},${part.length}}`;
  }
  return spellingsOfOne(part);
}

function spellingsOfOne(part: string): string {
  const code = part.codePointAt(0)!;
  const hex = (value: number, digits: number) =>
    anyCase(value.toString(16).padStart(digits, "0"));
  const plain = part.replace(/[\\^$.*+?()[\]{}|/]/u, "\\$&");
  const bytes = Array.from(
    new TextEncoder().encode(part),
    (byte) => `%${hex(byte, 2)}`,
  );
  const units = part.split("").map((unit) =>
    `\\\\u${hex(unit.charCodeAt(0), 4)}`
  );
  return `(?:${
    [
      // The longer first: the beginning of one may be another.
      bytes.join(""),
      units.join(""),
      String.raw`\\u\{0*${hex(code, 1)}\}`,
      ...(code < 0x100 ? [String.raw`\\x${hex(code, 2)}`] : []),
      ...(code === 0x08 ? [String.raw`\\b`] : []),
      // Quotes are doubled, backslashes too, and both may stand behind backslashes.
      ...(/['"`]/.test(part) ? [`\\\\*${part}{1,2}`] : []),
      ...(part === "\\" ? ["\\\\+"] : []),
      plain,
    ].join("|")
  })`;
}

/** The hexadecimal digits in either case. */
function anyCase(hex: string): string {
  return hex.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
}

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** PostgreSQL keeps its timeouts in an `int` of milliseconds, about 24.8 days. */
const LONGEST_MS = 2_147_483_647;

/** Reads `500ms`, `5s`, `2m`, `1h` or `0`. Returns milliseconds, or the error that says what is wrong. */
export function parseDuration(text: string): number | Error {
  if (text === "0") return 0;
  const match = /^(\d{1,12})(ms|s|m|h)$/.exec(text);
  if (match === null) {
    return new SyntaxError(
      `${quoteValue(text)} is not a duration such as 500ms, 5s, 2m or 1h`,
    );
  }
  const ms = Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
  return ms <= LONGEST_MS
    ? ms
    : new RangeError(`${quote(text)} is longer than the limit of 596h`);
}

/** A duration for a person: `870 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatDuration(ms: number): string {
  if (Math.round(ms) < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1).replace(/\.0$/, "")} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return pair(seconds, "min", "s");
  return pair(Math.round(seconds / 60), "h", "min");
}

function pair(n: number, large: string, small: string): string {
  const rest = n % 60;
  return `${Math.floor(n / 60)} ${large}${
    rest === 0 ? "" : ` ${rest} ${small}`
  }`;
}

export const RED = 31;
export const GREEN = 32;
export const YELLOW = 33;

/** Paints a text, or leaves it as it is without colour. */
export function painter(
  color: boolean,
): (code: number, text: string) => string {
  return (code, text) => color ? `\u001b[${code}m${text}\u001b[0m` : text;
}
