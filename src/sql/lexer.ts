/**
 * Tells the statements of a text apart as PostgreSQL does: tokens as its scanner reads them, and of its grammar (`gram.y`)
 * where a semicolon does not end a statement.
 *
 * Right for every text that the server accepts. One that it refuses runs no statement at all: the server reads the whole
 * text before it runs the first.
 *
 * @module
 */
import { type LexOptions, Scanner, type SqlToken, tokensOf } from "./tokens.ts";

export type { LexOptions } from "./tokens.ts";

/** One statement of a text, from its first token to its last, without the semicolon. */
export interface SqlStatement {
  readonly start: number;
  readonly end: number;
  /** Its first word, in lower case; empty when it begins with another token. */
  readonly head: string;
  /** Read anew each time, one by one: a statement may be megabytes long. */
  readonly tokens: Iterable<SqlToken>;
}

/**
 * The statements of a text, without the empty ones. It is incomplete when it ends in a string, a quoted identifier or a
 * comment, or holds a NUL, which no text of PostgreSQL can; then the last statements are a guess.
 */
export function readStatements(
  text: string,
  options: LexOptions = {},
): {
  readonly statements: readonly SqlStatement[];
  readonly complete: boolean;
} {
  const scanner = new Scanner(text, options);
  const statements: SqlStatement[] = [];
  while (scanner.next()) {
    if (scanner.isAt(";")) continue;
    const { start, word: head } = scanner;
    const end = endOfStatement(scanner);
    statements.push(new Statement(text, options, { start, end, head }));
  }
  return { statements, complete: scanner.complete };
}

/** The statements of a text, without the empty ones; `undefined` when it is incomplete: a doubt. */
export function statementsOf(
  text: string,
  options?: LexOptions,
): readonly SqlStatement[] | undefined {
  const { statements, complete } = readStatements(text, options);
  return complete ? statements : undefined;
}

class Statement implements SqlStatement {
  readonly start: number;
  readonly end: number;
  readonly head: string;
  readonly #text: string;
  readonly #options: LexOptions;

  constructor(
    text: string,
    options: LexOptions,
    { start, end, head }: Omit<SqlStatement, "tokens">,
  ) {
    this.start = start;
    this.end = end;
    this.head = head;
    this.#text = text;
    this.#options = options;
  }

  get tokens(): Iterable<SqlToken> {
    return tokensOf(this.#text, this.#options, this);
  }
}

/** Reads on from the first token of a statement to what separates it from the next; returns where its last token ends. */
function endOfStatement(scanner: Scanner): number {
  const nesting = new Nesting();
  let end: number;
  do {
    nesting.follow(scanner);
    end = nesting.isPossible ? scanner.end : scanner.skipDull();
  } while (scanner.next() && !(scanner.isAt(";") && nesting.isOutermost));
  return end;
}

/** What a statement is as far as its semicolons are concerned; `open` as long as its first words do not tell. */
type Form = "open" | "rule" | "routine" | "plain";

const FORMS: ReadonlyMap<string, Form> = new Map([
  ["create", "open"],
  ["create or", "open"],
  ["create or replace", "open"],
  ["create rule", "rule"],
  ["create or replace rule", "rule"],
  ["create function", "routine"],
  ["create or replace function", "routine"],
  ["create procedure", "routine"],
  ["create or replace procedure", "routine"],
]);

/**
 * Knows which semicolons are part of a statement: the actions of a rule may be several, in parentheses, and the body of a
 * routine in standard SQL, `begin atomic … end`, is made of statements.
 */
class Nesting {
  #head = "";
  #form: Form = "open";
  #parentheses = 0;
  #inBody = false;
  #previous = "";

  /** Whether a semicolon could be part of the statement. */
  get isPossible(): boolean {
    return this.#form !== "plain";
  }

  /** Whether a semicolon here would end the statement. */
  get isOutermost(): boolean {
    return this.#parentheses <= 0 && !this.#inBody;
  }

  /** A token of the statement is read. */
  follow(scanner: Scanner): void {
    if (this.#form === "plain") return;
    const { word } = scanner;
    if (this.#form === "open") {
      this.#head += this.#head === "" ? word : ` ${word}`;
      this.#form = FORMS.get(this.#head) ?? "plain";
      return;
    }
    if (scanner.isAt("(")) this.#parentheses++;
    else if (scanner.isAt(")")) this.#parentheses--;
    else if (this.#form === "routine") this.#followBody(word);
    this.#previous = scanner.isAt(";") ? ";" : word;
  }

  /** Every statement of a body ends with a semicolon, and none begins with `end`; elsewhere that closes a `case`, or is a label. */
  #followBody(word: string): void {
    if (this.#inBody) {
      const begins = this.#previous === ";" || this.#previous === "atomic";
      if (word === "end" && begins) this.#inBody = false;
    } else if (this.#parentheses <= 0) {
      this.#inBody = this.#previous === "begin" && word === "atomic";
    }
  }
}
