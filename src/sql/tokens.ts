/**
 * Reads the tokens of a text as PostgreSQL's scanner does (`src/backend/parser/scan.l`).
 *
 * Where the versions differ (what belongs to a number, whether a vertical tab is a space) the older ones refuse the text.
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
  /** As it is written; a word of ASCII, as all key words are, in lower case. */
  readonly text: string;
}

/** The tokens of a text, or of a part of it that begins between two tokens. What is cut off is a token, too. */
export function* tokensOf(
  text: string,
  options: LexOptions = {},
  part: { readonly start: number; readonly end: number } = {
    start: 0,
    end: text.length,
  },
): Generator<SqlToken, void> {
  const scanner = new Scanner(text, options, part.start);
  while (scanner.next() && scanner.start < part.end) {
    const { kind, start, end, text } = scanner;
    yield { kind, start, end, text };
  }
}

/** The kinds of tokens that their first character tells, by its code. Every character beyond ASCII is a letter. */
const KINDS: readonly (TokenKind | undefined)[] = Array.from(
  { length: 128 },
  (_, code) => {
    const character = String.fromCharCode(code);
    if (/[A-Za-z_]/.test(character)) return "word";
    if (/[0-9]/.test(character)) return "number";
    return "~!@#^&|`?+-*/%<>=".includes(character) ? "operator" : undefined;
  },
);

/** All that PostgreSQL takes for white space, and nothing else that Unicode does. */
const SPACES = " \t\n\r\f\v";
const BLANK = /[ \t\n\r\f\v]+|--[^\n\r]*/y;
const COMMENT = /\/\*/y;
const COMMENT_MARK = /\/\*|\*\//g;
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const NUMBER =
  /(?:0[A-Za-z]\w*|(?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)[\w\u0080-\uffff]*/y;
const PARAMETER = /\$\d+/y;
/** It ends where a comment begins in it, and is no longer than a name. */
const OPERATOR = /(?:(?!--|\/\*)[~!@#^&|`?+*\/%<>=-]){1,63}/y;
const PREFIXED_QUOTE = /[eEbBxX]'|[uU]&['"]/y;
const DOLLAR_QUOTE = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
const QUOTE_OR_BACKSLASH = /['\\]/g;

/** Words, numbers, spaces, parentheses and operators, as many as fit on the stack of the engine. */
const DULL =
  /(?:[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*(?![\w$\u0080-\uffff'])|[^\0'"$;\/A-Za-z_\u0080-\uffff-]+|-(?!-)|\/(?!\*)){1,1000}/y;

/** How a string is read: `escape` knows backslashes, `bit` does not even know doubled quotes. */
type StringMode = "plain" | "escape" | "bit";

/** Reads one token after the other. */
export class Scanner {
  /** What the current token is, and where; at the end of the text it is empty. */
  kind: TokenKind = "punctuation";
  start: number;
  end: number;
  /** Whether nothing is cut off so far, and no NUL was met. */
  complete = true;
  readonly #text: string;
  readonly #plain: StringMode;

  constructor(text: string, { conforming = true }: LexOptions, start = 0) {
    this.#text = text;
    this.#plain = conforming ? "plain" : "escape";
    this.start = start;
    this.end = start;
  }

  /** The current token as {@link SqlToken} has it. */
  get text(): string {
    const written = this.#text.slice(this.start, this.end);
    return this.kind === "word" && !/[\u0080-\uffff]/.test(written)
      ? written.toLowerCase()
      : written;
  }

  /** The current token if it is a word, else an empty text. */
  get word(): string {
    return this.kind === "word" ? this.text : "";
  }

  /** Whether the current token is this punctuation. */
  isAt(character: string): boolean {
    return this.#text[this.start] === character;
  }

  /** Reads the next token; `false` at the end of the text. */
  next(): boolean {
    this.start = this.#skipBlanks(this.end);
    const isThere = this.start < this.#text.length;
    this.end = isThere ? this.#read(this.start) : this.start;
    return isThere;
  }

  /**
   * Skips what follows the current token as far as it is neither quoted nor a semicolon, which saves most of the time.
   * Returns where its last token ends.
   */
  skipDull(): number {
    for (let end = this.end; end >= 0; end = this.#match(DULL, end)) {
      this.end = end;
    }
    let { end } = this;
    while (end > this.start && SPACES.includes(this.#text[end - 1]!)) end--;
    return end;
  }

  #read(start: number): number {
    const code = this.#text.charCodeAt(start);
    this.kind = (code < 128 ? KINDS[code] : "word") ?? "punctuation";
    switch (this.kind) {
      case "word":
        return this.#readWord(start);
      case "number":
        return this.#match(NUMBER, start);
      case "operator":
        return this.#match(OPERATOR, start);
    }
    switch (this.#text[start]) {
      case "'":
        return this.#readString(start + 1, this.#plain);
      case '"':
        return this.#readIdentifier(start + 1);
      case "$":
        return this.#readDollar(start);
      case "\0":
        this.complete = false;
        return start + 1;
    }
    const number = this.#match(NUMBER, start);
    if (number >= 0) this.kind = "number";
    return Math.max(number, start + 1);
  }

  #readWord(start: number): number {
    const quoted = this.#match(PREFIXED_QUOTE, start);
    if (quoted < 0) return this.#match(WORD, start);
    if (this.#text[quoted - 1] === '"') return this.#readIdentifier(quoted);
    const prefix = this.#text[start]!.toLowerCase();
    const mode = prefix === "e" ? "escape" : prefix === "u" ? "plain" : "bit";
    return this.#readString(quoted, mode);
  }

  #readDollar(start: number): number {
    const opened = this.#match(DOLLAR_QUOTE, start);
    if (opened >= 0) {
      this.kind = "string";
      const tag = this.#text.slice(start, opened);
      const close = this.#text.indexOf(tag, opened);
      return close < 0 ? this.#cutOff() : close + tag.length;
    }
    const parameter = this.#match(PARAMETER, start);
    if (parameter >= 0) this.kind = "parameter";
    return Math.max(parameter, start + 1);
  }

  #readIdentifier(at: number): number {
    this.kind = "identifier";
    for (;;) {
      at = this.#text.indexOf('"', at) + 1;
      if (at === 0) return this.#cutOff();
      if (this.#text[at] !== '"') return at;
      at++;
    }
  }

  /** A string goes on after a line break, read as it began. */
  #readString(at: number, mode: StringMode): number {
    this.kind = "string";
    for (;;) {
      at = mode === "escape"
        ? this.#unescapedQuote(at)
        : this.#text.indexOf("'", at);
      if (at < 0) return this.#cutOff();
      at++;
      if (mode !== "bit" && this.#text[at] === "'") {
        at++;
        continue;
      }
      const further = this.#furtherQuote(at);
      if (further < 0) return at;
      at = further + 1;
    }
  }

  #unescapedQuote(at: number): number {
    QUOTE_OR_BACKSLASH.lastIndex = at;
    while (QUOTE_OR_BACKSLASH.test(this.#text)) {
      const found = QUOTE_OR_BACKSLASH.lastIndex - 1;
      if (this.#text[found] === "'") return found;
      QUOTE_OR_BACKSLASH.lastIndex = found + 2;
    }
    return -1;
  }

  /** Where a string that ends at `at` goes on: at a quote, with a line break before it, and else blanks only. */
  #furtherQuote(at: number): number {
    for (let hasLineBreak = false;;) {
      const blank = this.#match(BLANK, at);
      if (blank < 0) return hasLineBreak && this.#text[at] === "'" ? at : -1;
      hasLineBreak ||= /[\n\r]/.test(this.#text.slice(at, blank));
      at = blank;
    }
  }

  #skipBlanks(at: number): number {
    for (;;) {
      const blank = this.#match(BLANK, at);
      if (blank >= 0) at = blank;
      else if (this.#match(COMMENT, at) < 0) return at;
      else at = this.#endOfComment(at);
    }
  }

  /** Comments nest. */
  #endOfComment(at: number): number {
    COMMENT_MARK.lastIndex = at;
    for (let depth = 0; COMMENT_MARK.test(this.#text);) {
      const { lastIndex } = COMMENT_MARK;
      depth += this.#text[lastIndex - 1] === "*" ? 1 : -1;
      if (depth === 0) return lastIndex;
    }
    return this.#cutOff();
  }

  #cutOff(): number {
    this.complete = false;
    return this.#text.length;
  }

  /** Where the pattern, a sticky one, ends when it matches at `at`, else -1. */
  #match(pattern: RegExp, at: number): number {
    pattern.lastIndex = at;
    return pattern.test(this.#text) ? pattern.lastIndex : -1;
  }
}
