/**
 * What may be said of an error to those who may see names and no data: which kind it is, and its message without the values
 * that the server repeats in it.
 *
 * @module
 */
import {
  causeOf,
  causesOf,
  ConnectionError,
  ConnectionLostError,
  DatabaseError,
  InterruptedError,
  type ServerMessage,
} from "../errors.ts";
import { tokensOf } from "../sql/tokens.ts";
import { type HiddenText, type Hide, hideNothing, visible } from "../text.ts";
import { failureOf } from "./failure.ts";

/** The longest message, in characters. */
const MESSAGE_LIMIT = 1_000;

/**
 * Of these errors the message repeats a value of the data, a parameter or a piece of the statement, in quotes: class 22,
 * data exceptions, and a syntax error (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 */
const REPEATS = /^(?:22...|42601)$/;

/** From the first quote to the last, or to the end: a value may hold quotes itself. Each language of the server has its own. */
const QUOTED = /["„“«].*["“”»]|["„“«].*/s;

/** The shortest text of a literal that is searched for outside of quotes, in characters: shorter ones are in many a word. */
const TELLING = 4;

/** Errors of the program's own that say more than what has caused them. */
const TELLING_ERRORS = [ConnectionError, ConnectionLostError, InterruptedError];

/** The SQLSTATE, or the name of the error at the root. */
export function errorType(error: unknown, hide: Hide): HiddenText {
  const code = causeOf(error, DatabaseError)?.server.code;
  if (code !== undefined) return hide(visible(code));
  const chain = causesOf(error);
  const own = chain.find((one) =>
    TELLING_ERRORS.some((type) => one instanceof type)
  );
  const name = (own ?? chain.at(-1))?.name;
  return typeof name === "string" && /^\w{1,100}$/.test(name)
    ? hide(name)
    : hideNothing("_OTHER");
}

/** The message of an error on one line. What a migration has put into a message of its own stays in it. */
export function messageWithoutValues(error: unknown, hide: Hide): HiddenText {
  const { message } = failureOf(error);
  const server = causeOf(error, DatabaseError)?.server;
  // An error can be raised without any words.
  const text = server === undefined || server.message === ""
    ? message
    : message.replaceAll(server.message, () => withoutValues(server));
  const shown = hide(visible(text.replace(/\s*\n\s*/g, "; ")));
  return shown.length > MESSAGE_LIMIT
    ? `${shown.slice(0, MESSAGE_LIMIT)}…` as HiddenText
    : shown;
}

function withoutValues({ code, message, statement }: ServerMessage): string {
  const quoteless = REPEATS.test(code)
    ? message.replace(QUOTED, '"?"')
    : message;
  return literalsOf(statement ?? "").reduce(
    (text, literal) => text.replaceAll(literal, "?"),
    quoteless,
  );
}

/** The texts of the string literals, the longest first, as they are written and as they are meant. */
function literalsOf(statement: string): string[] {
  const texts = new Set<string>();
  for (const { kind, start, end } of tokensOf(statement)) {
    if (kind !== "string") continue;
    const written = statement.slice(start, end);
    const inner = /^(?:[a-z&]*'|\$\w*\$)(.*?)(?:'|\$\w*\$)?$/is.exec(written)
      ?.[1] ?? written;
    texts.add(inner).add(inner.replaceAll("''", "'"));
  }
  return [...texts].filter((text) => text.length >= TELLING)
    .sort((a, b) => b.length - a.length);
}
