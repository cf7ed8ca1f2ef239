/**
 * What can be told of a text before it is sent, from its statements: which may be sent ahead, and which may not be sent at
 * all. What the server answers is the proof.
 *
 * @module
 */
import {
  type LexOptions,
  readStatements,
  type SqlStatement,
  statementsOf,
} from "./lexer.ts";
import { type SqlToken, tokensOf } from "./tokens.ts";

/** What a statement does to the open transaction; `prepare_transaction` takes it away from the session. */
export type TransactionEffect =
  | "begin"
  | "commit"
  | "rollback"
  | "rollback_to"
  | "savepoint"
  | "release"
  | "prepare_transaction"
  | "none";

/** What each statement of the text does to the transaction, in order; `undefined` when the text is incomplete. */
export function transactionEffects(
  text: string,
  options?: LexOptions,
): readonly TransactionEffect[] | undefined {
  return statementsOf(text, options)?.map(effectOf);
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
 * alters or drops something, comments, grants or revokes. Neither one that fills what it creates (`create table … as`), nor
 * one that cannot run in a transaction block. A doubt is a no.
 */
export function isDefinition(text: string, options?: LexOptions): boolean {
  const statement = only(text, DEFINES, options);
  if (statement === undefined) return false;
  const words = outermostWords(statement);
  return !NOT_IN_TRANSACTION.has(words[1] ?? "") &&
    !words.includes("concurrently") && !createsFilled(words);
}

/** Whether the words are those of a statement that creates a table, or a materialized view, from a query. */
function createsFilled(words: readonly string[]): boolean {
  const [head, ...kind] = words.slice(0, 4);
  const holdsRows = kind.includes("table") || kind[0] === "materialized";
  return head === "create" && holdsRows && words.includes("as");
}

/**
 * Whether a statement of the text hands data to the client, or takes them from it, in the middle of the conversation. Told
 * also when the text is incomplete, as one that has the data in it may be.
 */
export function copiesThroughClient(
  text: string,
  options?: LexOptions,
): boolean {
  return readStatements(text, options).statements.some((statement) => {
    if (statement.head !== "copy") return false;
    const words = outermostWords(statement);
    const at = words.findIndex((word) => word === "from" || word === "to");
    const place = at < 0 ? undefined : words[at + 1];
    return place === "stdin" || place === "stdout";
  });
}

const MAY_BE_CONCURRENT: ReadonlySet<string> = new Set([
  "create",
  "reindex",
  "drop",
  "alter",
]);

/**
 * Whether the text is one statement that waits for old snapshots while it holds up nobody: it builds, rebuilds or drops an
 * index, or detaches a partition, concurrently.
 */
export function waitsForSnapshots(
  text: string,
  options?: LexOptions,
): boolean {
  const statement = only(text, MAY_BE_CONCURRENT, options);
  if (statement === undefined) return false;
  for (const token of statement.tokens) {
    if (wordOf(token) === "concurrently") return true;
  }
  return false;
}

/** What `create index concurrently` creates, and on which table; both as they are written, without spaces. */
export function concurrentIndex(
  text: string,
  options?: LexOptions,
): { readonly index: string; readonly table: string } | undefined {
  const statement = only(text, new Set(["create"]), options);
  if (statement === undefined) return undefined;
  const tokens = first(20, statement.tokens);
  const skip = (...words: readonly string[]): boolean => {
    const found = words.every((word, at) => wordOf(tokens[at]) === word);
    if (found) tokens.splice(0, words.length);
    return found;
  };
  skip("create");
  skip("unique");
  if (!skip("index", "concurrently")) return undefined;
  skip("if", "not", "exists");
  const index = nameOf(tokens.shift());
  if (!skip("on")) return undefined;
  skip("only");
  const table = [nameOf(tokens.shift())];
  while (tokens[0]?.text === ".") {
    tokens.shift();
    table.push(nameOf(tokens.shift()));
  }
  if (index === undefined || table.includes(undefined)) return undefined;
  return { index, table: table.join(".") };
}

/** How much of a statement is shown unless told otherwise, in characters. */
const SHOWN = 200;

/**
 * The text on one line, with `?` for every string and number: literals may be other people's data. Meant to be shown, not
 * run; at most `limit` characters. Unless it is said how strings are read, it is shown as far as both ways come to the same.
 */
export function withoutLiterals(
  text: string,
  options?: LexOptions,
  limit = SHOWN,
): string {
  const shown = masked(text, options, limit);
  if (options?.conforming !== undefined) return shown;
  const other = masked(text, { conforming: false }, limit);
  if (shown === other) return shown;
  let same = 0;
  while (same < shown.length && shown[same] === other[same]) same++;
  return `${shown.slice(0, same)}…`;
}

function masked(
  text: string,
  options: LexOptions | undefined,
  limit: number,
): string {
  let shown = "";
  let end = 0;
  for (const token of tokensOf(text, options)) {
    if (token.start > end && shown !== "") shown += " ";
    const isLiteral = token.kind === "string" || token.kind === "number";
    const written = text.slice(token.start, token.end);
    shown += isLiteral ? "?" : written.replace(/\s+/g, " ");
    if (shown.length > limit) return `${shown.slice(0, limit)}…`;
    end = token.end;
  }
  return shown;
}

function effectOf(statement: SqlStatement): TransactionEffect {
  switch (statement.head) {
    case "begin":
    case "savepoint":
    case "release":
      return statement.head;
    case "end":
      return "commit";
    case "abort":
      return "rollback";
    case "start":
    case "commit":
    case "prepare":
    case "rollback":
      return effectOfMore(first(3, statement.tokens));
    default:
      return "none";
  }
}

/** The effect of a statement whose first word alone does not tell. */
function effectOfMore(tokens: readonly SqlToken[]): TransactionEffect {
  const [head, second, third] = tokens.map(wordOf);
  // What was prepared is not the open transaction, and none may be open then.
  if (second === "prepared") return "none";
  switch (head) {
    case "start":
      return second === "transaction" ? "begin" : "none";
    case "prepare": {
      // A prepared statement may have that name, too.
      const isNamed = tokens[2]?.kind === "string";
      return second === "transaction" && isNamed
        ? "prepare_transaction"
        : "none";
    }
    case "rollback": {
      const isNoise = second === "work" || second === "transaction";
      return (isNoise ? third : second) === "to" ? "rollback_to" : "rollback";
    }
    default:
      return "commit";
  }
}

/** The one statement of the text, if it begins with one of these words; most texts are told by their first word. */
function only(
  text: string,
  heads: ReadonlySet<string>,
  options?: LexOptions,
): SqlStatement | undefined {
  const [token] = first(1, tokensOf(text, options));
  if (!heads.has(wordOf(token))) return undefined;
  const statements = statementsOf(text, options);
  return statements?.length === 1 ? statements[0] : undefined;
}

/** The words of the statement that are neither in parentheses nor part of a qualified name. */
function outermostWords(statement: SqlStatement): string[] {
  const words: string[] = [];
  let depth = 0;
  let isPart = false;
  for (const token of statement.tokens) {
    if (token.text === "(") depth++;
    else if (token.text === ")") depth--;
    else if (token.kind === "word" && depth === 0 && !isPart) {
      words.push(token.text);
    }
    isPart = token.text === ".";
  }
  return words;
}

function first(count: number, tokens: Iterable<SqlToken>): SqlToken[] {
  const found: SqlToken[] = [];
  for (const token of tokens) {
    found.push(token);
    if (found.length === count) break;
  }
  return found;
}

/** The token if it is a word, else an empty text. */
function wordOf(token: SqlToken | undefined): string {
  return token?.kind === "word" ? token.text : "";
}

/** The token if it is a name without Unicode escapes. */
function nameOf(token: SqlToken | undefined): string | undefined {
  const isName = token?.kind === "word" || token?.text.startsWith('"');
  return isName ? token?.text : undefined;
}

/** Whether the statement changes settings that would outlive it. */
export function changesSettings(text: string): boolean {
  return /(?:^|;)\s*(?:set|reset|discard)\b|\bset_config\s*\(/i.test(text);
}
