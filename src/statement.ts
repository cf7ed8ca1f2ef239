/**
 * What can be told of a statement from its text, without understanding it. Used to decide which statements may be sent
 * ahead; whenever the text leaves a doubt the answer is no.
 *
 * The lexical rules are those of https://www.postgresql.org/docs/current/sql-syntax-lexical.html.
 *
 * @module
 */

interface Placeholder {
  /** The n of `$n`. */
  readonly number: number;
  readonly start: number;
  readonly end: number;
}

interface Outline {
  /** One statement, with or without a semicolon at its end. */
  readonly single: boolean;
  /** The first word of each statement, in lower case. */
  readonly heads: readonly string[];
  readonly placeholders: readonly Placeholder[];
}

/** A string, an identifier, a comment, a word, or one character. A string with a backslash is left to the last case. */
const TOKEN =
  /'(?:[^'\\]|'')*'|"(?:[^"]|"")*"|--[^\n\r]*|\$(?:[A-Za-z_]\w*)?\$|\$(\d+)|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\d+|\s+|./gsy;

/** Words, numbers, spaces and operators: within a statement they tell nothing, and most of it is made of them. */
const DULL =
  /(?:[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[^'"$;\\/A-Za-z_\u0080-\uffff-])+/y;

const DDL = /^\s*(?:create|alter|drop|comment|grant|revoke)\s/i;

/**
 * Whether the statement returns nothing that a migration could use, so that it need not be awaited: one statement that
 * creates, alters or drops something, comments, grants or revokes.
 */
export function isDefinition(text: string): boolean {
  return DDL.test(text) && outline(text)?.single === true;
}

/** Whether the statement hands data to the client, or takes them from it, in the middle of the conversation. */
export function copiesThroughClient(text: string): boolean {
  return /^copy\b[^]*\b(?:to\s+stdout|from\s+stdin)\b/i.test(
    withoutLeadingComments(text),
  );
}

/**
 * Whether one of the statements would end the transaction that they run in. `rollback to` a savepoint would not; it is
 * told apart by its first words, so a text that hides it among others counts as ending. Here a doubt counts as a yes.
 */
export function endsTransaction(text: string): boolean {
  const bare = withoutLeadingComments(text);
  if (/^prepare\s+transaction\b/i.test(bare)) return true;
  const found = outline(text);
  if (found === undefined) {
    return /(?:^|;)\s*(?:commit|end|abort|rollback)\b/i.test(bare) &&
      !/^rollback\s+to\b/i.test(bare);
  }
  const { heads } = found;
  // The body of a function in standard SQL is made of statements, and the function ends with it.
  const ends = /\bbegin\s+atomic\b/i.test(text)
    ? ["commit", "abort"]
    : ["commit", "abort", "end"];
  return heads.some((head) => ends.includes(head)) ||
    (heads.includes("rollback") && !/^rollback\s+to\b/i.test(bare));
}

/**
 * The statement on one line, with `?` for every string and number: literals may be other people's data. Meant to be
 * shown, not run; at most 200 characters.
 */
export function withoutLiterals(text: string): string {
  const bare = text
    .replace(
      /("(?:[^"]|"")*")|--[^\n\r]*|\/\*[\s\S]*?(?:\*\/|$)|\$([A-Za-z_]\w*)?\$[\s\S]*?(?:\$\2\$|$)|[eEnNbBxX]?'(?:[^'\\]|''|\\.)*(?:'|$)|(?<![\w$])\d[\w.]*/g,
      (token, identifier) =>
        identifier ?? (/^(?:--|\/\*)/.test(token) ? " " : "?"),
    )
    .replace(/\s+/g, " ")
    .trim();
  return bare.length > 200 ? `${bare.slice(0, 200)}…` : bare;
}

/** What `create index concurrently` creates, and on which table; both as they are written. */
export function concurrentIndex(
  text: string,
): { readonly index: string; readonly table: string } | undefined {
  const name = String.raw`(?:"(?:[^"]|"")+"|[\w$\u0080-\uffff]+)`;
  const pattern = new RegExp(
    String
      .raw`^\s*create\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(${name})\s+on\s+(?:only\s+)?` +
      String.raw`(${name}(?:\s*\.\s*${name})?)`,
    "i",
  );
  const [, index, table] = pattern.exec(withoutLeadingComments(text)) ?? [];
  return index === undefined || table === undefined
    ? undefined
    : { index, table };
}

/** Whether the statement changes settings that would outlive it. */
export function changesSettings(text: string): boolean {
  return /(?:^|;)\s*(?:set|reset|discard)\b|\bset_config\s*\(/i.test(text);
}

function withoutLeadingComments(text: string): string {
  return text.replace(/^(?:\s+|--[^\n\r]*|\/\*[\s\S]*?\*\/)+/, "");
}

/** The end of the comment that begins at `start`, as comments nest; `undefined` when it has none. */
function endOfComment(text: string, start: number): number | undefined {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = start;
  let depth = 0;
  for (let match = mark.exec(text); match !== null; match = mark.exec(text)) {
    depth += match[0] === "/*" ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return undefined;
}

function outline(text: string): Outline | undefined {
  const placeholders: Placeholder[] = [];
  const heads: string[] = [];
  let begins = true;
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    DULL.lastIndex = at;
    TOKEN.lastIndex = !begins && DULL.test(text) ? DULL.lastIndex : at;
    const match = TOKEN.exec(text);
    if (match === null) break;
    const [token, number] = match;
    const start = match.index;
    if (/^\s/.test(token) || token.startsWith("--")) continue;
    if (text.startsWith("/*", start)) {
      const end = endOfComment(text, start);
      if (end === undefined) return undefined;
      TOKEN.lastIndex = end;
      continue;
    }
    if (token === ";") {
      begins = true;
      continue;
    }
    if (begins) heads.push(token.toLowerCase());
    begins = false;
    if (number !== undefined) {
      placeholders.push({
        number: Number(number),
        start,
        end: start + token.length,
      });
    } else if (token.length > 1 && token.startsWith("$")) {
      const close = text.indexOf(token, start + token.length);
      if (close < 0) return undefined;
      TOKEN.lastIndex = close + token.length;
    } else if (token === "'" || token === '"' || token === "\\") {
      return undefined;
    }
  }
  return { single: heads.length === 1, heads, placeholders };
}
