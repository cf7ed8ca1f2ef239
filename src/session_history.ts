/**
 * The history table as one session reads and writes it.
 *
 * What was read is kept with its fingerprint: under the lock one number tells whether it is still so.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import { DatabaseError, RefusedError } from "./errors.ts";
import { type HistoryChange, type HistoryRow, rowsAfter } from "./history.ts";
import type { Migration } from "./migration.ts";
import type { TracedRow } from "./outcome.ts";
import type { LockedHistory, Written } from "./ports.ts";
import type { Rows } from "./protocol.ts";
import { quoteValue } from "./quote.ts";
import {
  changeStatements,
  convertStatements,
  createStatements,
  type RunIdentity,
} from "./history_statements.ts";
import {
  columnsQuery,
  fingerprintQuery,
  historyForm,
  historyQuery,
  type HistoryState,
  historyTable,
  type KyselyRow,
  kyselyRowsQuery,
  readFingerprint,
  readHistoryState,
  readKyselyRows,
  readTrace,
  tablePath,
  traceQuery,
} from "./history_table.ts";

export interface SessionHistoryOptions {
  /** The history that came with the log-in, if there is one. */
  readonly history: HistoryState | undefined;
  readonly run: RunIdentity;
  /** Those that the program carries. */
  readonly migrations: readonly Migration[];
  /** Where the table is. @throws {RefusedError} when there is no schema to work in */
  readonly schema: () => string;
}

/** undefined_table, invalid_schema_name, and two ways of saying that a name has too many parts. */
const NO_SUCH_TABLE = ["42P01", "3F000", "0A000", "42601"];

const UNDEFINED_COLUMN = "42703";

/** The history, over one connection. */
export class SessionHistory {
  readonly #connection: Connection;
  readonly #options: SessionHistoryOptions;
  /** The history as it was when last looked; missing when there was none. A transaction that fails puts it back. */
  known: HistoryState | undefined;

  constructor(connection: Connection, options: SessionHistoryOptions) {
    this.#connection = connection;
    this.#options = options;
    this.known = options.history;
  }

  /** The rows of a table in the form of Kysely's migrator. @throws {RefusedError} when it is none */
  async kyselyTable(table: string): Promise<readonly KyselyRow[]> {
    try {
      return readKyselyRows(
        await this.#connection.query(kyselyRowsQuery(tablePath(table))),
      );
    } catch (error) {
      const code = error instanceof DatabaseError ? error.server.code : "";
      const reason = NO_SUCH_TABLE.includes(code)
        ? "there is no such table in this database"
        : code === UNDEFINED_COLUMN
        ? "it is not a migration table of Kysely, which has the columns name and timestamp"
        : undefined;
      if (reason === undefined) throw error;
      throw new RefusedError([`Cannot read ${quoteValue(table)}: ${reason}`]);
    }
  }

  /** What {@link underLock} needs the answers to, in the flight that takes the lock. */
  lockQueries(): { readonly columns: string; readonly fingerprint?: string } {
    return {
      columns: columnsQuery(this.#schema),
      // Each statement of a flight has a snapshot of its own: this one sees what the last holder of the lock committed.
      ...(this.known !== undefined &&
        { fingerprint: fingerprintQuery(this.#schema) }),
    };
  }

  /** The rows under the lock, which are read only when they are not the known ones any more. */
  async underLock(
    columns: Rows,
    fingerprint: Rows | undefined,
  ): Promise<LockedHistory> {
    if (columns.length === 0) return { rows: [], isKnown: false };
    const { known } = this;
    const isKnown = known !== undefined && fingerprint !== undefined &&
      readFingerprint(fingerprint) === known.fingerprint;
    return { rows: isKnown ? known.rows : await this.#read(), isKnown };
  }

  /** What has to be created before the history can be written. @throws {RefusedError} when the table is somebody else's */
  form(columns: Rows): "missing" | "ready" | "kysely" {
    return historyForm(this.#schema, columns);
  }

  /** Creates the table, or puts it in the place of Kysely's, in a transaction that is open. */
  async create(form: "missing" | "kysely"): Promise<void> {
    const schema = this.#schema;
    const { run, migrations } = this.#options;
    if (form === "missing") {
      // Awaited: whoever may not create it is told so before a migration is blamed for it.
      await this.#connection.query(createStatements(schema));
      this.known = { fingerprint: "", rows: [] };
      return;
    }
    const rows = readKyselyRows(
      await this.#connection.query(kyselyRowsQuery(historyTable(schema))),
    );
    const checksums = new Map(
      migrations.map(({ name, checksum }) => [name, checksum]),
    );
    for (const statement of convertStatements(schema, run, rows, checksums)) {
      await this.#connection.query(statement);
    }
  }

  /** The rows that this run has written or rolled back, and those with these ids. */
  async trace(ids: readonly number[]): Promise<readonly TracedRow[]> {
    const columns = await this.#connection.query(columnsQuery(this.#schema));
    // Where it has the form of Kysely's, or is not there, this run has written nothing.
    if (this.form(columns) !== "ready") return [];
    const { runId } = this.#options.run;
    return readTrace(
      await this.#connection.query(traceQuery(this.#schema, runId, ids)),
      runId,
    );
  }

  /** Writes changes; in a transaction they are sent ahead of what is awaited next. */
  async write(
    changes: readonly HistoryChange[],
    scope: "transaction" | "session",
  ): Promise<readonly Written[]> {
    const send = (statement: string) =>
      scope === "transaction"
        ? this.#connection.sendAhead(statement)
        : this.#connection.query(statement);
    const results = changeStatements(this.#schema, this.#options.run, changes)
      .map(send);
    // Under the lock still: what it says is what the next holder finds, if nobody else writes in between.
    const fingerprint = scope === "transaction"
      ? send(fingerprintQuery(this.#schema))
      : undefined;
    const rows = (await Promise.all(results)).flat();
    if (rows.length !== changes.length) {
      throw new RefusedError([
        "Cannot write to the history: a row that was to be changed is gone",
      ]);
    }
    const written = rows.map(({ id, took }) => ({
      id: Number(id),
      durationMs: took === null ? null : Number(took),
    }));
    const after = this.known &&
      rowsAfter(this.known.rows, changes, written.map(({ id }) => id));
    this.known = fingerprint && after && {
      fingerprint: readFingerprint(await fingerprint),
      rows: after,
    };
    return written;
  }

  get #schema(): string {
    return this.#options.schema();
  }

  async #read(): Promise<readonly HistoryRow[]> {
    const rows = await this.#connection.query(
      historyQuery(historyTable(this.#schema)),
    );
    this.known = readHistoryState(rows);
    return this.known.rows;
  }
}
