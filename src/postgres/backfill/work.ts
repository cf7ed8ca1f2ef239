/**
 * What a transaction does for a backfill, over one connection.
 *
 * @module
 */
import type { Connection } from "../connection/connection.ts";
import { RefusedError } from "../../errors.ts";
import type {
  Advance,
  BackfillWork,
  BatchLimits,
  Beat,
  Position,
  Signals,
} from "../../engine/backfill_ports.ts";
import {
  type Backfill,
  type BackfillControl,
  type FillTable,
  fillTable,
  type Key,
} from "../../plan/backfill.ts";
import { quote } from "../../text.ts";
import type { Row, Rows } from "../wire/protocol.ts";
import {
  advanceStatement,
  beatStatement,
  controlStatement,
  keyOf,
  noteStatement,
  openStatement,
  passStatement,
  positionQuery,
  readPosition,
  stopStatement,
  takeStatement,
  type Writer,
} from "./positions.ts";
import {
  createPositions,
  readersQuery,
  rightsStatements,
  safetyQuery,
} from "./positions_table.ts";
import { POSITIONS } from "../history/place.ts";
import {
  boundQuery,
  estimateQuery,
  lastKeyQuery,
  readEstimate,
} from "./range.ts";
import { readSignals, signalsQuery, WAITING } from "./signals.ts";
import { readTable, tableQuery } from "./table_query.ts";

/** The transaction of a batch, so that it is known again, and what was set before it. */
export interface Begun {
  /** Seconds since 1970, exactly as the server wrote it. */
  readonly at: string;
  readonly settings: readonly (readonly [string, string])[];
}

/** What it needs of its session. */
export interface BackfillHost {
  readonly connection: Connection;
  /** The schema of the history. */
  readonly schema: () => string;
  readonly writer: () => Writer;
  /** Takes the password out of a text. */
  readonly hide: (text: string) => string;
  /** Behind a pooler: the query for what it has set on the connection. */
  readonly given: readonly string[];
  /** The select list that applies the session's settings to the transaction; `started` is when the server was. */
  readonly settings: (limits?: BatchLimits) => string;
  /** Told of the transaction that a batch runs in, and of the backend. */
  readonly begun: (
    limits: BatchLimits,
    begun: Begun,
    backend: { readonly pid: number; readonly serverStarted: string },
  ) => void;
}

/** How long the operator waits for the end of a batch, in milliseconds. */
const CONTROL_LIMIT_MS = 60_000;

/** The {@link BackfillWork} on PostgreSQL. */
export class PostgresBackfillWork implements BackfillWork {
  readonly #host: BackfillHost;

  constructor(host: BackfillHost) {
    this.#host = host;
  }

  async inspect(
    backfill: Backfill,
  ): Promise<FillTable | string | undefined> {
    const [, [row] = []] = await this.#several(
      `select ${this.#host.settings()}`,
      tableQuery(backfill.table),
    );
    return row && fillTable(backfill, readTable(row));
  }

  async prepare(): Promise<void> {
    const { connection } = this.#host;
    const schema = this.#host.schema();
    const [known] = await connection.query(safetyQuery(schema));
    if (known === undefined) {
      await connection.query(createPositions(schema));
      const readers = await connection.query(readersQuery(schema));
      if (readers.length > 0) {
        await connection.query(rightsStatements(schema, readers));
      }
    } else if (known.safe !== true) {
      throw new RefusedError([
        `Cannot write to ${
          quote(`${schema}.${POSITIONS}`)
        }: it is no table, or does not belong to the owner of the history; rename it, or give it to that role`,
      ]);
    }
  }

  open(name: string, keys: readonly string[]): Promise<void> {
    const { schema, writer } = this.#host;
    return this.#ahead(openStatement(schema(), writer(), name, keys));
  }

  async stop(id: number): Promise<void> {
    const schema = this.#host.schema();
    const [known] = await this.#host.connection.query(safetyQuery(schema));
    if (known?.safe !== true) return;
    await this.#host.connection.query(stopStatement(schema, id));
  }

  async claim(
    id: number,
    limits: BatchLimits,
  ): Promise<Position | "busy" | undefined> {
    const { schema, writer, given, settings, begun } = this.#host;
    const query = (locked: boolean) =>
      positionQuery(schema(), id, writer().runId, locked);
    const answers = await this.#several(
      ...given,
      `select ${
        settings(limits)
      }, extract(epoch from pg_catalog.now())::pg_catalog.text as began, pg_catalog.pg_backend_pid() as pid`,
      query(true),
      query(false),
    );
    const [[now] = [], [taken] = [], [seen] = []] = answers.slice(
      given.length,
    );
    const set = given.length > 0 ? answers[0]! : [];
    begun(limits, {
      at: String(now!.began),
      settings: set.map(({ name, setting }) => [
        String(name),
        String(setting),
      ]),
    }, { pid: Number(now!.pid), serverStarted: String(now!.started) });
    if (taken === undefined) return seen === undefined ? undefined : "busy";
    return readPosition(taken);
  }

  async look(id: number): Promise<Position | undefined> {
    const { connection, schema, writer } = this.#host;
    const [row] = await connection.query(
      positionQuery(schema(), id, writer().runId, false),
    );
    return row && readPosition(row);
  }

  take(id: number): Promise<void> {
    const { schema, writer } = this.#host;
    return this.#ahead(takeStatement(schema(), id, writer()));
  }

  async lastKey(table: FillTable): Promise<Key | undefined> {
    const [row] = await this.#host.connection.query(lastKeyQuery(table));
    return row === undefined ? undefined : keyOf(row.key)!;
  }

  async estimate(
    table: FillTable,
    after: Key | null,
    through: Key,
  ): Promise<number> {
    return readEstimate(
      await this.#host.connection.query(estimateQuery(table, after, through)),
    );
  }

  beginPass(
    id: number,
    pass: {
      readonly passes: number;
      readonly lastKey: Key;
      readonly rowsTotal: number;
    },
  ): Promise<void> {
    return this.#ahead(passStatement(this.#host.schema(), id, pass));
  }

  async bound(
    table: FillTable,
    { after, through }: { readonly after: Key | null; readonly through: Key },
    rows: number,
  ): Promise<{ readonly through: Key; readonly rows: number } | undefined> {
    const [row] = await this.#host.connection.query(
      boundQuery(table, after, through, rows),
    );
    return row && { through: keyOf(row.key)!, rows: Number(row.n) };
  }

  waiting(): Promise<number> {
    return this.#ahead(WAITING, ([row]) => Number(row?.waiting ?? 0));
  }

  advance(id: number, advance: Advance): Promise<void> {
    const { schema, writer } = this.#host;
    return this.#ahead(advanceStatement(schema(), id, writer(), advance));
  }

  async control(id: number, control: BackfillControl): Promise<boolean> {
    const { connection, schema, settings } = this.#host;
    const [known] = await connection.query(safetyQuery(schema()));
    if (known?.safe !== true) return false;
    const limits = {
      lockTimeoutMs: CONTROL_LIMIT_MS,
      statementTimeoutMs: CONTROL_LIMIT_MS,
    };
    await connection.query(`select ${settings(limits)}`);
    const rows = await connection.query(
      controlStatement(schema(), id, control),
    );
    return rows.length > 0;
  }

  note(id: number, error: string): Promise<void> {
    const { schema, hide } = this.#host;
    return this.#ahead(noteStatement(schema(), id, hide(error)));
  }

  beat(id: number, beat: Beat): Promise<void> {
    const { schema, writer } = this.#host;
    return this.#ahead(beatStatement(schema(), id, writer(), beat));
  }

  async signals(): Promise<Signals> {
    return readSignals(await this.#host.connection.query(signalsQuery()));
  }

  async asks(query: string, timeoutMs: number): Promise<boolean> {
    const { connection, settings } = this.#host;
    const limits = {
      lockTimeoutMs: timeoutMs,
      statementTimeoutMs: timeoutMs,
    };
    await connection.query(
      `set transaction read only; select ${settings(limits)}`,
    );
    const [row] = await connection.query(query);
    const [value] = Object.values(row ?? {});
    return value === true;
  }

  /** The answers to several statements of one flight. */
  async #several(...statements: readonly string[]): Promise<readonly Rows[]> {
    return await this.#host.connection.query(
      statements.join("; "),
    ) as unknown as readonly Rows[];
  }

  /** What is sent ahead rejects with the commit, too: nobody need look at it, nor at what is made of it. */
  #ahead(statement: string): Promise<void>;
  #ahead<T>(statement: string, read: (rows: readonly Row[]) => T): Promise<T>;
  #ahead<T>(
    statement: string,
    read?: (rows: readonly Row[]) => T,
  ): Promise<T | void> {
    const answer = this.#host.connection.sendAhead(statement)
      .then((rows) => read?.(rows));
    answer.catch(() => {});
    return answer;
  }
}
