/**
 * The parts of a connection string, before anything is made of them.
 *
 * @module
 */
import { type Checked, checked } from "./checked.ts";
import { FOREIGN_FORMS } from "./foreign_urls.ts";

/** The raw parts of `postgres://userInfo@hosts/path?query`; `userInfo` is missing without an `@`. */
export interface UrlParts {
  readonly userInfo: string | undefined;
  readonly hosts: string;
  readonly path: string;
  readonly query: string;
}

/** Stands for a part that cannot be decoded; not empty, because one fault is enough for it. */
const UNREADABLE = "\ufffd";

/** Splits the text, or says why that cannot be done without a guess where a password ends. */
export function splitUrl(text: string): UrlParts | string {
  const scheme = /^postgres(?:ql)?:\/\//.exec(text)?.[0];
  if (scheme === undefined) {
    const hint = FOREIGN_FORMS.find(([form]) => form.test(text))?.[1];
    return hint ?? "it does not begin with postgres:// or postgresql://";
  }
  const rest = text.slice(scheme.length);
  if (/\s/.test(rest)) {
    return "it holds a space or a line break; write a space in a password as %20";
  }
  if (rest.includes("#")) {
    return 'it holds "#"; write it in a password as %23';
  }
  const [beforeQuery, query = ""] = splitOnce(rest, "?");
  const [authority, path = ""] = splitOnce(beforeQuery, "/");
  const at = authority.lastIndexOf("@");
  if (authority.indexOf("@") !== at || path.includes("@")) {
    return 'it holds "@" or "/" where none may stand; write them in a password as %40 and %2F';
  }
  return {
    userInfo: at < 0 ? undefined : authority.slice(0, at),
    hosts: authority.slice(at + 1),
    path,
    query,
  };
}

/** Without `@` before it, or with one in it, the query may be half of a password that holds a raw `?`. */
export function mayHoldPassword({ userInfo, query }: UrlParts): boolean {
  return userInfo === undefined || query.includes("@");
}

/** Undoes percent-encoding. `name` is what the part is called in a fault. */
export function decodePart(part: string, name: string): Checked<string> {
  try {
    const decoded = decodeURIComponent(part);
    if (!decoded.includes("\0")) return checked(decoded);
    return checked(UNREADABLE, `its ${name} holds a zero byte`);
  } catch {
    return checked(
      UNREADABLE,
      /%(?![0-9a-f]{2})/i.test(part)
        ? `its ${name} has a "%" that no two hexadecimal digits follow; write "%" as %25`
        : `its ${name} has bytes behind "%" that are not UTF-8`,
    );
  }
}

/** The text before and after the first `by`; `undefined` when there is none. */
export function splitOnce(
  text: string,
  by: string,
): [string, string | undefined] {
  const at = text.indexOf(by);
  return at < 0
    ? [text, undefined]
    : [text.slice(0, at), text.slice(at + by.length)];
}
