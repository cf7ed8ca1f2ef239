/**
 * The history as one session reads and writes it, in its place.
 *
 * The place is determined again under the lock, by the server, which goes no further when it is another one than was thought:
 * a migration, or another migrator, may have created a schema meanwhile.
 *
 * @module
 */
import type { Connection } from "../connection/connection.ts";
import { RefusedError } from "../../errors.ts";
import type { ServerInfo } from "../../report/events.ts";
import {
  type HistoryChange,
  type HistoryRow,
  rowsAfter,
} from "../../plan/history.ts";
import { historyName, noSchemaError, type Place } from "./place.ts";
import { KyselyTables } from "./kysely_table.ts";
import type { Migration } from "../../plan/migration.ts";
import type { TracedRow } from "../../plan/outcome.ts";
import type { LockedHistory, Written } from "../../engine/ports.ts";
import type { Row, Rows } from "../wire/protocol.ts";
import { createStatements } from "./creation.ts";
import { changeStatements, type RunIdentity } from "./changes.ts";
import { conversion } from "./conversion.ts";
import {
  changesQuery,
  historyQuery,
  type HistoryState,
  type KyselyRow,
  readChanges,
  readHistory,
  readTrace,
  traceQuery,
} from "./rows.ts";
import { placeAfter, placeCheck, type PlaceOptions } from "./place_check.ts";
import { pathQuery } from "./place_query.ts";
import {
  grantStatements,
  type MissingRights,
  NOTHING_MISSING,
} from "./status_grant.ts";
import { historyError } from "./written.ts";

export interface SessionHistoryOptions extends PlaceOptions {
  /** Where the history was at the log-in. */
  readonly place: Place;
  /** What it said then; missing when there was none. */
  readonly history: HistoryState | undefined;
  /** The role of `--grant-status`, and what it lacked then. */
  readonly statusRole: string | undefined;
  readonly missingRights: MissingRights | undefined;
  readonly server: ServerInfo;
  readonly run: RunIdentity;
  /** Those that the program carries. */
  readonly migrations: readonly Migration[];
}

/** What is known of the history. A transaction that fails puts back what was known before it. */
export interface KnownHistory {
  readonly place: Place;
  /** `undefined` when the rows have to be read, or there is no history. */
  readonly state: HistoryState | undefined;
  /** What the role of `--grant-status` lacks; `undefined` without one. */
  readonly missingRights: MissingRights | undefined;
}

/** How often the history may turn out to be in another place. */
const MOST_ATTEMPTS = 5;

/** The history, over one connection. */
export class SessionHistory {
  readonly #connection: Connection;
  readonly #options: SessionHistoryOptions;
  known: KnownHistory;
  readonly #kyselyTables: KyselyTables;
  /** The migrations of the rows that were written here. */
  readonly #names = new Map<number, string>();

  constructor(connection: Connection, options: SessionHistoryOptions) {
    this.#connection = connection;
    this.#options = options;
    const { place, history: state, missingRights } = options;
    this.known = { place, state, missingRights };
    this.#kyselyTables = new KyselyTables(
      connection,
      options.server.user,
      options.trustedOwner,
    );
  }

  /** The schema of the history. @throws {RefusedError} when there is none to work in */
  get schema(): string {
    const { schema } = this.known.place;
    if (schema !== null) return schema;
    const { chosenSchema, server } = this.#options;
    throw noSchemaError(chosenSchema, server.user);
  }

  /**
   * The names that the lock is taken for: the schema of the history, and where the search path has led to none, that of all
   * who are about to make one. Two of them whose paths differ must not each make their own.
   */
  get lockNames(): readonly string[] {
    const makesOne = this.known.place.form === "missing" &&
      this.#options.chosenSchema === undefined;
    return makesOne ? [this.schema, ""] : [this.schema];
  }

  /** What {@link underLock} needs the answers to, in the flight that takes the lock. */
  lockQueries(): readonly string[] {
    const { place, state } = this.known;
    const { form } = place;
    const { schema } = this;
    return [
      placeCheck(place, this.#options),
      ...(form === "missing"
        ? []
        // Each statement of a flight has a snapshot of its own: this one sees what the last holder of the lock committed.
        : [
          form === "own" && state !== undefined
            ? changesQuery(schema, state.horizon)
            : historyQuery(schema, form),
        ]),
    ];
  }

  /** The history under the lock, from the answers to {@link lockQueries}. */
  async underLock([check, answer]: readonly Rows[]): Promise<LockedHistory> {
    const { place, state } = this.known;
    if (place.form === "missing") return { rows: [], isKnown: false };
    const horizon = String(check![0]!.horizon);
    const read = (
      rows: readonly HistoryRow[],
      isKnown: boolean,
      past: readonly number[] = [],
    ) => {
      this.known = { ...this.known, state: { rows, past, horizon } };
      return { rows, isKnown };
    };
    if (place.form === "kysely" || state === undefined) {
      return read(readHistory(place.form, answer!), false);
    }
    const changes = readChanges(answer!, state);
    if (changes !== undefined) {
      return read(changes.rows, changes.same, changes.past);
    }
    const rows = await this.#connection.query(
      historyQuery(place.schema!, place.form),
    );
    return read(readHistory(place.form, rows), false);
  }

  /**
   * Runs `work`, and again when the server has refused it because the history is not where it was thought to be.
   *
   * @throws {RefusedError} when it cannot be used where it is
   */
  async inPlace<T>(work: () => Promise<T>): Promise<T> {
    for (let attempts = 1;; attempts++) {
      try {
        return await work();
      } catch (error) {
        const { user } = this.#options.server;
        const place = placeAfter(error, this.known.place, user);
        if (place === undefined) throw error;
        const { place: before, missingRights } = this.known;
        this.known = {
          place,
          state: undefined,
          missingRights: missingRights && {
            usage: missingRights.usage || place.schema !== before.schema,
            select: place.form !== "missing",
            beside: [],
          },
        };
        if (attempts < MOST_ATTEMPTS) continue;
        throw new RefusedError([
          "Cannot find the history: its place changes again and again; start again when nobody creates or renames schemas",
        ]);
      }
    }
  }

  /** Creates the table, or puts it in the place of Kysely's, in a transaction that is open. */
  async prepare(): Promise<void> {
    const { place, missingRights } = this.known;
    if (place.form === "own") return;
    const schema = place.schema!;
    const statements = place.form === "missing"
      ? [createStatements(schema)]
      : await conversion(this.#connection, schema, {
        ...this.#options,
        planned: this.known.state!.rows,
      });
    // Awaited: whoever may not create it is told so before a migration is blamed for it.
    const answers = await this.#connection.query(
      [
        ...statements,
        ...this.#grants(missingRights && { ...missingRights, select: true }),
        `select p.facts from ${pathQuery(this.#options.chosenSchema)} p`,
      ].join("; "),
    );
    const { facts } = answers.flat().at(-1) as Row;
    // Whatever is in it has been written by this transaction.
    const state = { rows: [], past: [], horizon: "0" };
    this.known = {
      place: { schema, form: "own", facts: String(facts) },
      state: place.form === "missing" ? state : undefined,
      missingRights: missingRights && NOTHING_MISSING,
    };
  }

  /** Whether {@link grantStatus} has something to do. */
  get lacksGrant(): boolean {
    return this.#grants(this.known.missingRights).length > 0;
  }

  /** Gives the role of `--grant-status` what it lacks to read the history that is there. */
  async grantStatus(): Promise<void> {
    const statements = this.#grants(this.known.missingRights);
    if (statements.length === 0) return;
    await this.#connection.query(statements.join("; "));
    this.known = { ...this.known, missingRights: NOTHING_MISSING };
  }

  #grants(missing: MissingRights | undefined): readonly string[] {
    const { schema } = this.known.place;
    return grantStatements(schema, this.#options.statusRole, missing);
  }

  /** The rows that this run has written or rolled back, and those with these ids. */
  async trace(ids: readonly number[]): Promise<readonly TracedRow[]> {
    // Where it has the form of Kysely's, or is not there, this run has written nothing.
    if (this.known.place.form !== "own") return [];
    const query = traceQuery(this.schema, this.#options.run.runId, ids);
    return readTrace(await this.#connection.query(query));
  }

  /** Writes changes; in a transaction they are sent ahead of what is awaited next. */
  async write(
    changes: readonly HistoryChange[],
    scope: "transaction" | "session",
  ): Promise<readonly Written[]> {
    const { place, state } = this.known;
    if (place.form !== "own") {
      throw new RefusedError([
        `Cannot write to ${
          historyName(this.schema)
        }: it is not there yet, and another session has the lock under which it would be made`,
      ]);
    }
    const send = (statement: string) =>
      scope === "transaction"
        ? this.#connection.sendAhead(statement)
        : this.#connection.query(statement);
    let names: Map<number, string> | undefined;
    const statements = changeStatements(
      place.schema!,
      this.#options.run,
      changes,
      (id) =>
        this.#names.get(id) ??
          (names ??= new Map(state?.rows.map(({ id, name }) => [id, name])))
            .get(id),
    );
    this.known = { ...this.known, state: undefined };
    const rows = (await Promise.all(statements.map(send))).flat();
    const result = rows.map(({ id, took }) => ({
      id: Number(id),
      durationMs: took === null ? null : Number(took),
    }));
    for (const [i, change] of changes.entries()) {
      if (change.kind === "insert") this.#names.set(result[i]!.id, change.name);
    }
    const after = state &&
      rowsAfter(state.rows, changes, result.map(({ id }) => id));
    this.known = {
      ...this.known,
      state: after && { ...state, rows: after },
    };
    return result;
  }

  /** An error of a write, or of a flight under the lock, in our words. */
  explained(error: unknown): unknown {
    const { schema } = this.known.place;
    return schema === null ? error : historyError(error, schema);
  }

  /** See {@link KyselyTables.read}. */
  kyselyTable(table: string): Promise<readonly KyselyRow[]> {
    return this.#kyselyTables.read(table);
  }
}
