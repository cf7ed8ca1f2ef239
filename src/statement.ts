/**
 * What can be told of a statement before it is sent, from its tokens. Used to decide which statements may be sent ahead and
 * which may not be sent at all; the server's answer is the proof.
 *
 * @module
 */
import {
  type LexOptions,
  readStatements,
  type SqlStatement,
  type SqlToken,
  statementsOf,
  tokensOf,
} from "./sql_lexer.ts";

/** What a statement does to the open transaction. `prepare_transaction` ends it, too, for this session. */
export type TransactionEffect =
  | "begin"
  | "commit"
  | "rollback"
  | "rollback_to"
  | "savepoint"
  | "release"
  | "prepare_transaction"
  | "none";

/** What each statement of the text does to the transaction, in order; `undefined` when its end is cut off. */
export function transactionEffects(
  text: string,
  options?: LexOptions,
): readonly TransactionEffect[] | undefined {
  return statementsOf(text, options)?.map(effectOf);
}

/** Whether a statement of the text would end the transaction that it runs in. Here a doubt counts as a yes. */
export function endsTransaction(text: string, options?: LexOptions): boolean {
  return transactionEffects(text, options)?.some((effect) =>
    effect === "commit" || effect === "rollback" ||
    effect === "prepare_transaction"
  ) ?? true;
}

const DEFINES: ReadonlySet<string> = new Set([
  "create",
  "alter",
  "drop",
  "comment",
  "grant",
  "revoke",
]);

/** What cannot be created, altered or dropped in a transaction block, or not always. */
const NOT_IN_TRANSACTION: ReadonlySet<string> = new Set([
  "database",
  "tablespace",
  "subscription",
  "system",
]);

/**
 * Whether the text returns nothing that a migration could use, so that it need not be awaited: one statement that creates,
 * alters or drops something, comments, grants or revokes. Not one that moves rows (`create table … as`) or that cannot run
 * in a transaction block.
 */
export function isDefinition(text: string, options?: LexOptions): boolean {
  const statement = single(text, options);
  if (statement === undefined) return false;
  const [head, object] = words(statement, 2);
  if (head === undefined || !DEFINES.has(head)) return false;
  if (object !== undefined && NOT_IN_TRANSACTION.has(object)) return false;
  if (head === "create" && movesRows(statement)) return false;
  return !outermostWords(statement).includes("concurrently");
}

/** Whether a statement of the text hands data to the client, or takes them from it, in the middle of the conversation. */
export function copiesThroughClient(
  text: string,
  options?: LexOptions,
): boolean {
  for (const statement of readStatements(text, options)) {
    if (words(statement, 1)[0] !== "copy") continue;
    const names = outermostWords(statement);
    const direction = names.findIndex((word) =>
      word === "from" || word === "to"
    );
    const place = names[direction + 1];
    if (direction >= 0 && (place === "stdin" || place === "stdout")) {
      return true;
    }
  }
  return false;
}

/** What `create index concurrently` creates, and on which table; both as they are written, without spaces. */
export function concurrentIndex(
  text: string,
  options?: LexOptions,
): { readonly index: string; readonly table: string } | undefined {
  const statement = single(text, options);
  if (statement === undefined) return undefined;
  const tokens = take(statement.tokens, 20);
  const skip = (...expected: string[]): boolean => {
    const matches = expected.every((word, at) => isWord(tokens[at], word));
    if (matches) tokens.splice(0, expected.length);
    return matches;
  };
  if (!skip("create")) return undefined;
  skip("unique");
  if (!skip("index", "concurrently")) return undefined;
  skip("if", "not", "exists");
  const index = name(tokens.shift());
  if (!skip("on")) return undefined;
  skip("only");
  const table = [name(tokens.shift())];
  while (tokens[0]?.text === "." && tokens[0].kind === "punctuation") {
    tokens.shift();
    table.push(name(tokens.shift()));
  }
  if (index === undefined || table.includes(undefined)) return undefined;
  return { index, table: table.join(".") };
}

/** How much of a statement is shown, in characters. */
const SHOWN = 200;

/**
 * The statement on one line, with `?` for every string and number: literals may be other people's data. Meant to be
 * shown, not run; at most 200 characters. Where it is not said how strings are read, both ways must come to the same.
 */
export function withoutLiterals(text: string, options?: LexOptions): string {
  const shown = masked(text, options);
  if (options?.conforming !== undefined || !text.includes("\\")) return shown;
  const other = masked(text, { conforming: false });
  if (shown === other) return shown;
  let same = 0;
  while (shown[same] === other[same]) same++;
  return `${shown.slice(0, same).trimEnd()}…`;
}

function masked(text: string, options?: LexOptions): string {
  let shown = "";
  let end = 0;
  for (const token of tokensOf(text, options)) {
    const { kind, start } = token;
    if (start > end && shown !== "") shown += " ";
    shown += kind === "string" || kind === "number"
      ? "?"
      : text.slice(start, token.end);
    if (shown.length > SHOWN) return `${shown.slice(0, SHOWN)}…`;
    end = token.end;
  }
  return shown;
}

/** The only statement of the text, if it has one and no more. */
function single(text: string, options?: LexOptions): SqlStatement | undefined {
  const statements = statementsOf(text, options);
  return statements?.length === 1 ? statements[0] : undefined;
}

function effectOf(statement: SqlStatement): TransactionEffect {
  const [head, second, third] = words(statement, 3);
  switch (head) {
    case "begin":
    case "savepoint":
    case "release":
      return head;
    case "start":
      return second === "transaction" ? "begin" : "none";
    case "end":
      return "commit";
    case "abort":
      return "rollback";
    case "commit":
      return second === "prepared" ? "none" : "commit";
    case "prepare":
      return second === "transaction" ? "prepare_transaction" : "none";
    case "rollback": {
      if (second === "prepared") return "none";
      const next = second === "work" || second === "transaction"
        ? third
        : second;
      return next === "to" ? "rollback_to" : "rollback";
    }
    default:
      return "none";
  }
}

/** Whether it creates a table or a materialized view and fills it. */
function movesRows(statement: SqlStatement): boolean {
  const names = outermostWords(statement);
  if (names.includes("materialized")) return true;
  const before = names.slice(0, names.indexOf("as"));
  return names.includes("as") && before.includes("table");
}

/** The first tokens, as far as they are words. */
function words(statement: SqlStatement, count: number): (string | undefined)[] {
  return take(statement.tokens, count).map(({ kind, text }) =>
    kind === "word" ? text : undefined
  );
}

/** The words of the statement that are neither in parentheses nor after a dot. */
function outermostWords(statement: SqlStatement): string[] {
  const found: string[] = [];
  let depth = 0;
  let previous = "";
  for (const { kind, text } of statement.tokens) {
    if (kind === "punctuation" && text === "(") depth++;
    else if (kind === "punctuation" && text === ")") depth--;
    else if (kind === "word" && depth === 0 && previous !== ".") {
      found.push(text);
    }
    previous = text;
  }
  return found;
}

function take<T>(items: Iterable<T>, count: number): T[] {
  const taken: T[] = [];
  for (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

function isWord(token: SqlToken | undefined, word: string): boolean {
  return token?.kind === "word" && token.text === word;
}

/** A name as it is written; not one in Unicode escapes. */
function name(token: SqlToken | undefined): string | undefined {
  if (token?.kind === "word") return token.text;
  return token?.kind === "identifier" && token.text.startsWith('"')
    ? token.text
    : undefined;
}

/** Whether the statement changes settings that would outlive it. */
export function changesSettings(text: string): boolean {
  return /(?:^|;)\s*(?:set|reset|discard)\b|\bset_config\s*\(/i.test(text);
}
