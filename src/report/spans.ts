/**
 * Events → the spans of one run: the run, its transactions, their migrations and, if asked for, the statements of these.
 *
 * @module
 */
import type { CommandName } from "../cli/options.ts";
import { PROGRAM } from "../cli/version.ts";
import { causeOf, DatabaseError, MigrationError } from "../errors.ts";
import type { Outcome } from "../plan/outcome.ts";
import { withoutLiterals } from "../sql/statement.ts";
import { tokensOf } from "../sql/tokens.ts";
import { type HiddenText, type Hide, hideNothing, visible } from "../text.ts";
import { errorType, messageWithoutValues } from "./error_values.ts";
import type { Event, Summary } from "./events.ts";
import {
  type Attributes,
  databaseAttributes,
  OWN,
  type Span,
  summaryAttributes,
} from "./span.ts";

export interface TracerOptions {
  readonly command: CommandName;
  readonly runId: string;
  readonly pid: number;
  /** Whether statements get spans of their own. */
  readonly statements: boolean;
  /** The checksum of a migration. */
  readonly checksumOf: (name: string) => string | undefined;
  readonly hide: Hide;
  /** Milliseconds since 1970, on a clock that never goes back. */
  readonly now: () => number;
  /** A new one each time: 16 hexadecimal digits, not all of them 0. */
  readonly newId: () => string;
}

/** What the run came to. */
export interface RunEnd {
  readonly exitCode: number;
  readonly summary: Summary;
  readonly error?: unknown;
}

/** How many spans are kept; of what comes later only the number is known. */
export const MOST_SPANS = 5_000;

/** How much of a statement is told, in characters. */
const TEXT_LIMIT = 1_000;

/** A span that is not over. */
type Open = Span & { isOpen: boolean };

/** Listens to the events of a run. */
export class Tracer {
  readonly #options: TracerOptions;
  readonly #spans: Open[] = [];
  readonly #run: Open;
  #database: Attributes = {};
  #dropped = 0;
  #transaction: Open | undefined;
  /** The migration whose function was called last. */
  #migration: Open | undefined;
  /** The migrations of the transaction. */
  #inTransaction: Open[] = [];
  /** The last span of each migration and direction. */
  readonly #last = new Map<string, Open>();

  constructor(options: TracerOptions) {
    this.#options = options;
    this.#run = this.#begin(
      hideNothing(`${PROGRAM} ${options.command}`),
      undefined,
      {
        "process.executable.name": hideNothing(PROGRAM),
        "process.pid": options.pid,
        [`${OWN}command`]: hideNothing(options.command),
        [`${OWN}run_id`]: hideNothing(options.runId),
      },
    );
  }

  on(event: Event): void {
    switch (event.event) {
      case "connected":
        this.#database = databaseAttributes(
          event.server,
          this.#options.hide,
        );
        Object.assign(this.#run.attributes, this.#database);
        break;
      case "transaction_begun":
        this.#inTransaction = [];
        this.#transaction = this.#begin(hideNothing("transaction"), this.#run);
        break;
      case "started":
        this.#startMigration(event.direction, event.migration);
        break;
      case "statement":
        if (this.#options.statements) {
          this.#statement(event.sql, event.durationMs);
        }
        break;
      case "transaction_ended":
        this.#endTransaction(event.outcome, event.error);
        break;
      case "applied":
      case "rolled_back":
        this.#settle(
          event.event === "applied" ? "up" : "down",
          event.migration,
          "committed",
          event.durationMs,
        );
        break;
      case "outcome":
        if (event.direction !== undefined) {
          this.#settle(event.direction, event.migration, event.outcome);
        }
        break;
    }
  }

  /** Ends what is still open. @returns all spans, the run's own first */
  end({ exitCode, summary, error }: RunEnd): readonly Span[] {
    this.#endMigration();
    const { attributes } = this.#run;
    Object.assign(attributes, summaryAttributes(summary));
    if (this.#dropped > 0) attributes[`${OWN}dropped_spans`] = this.#dropped;
    attributes["process.exit.code"] = exitCode;
    if (error !== undefined) {
      this.#fail(this.#run, error);
      this.#failMigration(error);
    }
    for (const span of this.#spans) this.#end(span);
    return this.#spans;
  }

  #startMigration(direction: "up" | "down", migration: string): void {
    this.#endMigration();
    const checksum = this.#options.checksumOf(migration);
    const name = this.#text(migration);
    const span = this.#begin(
      this.#text(`${direction} ${migration}`),
      this.#transaction ?? this.#run,
      {
        ...this.#database,
        [`${OWN}migration`]: name,
        [`${OWN}direction`]: hideNothing(direction),
        ...(checksum !== undefined &&
          { [`${OWN}checksum`]: hideNothing(checksum) }),
      },
    );
    this.#migration = span;
    if (this.#transaction !== undefined) this.#inTransaction.push(span);
    this.#last.set(keyOf(direction, migration), span);
  }

  /** A statement that was answered just now. */
  #statement(sql: string, durationMs: number): void {
    const text = queryText(sql);
    // What comes before the program's own commit is the work of the migrations.
    if (this.#transaction !== undefined && text === "commit") {
      this.#endMigration();
    }
    const [first] = tokensOf(sql);
    const summary = first?.kind === "word"
      ? this.#text(first.text.toUpperCase())
      : hideNothing("SQL");
    const endMs = this.#options.now();
    const parent = this.#migration ?? this.#transaction ?? this.#run;
    // It was answered a little earlier, and did not begin before its parent has.
    const startMs = Math.max(parent.startMs, endMs - durationMs);
    this.#begin(
      summary,
      parent,
      {
        ...this.#database,
        "db.query.text": this.#text(text),
        "db.query.summary": summary,
      },
      { kind: "client", startMs, endMs, isOpen: false },
    );
  }

  #endTransaction(outcome: Outcome, error: unknown): void {
    this.#endMigration();
    for (const span of this.#inTransaction) this.#tell(span, outcome);
    const transaction = this.#transaction;
    this.#transaction = undefined;
    if (transaction === undefined) return;
    this.#end(transaction);
    this.#tell(transaction, outcome);
    if (error === undefined) return;
    this.#fail(transaction, error);
    this.#failMigration(error);
  }

  /** @param durationMs as the history has it */
  #settle(
    direction: "up" | "down",
    migration: string,
    outcome: Outcome,
    durationMs?: number,
  ): void {
    const span = this.#last.get(keyOf(direction, migration));
    if (span === undefined) return;
    this.#end(span);
    if (span === this.#migration) this.#migration = undefined;
    this.#tell(span, outcome);
    if (durationMs !== undefined) {
      span.attributes[`${OWN}duration_ms`] = durationMs;
    }
  }

  #failMigration(error: unknown): void {
    const failure = causeOf(error, MigrationError);
    if (failure === undefined) return;
    const { direction, migration } = failure;
    const span = this.#last.get(keyOf(direction, migration));
    if (span === undefined) return;
    this.#fail(span, error);
    const statement = causeOf(error, DatabaseError)?.server.statement;
    if (statement === undefined) return;
    const text = this.#text(queryText(statement));
    const failed = this.#spans.findLast(({ parentId, attributes }) =>
      parentId === span.id && attributes["db.query.text"] === text
    );
    if (failed !== undefined) this.#fail(failed, error);
  }

  #fail(span: Open, error: unknown): void {
    const { hide } = this.#options;
    const code = causeOf(error, DatabaseError)?.server.code;
    span.error = messageWithoutValues(error, hide);
    span.attributes["error.type"] = errorType(error, hide);
    if (code !== undefined) {
      span.attributes["db.response.status_code"] = this.#text(code);
    }
  }

  #tell(span: Open, outcome: Outcome): void {
    span.attributes[`${OWN}outcome`] = hideNothing(outcome);
  }

  #endMigration(): void {
    if (this.#migration !== undefined) this.#end(this.#migration);
    this.#migration = undefined;
  }

  #end(span: Open): void {
    if (!span.isOpen) return;
    span.isOpen = false;
    span.endMs = this.#options.now();
  }

  #begin(
    name: HiddenText,
    parent: Span | undefined,
    attributes: Attributes = { ...this.#database },
    more: Partial<Open> = {},
  ): Open {
    const { now, newId } = this.#options;
    const startMs = now();
    const span: Open = {
      id: newId(),
      ...(parent && { parentId: parent.id }),
      name,
      kind: "internal",
      startMs,
      endMs: startMs,
      attributes,
      isOpen: true,
      ...more,
    };
    if (this.#spans.length < MOST_SPANS) this.#spans.push(span);
    else this.#dropped++;
    return span;
  }

  #text(text: string): HiddenText {
    return this.#options.hide(visible(text));
  }
}

/** A statement without its literals and comments. */
function queryText(sql: string): string {
  return withoutLiterals(sql, undefined, TEXT_LIMIT);
}

function keyOf(direction: "up" | "down", migration: string): string {
  return `${direction} ${migration}`;
}
