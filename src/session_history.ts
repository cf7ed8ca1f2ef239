/**
 * The history as one session reads and writes it, in its place.
 *
 * The place is determined again under the lock, by the server, which goes no further when it is another one than was thought:
 * a migration, or another migrator, may have created a schema meanwhile.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import { RefusedError } from "./errors.ts";
import type { ServerInfo } from "./events.ts";
import { type HistoryChange, type HistoryRow, rowsAfter } from "./history.ts";
import {
  assertTrusted,
  historyName,
  type Place,
  type PlaceFacts,
  placeOf,
  unfit,
} from "./history_place.ts";
import type { Migration } from "./migration.ts";
import type { LockedHistory, Written } from "./ports.ts";
import type { Rows } from "./protocol.ts";
import { quote, quoteValue } from "./quote.ts";
import {
  changeStatements,
  convertStatements,
  createStatements,
  type Grant,
  grantsQuery,
  type RunIdentity,
} from "./history_statements.ts";
import {
  changesQuery,
  historyQuery,
  type HistoryState,
  HORIZON,
  type KyselyRow,
  kyselyRowsQuery,
  readChanges,
  readHistory,
  readKyselyRows,
} from "./history_table.ts";
import { placeQuery } from "./place_query.ts";
import { refusal, refusedText } from "./server_refusal.ts";
import { quoteIdentifier, quoteLiteral } from "./sql_quote.ts";
import { historyError } from "./written.ts";

export interface SessionHistoryOptions {
  /** Where the history was at the log-in. */
  readonly place: Place;
  /** What it said then; missing when there was none. */
  readonly history: HistoryState | undefined;
  /** The schema that was chosen; the search path decides when missing. */
  readonly chosenSchema: string | undefined;
  /** The role that is trusted by `--trust-history-owner`. */
  readonly trustedOwner: string | undefined;
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
}

/** The kind of refusal with which the server says where the history is. */
const KIND = "place";

/** How often the history may turn out to be in another place. */
const MOST_ATTEMPTS = 5;

const EQ = "operator(pg_catalog.=)";

/** The history, over one connection. */
export class SessionHistory {
  readonly #connection: Connection;
  readonly #options: SessionHistoryOptions;
  known: KnownHistory;
  /** Kysely's tables by the names that they were asked for with: where they are. */
  readonly #kyselyTables = new Map<string, string>();
  /** The migrations of the rows that were written here. */
  readonly #names = new Map<number, string>();

  constructor(connection: Connection, options: SessionHistoryOptions) {
    this.#connection = connection;
    this.#options = options;
    this.known = { place: options.place, state: options.history };
  }

  /** The schema of the history. @throws {RefusedError} when there is none to work in */
  get schema(): string {
    const { schema } = this.known.place;
    if (schema !== null) return schema;
    const { chosenSchema, server } = this.#options;
    const role = quoteIdentifier(server.user);
    throw new RefusedError([
      chosenSchema === undefined
        ? "Cannot find a schema to work in: the search path leads to none; create it, " +
          `or grant usage on it to ${role}, or choose one with --schema`
        : `Cannot find the schema ${quote(chosenSchema)}: create it ` +
          `(create schema ${quoteIdentifier(chosenSchema)})`,
    ]);
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
    const { place: { form }, state } = this.known;
    const { schema } = this;
    return [
      this.#placeCheck(),
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
    const read = (rows: readonly HistoryRow[], isKnown: boolean) => {
      this.known = { place, state: { rows, horizon } };
      return { rows, isKnown };
    };
    if (place.form === "kysely" || state === undefined) {
      return read(readHistory(place.form, answer!), false);
    }
    const changes = readChanges(answer!, state.rows);
    if (changes !== undefined) return read(changes.rows, changes.same);
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
        const text = refusedText(error, KIND);
        if (text === undefined) throw error;
        const facts = JSON.parse(text) as PlaceFacts;
        const place = placeOf(facts);
        assertTrusted(facts);
        this.known = { place, state: undefined };
        if (attempts < MOST_ATTEMPTS) continue;
        throw new RefusedError([
          "Cannot find the history: its place changes again and again; start again when nobody creates or renames schemas",
        ]);
      }
    }
  }

  /** Creates the table, or puts it in the place of Kysely's, in a transaction that is open. */
  async prepare(): Promise<void> {
    const { place } = this.known;
    if (place.form === "own") return;
    const schema = place.schema!;
    if (place.form === "missing") {
      // Awaited: whoever may not create it is told so before a migration is blamed for it.
      await this.#connection.query(createStatements(schema));
      // Whatever is in it will have been written by this transaction.
      const state = { rows: [], horizon: "0" };
      this.known = { place: { schema, form: "own" }, state };
      return;
    }
    await this.#convert(schema);
    this.known = { place: { schema, form: "own" }, state: undefined };
  }

  /** Writes changes; in a transaction they are sent ahead of what is awaited next. */
  async write(
    changes: readonly HistoryChange[],
    scope: "transaction" | "session",
  ): Promise<readonly Written[]> {
    const { place, state } = this.known;
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
    this.known = { place, state: undefined };
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
    this.known = { place, state: after && { ...state, rows: after } };
    return result;
  }

  /** An error of a write, or of a flight under the lock, in our words. */
  explained(error: unknown): unknown {
    const { schema } = this.known.place;
    return schema === null ? error : historyError(error, schema);
  }

  /** The rows of a table in the form of Kysely's migrator. @throws {RefusedError} when it is none */
  async kyselyTable(table: string): Promise<readonly KyselyRow[]> {
    const found = this.#kyselyTables.get(table) ?? await this.#locate(table);
    this.#kyselyTables.set(table, found);
    return readKyselyRows(
      await this.#connection.query(kyselyRowsQuery(found)),
    );
  }

  /** The quoted, qualified name of a table in Kysely's form: `kysely_migration`, `app.kysely_migration`. */
  async #locate(table: string): Promise<string> {
    const parts = table.split(".");
    const [name, schema] = parts.reverse();
    const [answer] = await this.#connection.query(
      `select p.facts from ${
        placeQuery(
          { table: name!, schema, form: "kysely" },
          { owner: this.#options.trustedOwner, elsewhere: false },
        )
      } p`,
    );
    const facts = JSON.parse(String(answer!.facts)) as PlaceFacts;
    const found = facts.tables.find(({ decides }) => decides);
    const reason = found === undefined || parts.length > 2
      ? "there is no such table in this database"
      : found.fault === "columns"
      ? "it is not a migration table of Kysely, which has the columns name and timestamp"
      : unfit(found, facts.user);
    if (reason !== undefined) {
      throw new RefusedError([`Cannot read ${quoteValue(table)}: ${reason}`]);
    }
    return [found!.schema, name!].map(quoteIdentifier).join(".");
  }

  /** Fails, and says where the history is, when it is not where it is thought to be, or may not be written there. */
  #placeCheck(): string {
    const { chosenSchema, trustedOwner } = this.#options;
    const { form } = this.known.place;
    const elsewhere = form === "missing" && chosenSchema === undefined;
    const place = placeQuery({ schema: chosenSchema }, {
      owner: trustedOwner,
      elsewhere,
    });
    const isThere =
      `p.fault is null and p.form ${EQ} '${form}' and p.schema ${EQ} ${
        quoteLiteral(this.schema)
      } and ${
        form === "missing"
          ? "pg_catalog.json_extract_path_text(p.facts::pg_catalog.json, 'elsewhere') is null"
          : "p.trusted"
      }`;
    return `select ${HORIZON} as horizon, case when ${isThere} then 0 else ${
      refusal(KIND, ["p.facts"])
    } end as moved from ${place} p`;
  }

  /** Puts the history in the place of Kysely's table. */
  async #convert(schema: string): Promise<void> {
    const { run, migrations } = this.#options;
    const { rows, horizon } = this.known.state!;
    const answer = await this.#connection.query(grantsQuery(schema));
    const [first] = answer;
    if (first?.owned !== true) {
      throw new RefusedError([
        `Cannot turn the table of Kysely's migrator into ${
          historyName(schema)
        }: that takes the rights of its owner, ${
          quote(String(first?.owner))
        }; run the program as that role once`,
      ]);
    }
    const grants = answer.filter(({ privilege }) => privilege !== null).map((
      row,
    ): Grant => ({
      privilege: String(row.privilege),
      grantee: row.grantee as string | null,
      grantable: row.grantable === true,
    }));
    const checksums = new Map(
      migrations.map(({ name, checksum }) => [name, checksum]),
    );
    await this.#connection.query(
      convertStatements(schema, run, { rows, horizon, grants }, checksums)
        .join("; "),
    );
  }
}
