/**
 * Reads a text as PostgreSQL does, as far as needed to tell its statements apart: tokens as its scanner reads them
 * (`src/backend/parser/scan.l`), and of its grammar where a semicolon does not end a statement: in parentheses, and in the
 * body of a routine in standard SQL.
 *
 * Exact for every text that the server accepts; one that it refuses runs no statement at all, because the server reads the
 * whole text before it runs the first.
 *
 * @module
 */

export interface LexOptions {
  /** As the server reports `standard_conforming_strings`. @default {true} */
  readonly conforming?: boolean | undefined;
}

/** A `word` is a key word or a plain identifier, an `identifier` is a quoted one. */
export type TokenKind =
  | "word"
  | "identifier"
  | "string"
  | "number"
  | "parameter"
  | "operator"
  | "punctuation";

export interface SqlToken {
  readonly kind: TokenKind;
  readonly start: number;
  readonly end: number;
  /** As it is written; a word in lower case. */
  readonly text: string;
}

/** One statement of a text, from its first token to its last, without the semicolon. */
export interface SqlStatement {
  readonly start: number;
  readonly end: number;
  /** Read anew, lazily, each time: a statement may be megabytes long. */
  readonly tokens: Iterable<SqlToken>;
}

/**
 * The statements of a text, without the empty ones; `undefined` when it ends in a string, a quoted identifier or a comment,
 * or holds a NUL, which no text of PostgreSQL can.
 */
export function statementsOf(
  text: string,
  options: LexOptions = {},
): readonly SqlStatement[] | undefined {
  const reader = readStatements(text, options);
  const statements: SqlStatement[] = [];
  for (;;) {
    const { done, value } = reader.next();
    if (done) return value ? statements : undefined;
    statements.push(value);
  }
}

/** The statements of a text one by one, also of one that is cut off; returns whether it was complete. */
export function* readStatements(
  text: string,
  options: LexOptions = {},
): Generator<SqlStatement, boolean> {
  const scanner = new Scanner(text, options);
  const nesting = new Nesting();
  let start = -1;
  let end = -1;
  while (scanner.next()) {
    if (nesting.separates(scanner)) {
      if (start >= 0) yield new Statement(text, options, start, end);
      start = -1;
    } else {
      if (start < 0) start = scanner.start;
      end = scanner.end;
    }
  }
  if (start >= 0) yield new Statement(text, options, start, end);
  return scanner.complete;
}

/** The tokens of a text, or of a part of it that begins between two tokens. */
export function* tokensOf(
  text: string,
  options: LexOptions = {},
  start = 0,
  end = text.length,
): Generator<SqlToken, void> {
  const scanner = new Scanner(text, options, start);
  while (scanner.next() && scanner.start < end) {
    const { kind, start, end } = scanner;
    const written = kind === "word" ? scanner.word : text.slice(start, end);
    yield { kind, start, end, text: written };
  }
}

class Statement implements SqlStatement {
  readonly #text: string;
  readonly #options: LexOptions;

  constructor(
    text: string,
    options: LexOptions,
    readonly start: number,
    readonly end: number,
  ) {
    this.#text = text;
    this.#options = options;
  }

  get tokens(): Iterable<SqlToken> {
    return tokensOf(this.#text, this.#options, this.start, this.end);
  }
}

const ROUTINE_HEADS: ReadonlySet<string> = new Set([
  "create function",
  "create procedure",
  "create or replace function",
  "create or replace procedure",
]);

/** Knows which semicolons separate statements. */
class Nesting {
  #parentheses = 0;
  /** How many tokens of the statement were seen. */
  #tokens = 0;
  /** The first words of the statement, while they may become one of {@link ROUTINE_HEADS}. */
  #head = "";
  #isRoutine = false;
  #inBody = false;
  /** Within a body: whether the next token begins a statement, or ends the body. */
  #bodyBegins = false;
  #previous = "";

  /** Whether the token is a semicolon that ends a statement. */
  separates(scanner: Scanner): boolean {
    const { code } = scanner;
    if (code === SEMICOLON && this.#parentheses === 0 && !this.#inBody) {
      this.#tokens = 0;
      this.#head = "";
      this.#isRoutine = false;
      return true;
    }
    if (code === OPEN) this.#parentheses++;
    else if (code === CLOSE && this.#parentheses > 0) this.#parentheses--;
    this.#tokens++;
    if (this.#isRoutine) this.#followRoutine(scanner);
    else if (this.#tokens <= 4) this.#followHead(scanner);
    return false;
  }

  #followHead(scanner: Scanner): void {
    if (scanner.kind !== "word") return;
    if (this.#tokens === 1) {
      this.#head = scanner.word;
    } else if (this.#head.startsWith("create")) {
      this.#head += ` ${scanner.word}`;
      this.#isRoutine = ROUTINE_HEADS.has(this.#head);
    }
  }

  /** Each statement of a body ends with a semicolon, and none begins with `end`; elsewhere the word may be a label. */
  #followRoutine(scanner: Scanner): void {
    if (this.#parentheses > 0) return;
    const word = scanner.kind === "word" ? scanner.word : "";
    if (this.#inBody) {
      if (this.#bodyBegins && word === "end") this.#inBody = false;
      this.#bodyBegins = scanner.code === SEMICOLON;
    } else if (this.#previous === "begin" && word === "atomic") {
      this.#inBody = true;
      this.#bodyBegins = true;
    }
    this.#previous = word;
  }
}

const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DASH = 0x2d;
const SLASH = 0x2f;
const STAR = 0x2a;
const DOLLAR = 0x24;
const DOT = 0x2e;
const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;
const OPEN = 0x28;
const CLOSE = 0x29;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Classes of characters. Every character beyond ASCII is a letter, also those that Unicode calls spaces. */
const SPACE = 1;
const LETTER = 2;
const DIGIT = 4;
const OPERATOR = 8;
const CLASSES = new Uint8Array(128);
for (const char of " \t\n\r\f\v") CLASSES[char.charCodeAt(0)] = SPACE;
for (const char of "~!@#^&|`?+-*/%<>=") {
  CLASSES[char.charCodeAt(0)] = OPERATOR;
}
for (const char of "0123456789") CLASSES[char.charCodeAt(0)] = DIGIT;
for (const char of "abcdefghijklmnopqrstuvwxyz_") {
  CLASSES[char.charCodeAt(0)] = LETTER;
  CLASSES[char.toUpperCase().charCodeAt(0)] = LETTER;
}

/** The class of a character code; 0 for none, and for the end of the text, which is `NaN`. */
function classOf(code: number): number {
  return code < 128 ? CLASSES[code]! : code >= 128 ? LETTER : 0;
}

const DOLLAR_QUOTE = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;

/** How a string is read: `escape` knows backslashes, `bit` does not even know doubled quotes. */
type StringMode = "plain" | "escape" | "bit";

/** Reads tokens one after the other, without making an object of each. */
class Scanner {
  kind: TokenKind = "punctuation";
  start: number;
  end: number;
  /** The code of the token if it is punctuation, else 0. */
  code = 0;
  complete = true;
  readonly #text: string;
  readonly #plain: StringMode;

  constructor(text: string, { conforming = true }: LexOptions, start = 0) {
    this.#text = text;
    this.#plain = conforming ? "plain" : "escape";
    this.start = start;
    this.end = start;
  }

  /** The token as a word. Key words are told by their ASCII letters only. */
  get word(): string {
    return this.#text.slice(this.start, this.end).replace(
      /[A-Z]+/g,
      (letters) => letters.toLowerCase(),
    );
  }

  /** Reads the next token; `false` at the end of the text. */
  next(): boolean {
    this.start = this.#skipBlanks(this.end);
    this.code = 0;
    if (this.start >= this.#text.length) {
      this.end = this.start;
      return false;
    }
    const { start } = this;
    const code = this.#text.charCodeAt(start);
    this.end = this.#read(code, start);
    return true;
  }

  #read(code: number, start: number): number {
    switch (classOf(code)) {
      case LETTER:
        return this.#readWord(code, start);
      case DIGIT:
        return this.#readNumber(start);
      case OPERATOR:
        return this.#readOperator(start);
    }
    const next = this.#text.charCodeAt(start + 1);
    if (code === QUOTE) return this.#readString(start, this.#plain);
    if (code === DOUBLE_QUOTE) return this.#readIdentifier(start);
    if (code === DOLLAR) return this.#readDollar(start);
    if (code === DOT && classOf(next) === DIGIT) return this.#readNumber(start);
    if (code === 0) this.complete = false;
    this.kind = "punctuation";
    this.code = code;
    return start + 1;
  }

  #readWord(code: number, start: number): number {
    const next = this.#text.charCodeAt(start + 1);
    const letter = code | 0x20;
    if (next === QUOTE) {
      if (letter === 0x65 /* e */) return this.#readString(start + 1, "escape");
      if (letter === 0x62 /* b */ || letter === 0x78 /* x */) {
        return this.#readString(start + 1, "bit");
      }
    } else if (next === AMPERSAND && letter === 0x75 /* u */) {
      const third = this.#text.charCodeAt(start + 2);
      if (third === QUOTE) return this.#readString(start + 2, "plain");
      if (third === DOUBLE_QUOTE) return this.#readIdentifier(start + 2);
    }
    this.kind = "word";
    return this.#endOfWord(start + 1);
  }

  #endOfWord(at: number): number {
    for (;; at++) {
      const code = this.#text.charCodeAt(at);
      if (!(classOf(code) & (LETTER | DIGIT)) && code !== DOLLAR) return at;
    }
  }

  #readNumber(start: number): number {
    this.kind = "number";
    for (let at = start + 1;; at++) {
      const code = this.#text.charCodeAt(at);
      if (classOf(code) & (LETTER | DIGIT)) continue;
      const previous = this.#text.charCodeAt(at - 1) | 0x20;
      const next = this.#text.charCodeAt(at + 1);
      if (code === DOT && next !== DOT) continue;
      const isExponent = previous === 0x65 /* e */ && classOf(next) === DIGIT;
      if (isExponent && (code === DASH || code === 0x2b /* + */)) continue;
      return at;
    }
  }

  /** An operator ends where a comment begins in it. */
  #readOperator(start: number): number {
    this.kind = "operator";
    for (let at = start + 1;; at++) {
      const code = this.#text.charCodeAt(at);
      if (classOf(code) !== OPERATOR || this.#beginsComment(code, at)) {
        return at;
      }
    }
  }

  /** A string goes on after a line break. */
  #readString(quote: number, mode: StringMode): number {
    this.kind = "string";
    for (let at = quote + 1;;) {
      at = mode === "escape"
        ? this.#findUnescapedQuote(at)
        : this.#text.indexOf("'", at);
      if (at < 0) return this.#cutOff();
      if (mode !== "bit" && this.#text.charCodeAt(at + 1) === QUOTE) {
        at += 2;
        continue;
      }
      const further = this.#furtherQuote(at + 1);
      if (further < 0) return at + 1;
      at = further + 1;
    }
  }

  #findUnescapedQuote(at: number): number {
    for (; at < this.#text.length; at++) {
      const code = this.#text.charCodeAt(at);
      if (code === QUOTE) return at;
      if (code === BACKSLASH) at++;
    }
    return -1;
  }

  /** Where the string that seems to end goes on: at a quote with a line break before it, and comments at most. */
  #furtherQuote(at: number): number {
    for (let newLine = false;;) {
      const code = this.#text.charCodeAt(at);
      if (classOf(code) === SPACE) {
        newLine ||= code === LINE_FEED || code === CARRIAGE_RETURN;
        at++;
      } else if (code === DASH && this.#text.charCodeAt(at + 1) === DASH) {
        at = this.#endOfLine(at);
      } else {
        return code === QUOTE && newLine ? at : -1;
      }
    }
  }

  #readIdentifier(quote: number): number {
    this.kind = "identifier";
    for (let at = quote + 1;; at += 2) {
      at = this.#text.indexOf('"', at);
      if (at < 0) return this.#cutOff();
      if (this.#text.charCodeAt(at + 1) !== DOUBLE_QUOTE) return at + 1;
    }
  }

  #readDollar(start: number): number {
    DOLLAR_QUOTE.lastIndex = start;
    const tag = DOLLAR_QUOTE.exec(this.#text)?.[0];
    if (tag !== undefined) {
      this.kind = "string";
      const close = this.#text.indexOf(tag, start + tag.length);
      return close < 0 ? this.#cutOff() : close + tag.length;
    }
    let end = start + 1;
    while (classOf(this.#text.charCodeAt(end)) === DIGIT) end++;
    this.kind = end > start + 1 ? "parameter" : "punctuation";
    return end;
  }

  #skipBlanks(at: number): number {
    for (;;) {
      const code = this.#text.charCodeAt(at);
      if (classOf(code) === SPACE) at++;
      else if (!this.#beginsComment(code, at)) return at;
      else if (code === DASH) at = this.#endOfLine(at);
      else at = this.#endOfComment(at);
    }
  }

  #beginsComment(code: number, at: number): boolean {
    return code === DASH && this.#text.charCodeAt(at + 1) === DASH ||
      code === SLASH && this.#text.charCodeAt(at + 1) === STAR;
  }

  #endOfLine(at: number): number {
    for (; at < this.#text.length; at++) {
      const code = this.#text.charCodeAt(at);
      if (code === LINE_FEED || code === CARRIAGE_RETURN) break;
    }
    return at;
  }

  /** Comments nest. */
  #endOfComment(at: number): number {
    const mark = /\/\*|\*\//g;
    mark.lastIndex = at;
    let depth = 0;
    for (;;) {
      const match = mark.exec(this.#text);
      if (match === null) return this.#cutOff();
      depth += match[0] === "/*" ? 1 : -1;
      if (depth === 0) return mark.lastIndex;
    }
  }

  #cutOff(): number {
    this.complete = false;
    return this.#text.length;
  }
}
