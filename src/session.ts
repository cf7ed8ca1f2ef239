/**
 * A session of the migrator on a guarded connection: transactions, the migration lock, settings, the history.
 *
 * @module
 */
import { Kysely } from "kysely";
import { PostgresJSDialect } from "kysely-postgres-js";
import type { Connection } from "./connection.ts";
import { DatabaseError, MigrationError, RefusedError } from "./errors.ts";
import type { LockHolder, ServerInfo } from "./events.ts";
import type { HistoryChange, HistoryRow } from "./history.ts";
import type { Step } from "./plan.ts";
import type { Session, Work } from "./ports.ts";
import {
  identifier,
  literal,
  prepareHistory,
  readHistory,
  readKyselyTable,
  type RunIdentity,
  writeHistory,
} from "./store.ts";

/** The first half of the lock's key, "bsmg" in ASCII; the second is a hash of the schema. */
const LOCK_CLASS = 0x62736d67;

/** How long a stopped session may take to roll back before its connection is dropped, in milliseconds. */
const STOP_LIMIT_MS = 3_000;

/** How often and how long recording a failure tries to get the lock, in milliseconds. */
const RECORD_LOCK = { every: 100, limit: 1_500 };

/** What a session needs to know besides its connection. Times are milliseconds. */
export interface SessionOptions {
  readonly server: ServerInfo;
  /** As `server_version_num`. */
  readonly versionNumber: number;
  /** The history that came with the log-in; it answers the first {@link Session.history}. */
  readonly history: readonly HistoryRow[];
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
  /** Whether the schema was chosen and so has to become the search path. */
  readonly setSearchPath: boolean;
  readonly run: RunIdentity;
  /** Checksum by name of the migrations that the program carries. */
  readonly checksums: ReadonlyMap<string, string>;
  /** Aborts when the process is asked to stop; its reason is the error of everything in flight. */
  readonly stop: AbortSignal;
}

// deno-lint-ignore no-explicit-any -- migrations are frozen in time: they must not depend on today's table types
type AnyKysely = Kysely<any>;

/** The {@link Session} on PostgreSQL. */
export class PostgresSession implements Session {
  readonly server: ServerInfo;
  readonly #connection: Connection;
  readonly #options: SessionOptions;
  readonly #db: AnyKysely;
  #greeted: readonly HistoryRow[] | undefined;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #onStop = () => {
    // A stopped server answers at once; one that does not is left, and notices by itself.
    this.#stopTimer = setTimeout(
      () => this.#connection.destroy(),
      STOP_LIMIT_MS,
    );
    void this.#connection.stop(this.#options.stop.reason);
  };

  constructor(connection: Connection, options: SessionOptions) {
    this.#connection = connection;
    this.#options = options;
    this.server = options.server;
    this.#greeted = options.history;
    this.#db = new Kysely({
      dialect: new PostgresJSDialect({ postgres: connection.driver() }),
    });
    options.stop.addEventListener("abort", this.#onStop, { once: true });
    if (options.stop.aborted) this.#onStop();
  }

  async history(): Promise<readonly HistoryRow[]> {
    const greeted = this.#greeted;
    this.#greeted = undefined;
    if (greeted !== undefined) return greeted;
    return await readHistory(this.#connection, this.#schema());
  }

  kyselyTable(
    table: string,
  ): Promise<readonly { readonly name: string; readonly timestamp: string }[]> {
    return readKyselyTable(this.#connection, table);
  }

  transaction<T>(work: (work: Work) => Promise<T>): Promise<T> {
    return this.#db.transaction()
      // A role's defaults must not decide: a snapshot from before the lock would show an old history.
      .setIsolationLevel("read committed")
      .setAccessMode("read write")
      .execute((transaction) => work(this.#work(transaction, "transaction")));
  }

  pinned<T>(work: (work: Work) => Promise<T>): Promise<T> {
    return this.#db.connection().execute(async (db) => {
      try {
        return await work(this.#work(db, "session"));
      } finally {
        await this.#unlock();
      }
    });
  }

  async record(changes: readonly HistoryChange[]): Promise<void> {
    clearTimeout(this.#stopTimer);
    this.#connection.resume();
    const deadline = performance.now() + RECORD_LOCK.limit;
    for (;;) {
      const last = performance.now() >= deadline;
      const done = await this.transaction(async (work) => {
        // The lock is there for the creation of the table; a row of its own does not wait for another migrator.
        if (await work.tryLock()) await work.prepareHistory();
        else if (!last) return false;
        await work.write(changes);
        return true;
      });
      if (done) return;
      await new Promise((resolve) => setTimeout(resolve, RECORD_LOCK.every));
    }
  }

  async lockHolder(): Promise<LockHolder | undefined> {
    const [row] = await this.#connection.query(
      `select l.pid, coalesce(a.application_name, '') as application,
        coalesce(host(a.client_addr) || ':' || a.client_port, 'local') as address,
        (extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.state_change)) * 1000)::float8 as since
      from pg_locks l left join pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'advisory' and l.granted and l.objsubid = 2
        and l.database = (select oid from pg_database where datname = current_database())
        and l.classid::bigint = ${LOCK_CLASS}
        and l.objid::bigint = (hashtext(${
        literal(this.#schema())
      })::bigint & 4294967295)`,
    );
    return row === undefined ? undefined : {
      pid: Number(row.pid),
      application: String(row.application),
      address: String(row.address),
      sinceMs: typeof row.since === "number" ? row.since : undefined,
    };
  }

  async close(): Promise<void> {
    this.#options.stop.removeEventListener("abort", this.#onStop);
    clearTimeout(this.#stopTimer);
    await this.#connection.close();
  }

  #work(db: AnyKysely, scope: "transaction" | "session"): Work {
    const connection = this.#connection;
    const schema = this.#schema();
    const { run, checksums } = this.#options;
    return {
      tryLock: () => this.#tryLock(scope),
      history: () => readHistory(connection, schema),
      prepareHistory: async () => {
        const prepare = () =>
          prepareHistory(connection, schema, run, checksums);
        // Outside a transaction the creation needs one of its own: a half converted table must never be seen.
        if (scope === "transaction") await prepare();
        else await db.transaction().execute(prepare);
      },
      run: (step) => this.#run(db, step, scope),
      write: (changes) => writeHistory(connection, schema, run, changes),
    };
  }

  async #run(
    db: AnyKysely,
    { migration, direction }: Step,
    scope: "transaction" | "session",
  ): Promise<void> {
    try {
      await (direction === "up" ? migration.up(db) : migration.down!(db));
      const swallowed = this.#connection.abortedBy;
      if (scope === "transaction" && swallowed !== undefined) {
        throw new Error(
          `its ${direction} function caught an error that had already aborted the transaction`,
          { cause: swallowed },
        );
      }
    } catch (cause) {
      throw new MigrationError(migration.name, direction, {
        cause: this.#withGrantHint(cause),
      });
    }
  }

  /**
   * One statement: settings, then the lock. `set_config` in the transaction also holds behind a pooler, which drops or
   * rejects startup parameters.
   */
  async #tryLock(scope: "transaction" | "session"): Promise<boolean> {
    const { lockTimeoutMs, statementTimeoutMs, versionNumber, setSearchPath } =
      this.#options;
    const local = scope === "transaction";
    const settings: [string, string][] = [
      ["lock_timeout", `${lockTimeoutMs}ms`],
      ["statement_timeout", `${statementTimeoutMs}ms`],
      ["idle_in_transaction_session_timeout", "60s"],
      // A vanished client is noticed within about 25 s, a closed socket within a second.
      ["tcp_keepalives_idle", "10"],
      ["tcp_keepalives_interval", "5"],
      ["tcp_keepalives_count", "3"],
    ];
    if (versionNumber >= 170_000) settings.push(["transaction_timeout", "0"]);
    if (setSearchPath) {
      settings.push(["search_path", identifier(this.#schema())]);
    }
    const set = (name: string, value: string) =>
      `set_config('${name}', ${literal(value)}, ${local})`;
    const lock = local ? "pg_try_advisory_xact_lock" : "pg_try_advisory_lock";
    const [row] = await this.#connection.query(
      `select ${
        settings.map(([name, value]) => set(name, value)).join(", ")
      }, ` +
        // Only servers that can watch a socket accept it: Linux, and from 16 on every platform but Windows.
        "case when version() ~ 'linux' or current_setting('server_version_num')::int >= 160000 and " +
        `version() !~* 'windows|mingw|msvc|visual' then ${
          set("client_connection_check_interval", "1s")
        } end, ` +
        `current_setting('lock_timeout')::interval = '${lockTimeoutMs} ms'::interval and ` +
        `current_setting('statement_timeout')::interval = '${statementTimeoutMs} ms'::interval as applied, ` +
        `${lock}(${LOCK_CLASS}, hashtext(${
          literal(this.#schema())
        })) as locked`,
    );
    if (row?.applied !== true) {
      throw new RefusedError([
        "Cannot set lock_timeout and statement_timeout: the server, or a pooler before it, did not take them",
      ]);
    }
    return row.locked === true;
  }

  async #unlock(): Promise<void> {
    if (this.#connection.isLost) return;
    this.#connection.resume();
    await this.#connection.query("select pg_advisory_unlock_all()");
  }

  #schema(): string {
    const { schema, user } = this.server;
    if (schema !== null) return schema;
    throw new RefusedError([
      "Cannot find a schema to work in: the search path leads to none; create it, grant usage on it to " +
      `"${user}", or choose one with --schema`,
    ]);
  }

  /** PostgreSQL says what is denied, not what to grant. */
  #withGrantHint(error: unknown): unknown {
    if (
      !(error instanceof DatabaseError) || error.server.code !== "42501" ||
      error.server.hint !== undefined
    ) return error;
    const to = identifier(this.server.user);
    const hint = /schema/.test(error.server.message)
      ? `As the owner of the schema: grant usage, create on schema ${
        identifier(this.#schema())
      } to ${to}`
      : `Run the migrator as the owner of the object, or grant the privilege to ${to}`;
    return new DatabaseError({ ...error.server, hint }, { cause: error });
  }
}
