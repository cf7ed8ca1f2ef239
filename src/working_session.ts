/**
 * A session at work, on a guarded connection: transactions, the migration lock, settings, the history.
 *
 * @module
 */
import type { Kysely } from "kysely";
import { ARRAY_TYPES_QUERY } from "./array_type.ts";
import {
  Connection,
  type ConnectionOptions,
  type StatementOwner,
} from "./connection.ts";
import {
  causeOf,
  ConnectionLostError,
  DatabaseError,
  MigrationError,
  RefusedError,
} from "./errors.ts";
import type { Event, LockHolder, ServerInfo } from "./events.ts";
import type { HistoryChange } from "./history.ts";
import { withHint } from "./hints.ts";
import { dropInvalidIndex } from "./invalid_index.ts";
import type { Link } from "./link.ts";
import { Monitor } from "./monitor.ts";
import type { Step } from "./plan.ts";
import type { LockedHistory, Session, Work } from "./ports.ts";
import type { Rows } from "./protocol.ts";
import { quote } from "./quote.ts";
import {
  lockHolderQuery,
  lockQuery,
  RESET,
  type Settings,
  settingsList,
} from "./settings.ts";
import { guardStep } from "./step_guard.ts";
import { quoteIdentifier } from "./sql_quote.ts";
import { endsTransaction } from "./statement.ts";
import {
  SessionHistory,
  type SessionHistoryOptions,
} from "./session_history.ts";

/** How long a stopped session may take to roll back before its connection is dropped, in milliseconds. */
const STOP_LIMIT_MS = 3_000;

/** How often and how long recording a failure tries to get the lock, in milliseconds. */
const RECORD_LOCK = { every: 100, limit: 1_500 };

/** What a session needs to know besides its connection. Times are milliseconds. */
export interface SessionOptions
  extends
    Pick<ConnectionOptions, "pipeline">,
    Omit<SessionHistoryOptions, "schema"> {
  readonly server: ServerInfo;
  /** As `server_version_num`. */
  readonly versionNumber: number;
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
  /** The schema that was chosen and so has to become the search path. */
  readonly chosenSchema: string | undefined;
  /** Opens another link to the same server, to watch this one. @throws {ConnectionError} */
  readonly openSecond: () => Promise<Link>;
  readonly report: (event: Event) => void;
  /** Aborts when the process is asked to stop; its reason is the error of everything in flight. */
  readonly stop: AbortSignal;
}

// deno-lint-ignore no-explicit-any -- migrations are frozen in time: they must not depend on today's table types
type AnyKysely = Kysely<any>;

/** The step on whose behalf statements run. */
interface StepOwner extends StatementOwner {
  readonly step: Step;
  /** On `performance.now()`. */
  readonly startedAt: number;
}

/** Does what a session is asked for, once the driver of its link is loaded. */
export class WorkingSession implements Omit<Session, "history"> {
  readonly server: ServerInfo;
  readonly #connection: Connection;
  readonly #options: SessionOptions;
  #db: AnyKysely | undefined;
  readonly #history: SessionHistory;
  /** The backend at work; behind a pooler it is another in every transaction, known once the first query is answered. */
  #backendPid: number | undefined;
  /** The steps of the work in flight. */
  #owners: StepOwner[] = [];
  readonly #monitor: Monitor;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #onStop = () => {
    // A stopped server answers at once; one that does not is left, and notices by itself.
    this.#stopTimer = setTimeout(
      () =>
        this.#connection.destroy(
          "the server did not answer the request to cancel",
        ),
      STOP_LIMIT_MS,
    );
    void this.#connection.stop(this.#options.stop.reason);
  };

  constructor(link: Link, options: SessionOptions) {
    const connection = new Connection(link, {
      pipeline: options.pipeline,
      onStatement: (sql, durationMs) =>
        options.report({ event: "statement", sql, durationMs }),
    });
    this.#connection = connection;
    this.#options = options;
    this.server = options.server;
    this.#history = new SessionHistory(connection, {
      ...options,
      schema: () => this.#schema(),
    });
    if (!this.server.pooled) this.#backendPid = connection.announcedPid;
    this.#monitor = new Monitor(connection, {
      open: async () =>
        new Connection(await options.openSecond(), { pipeline: false }),
      pid: () => this.#backendPid,
      pooled: options.server.pooled,
      lockTimeoutMs: options.lockTimeoutMs,
      report: options.report,
    });
    options.stop.addEventListener("abort", this.#onStop, { once: true });
    if (options.stop.aborted) this.#onStop();
  }

  async kyselyTable(
    table: string,
  ): Promise<readonly { readonly name: string; readonly timestamp: string }[]> {
    return await this.#history.kyselyTable(table);
  }

  async transaction<T>(work: (work: Work) => Promise<T>): Promise<T> {
    this.#options.stop.throwIfAborted();
    return await this.#transaction(work);
  }

  async pinned<T>(work: (work: Work) => Promise<T>): Promise<T> {
    this.#options.stop.throwIfAborted();
    this.#owners = [];
    const kysely = await this.#kysely();
    return await kysely.connection().execute(async (db) => {
      this.#connection.intercept((text) =>
        dropInvalidIndex(this.#connection, text, this.#options.report)
      );
      try {
        return await work(this.#work(db, "session"));
      } finally {
        this.#connection.intercept(undefined);
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
      const done = await this.#transaction(async (work) => {
        // The lock is there for the creation of the table; a row of its own does not wait for another migrator.
        if (await work.lock() !== undefined) await work.prepareHistory();
        else if (!last) return false;
        void work.write(changes);
        return true;
      });
      if (done) return;
      await new Promise((resolve) => setTimeout(resolve, RECORD_LOCK.every));
    }
  }

  async lockHolder(): Promise<LockHolder | undefined> {
    const [row] = await this.#connection.query(
      lockHolderQuery(this.#schema()),
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
    this.#monitor.stop();
    await this.#connection.close();
  }

  async #transaction<T>(work: (work: Work) => Promise<T>): Promise<T> {
    const known = this.#history.known;
    this.#owners = [];
    if (this.server.pooled) this.#backendPid = undefined;
    const db = await this.#kysely();
    try {
      return await db.transaction()
        // A role's defaults must not decide: a snapshot from before the lock would show an old history.
        .setIsolationLevel("read committed")
        .setAccessMode("read write")
        .execute((transaction) => work(this.#work(transaction, "transaction")));
    } catch (error) {
      this.#history.known = known;
      throw this.#attributed(error);
    } finally {
      this.#connection.own(undefined);
    }
  }

  /** Loaded only now: most runs have nothing to run, and it is more than all the rest of the program. */
  async #kysely(): Promise<AnyKysely> {
    const [{ openKysely }] = await Promise.all([
      import("./kysely.ts"),
      this.#connection.prepare(),
    ]);
    return this.#db ??= openKysely(this.#connection.driver());
  }

  #work(db: AnyKysely, scope: "transaction" | "session"): Work {
    const owners: StepOwner[] = [];
    this.#owners = owners;
    let columns: Rows | undefined;
    return {
      lock: async () => {
        const locked = await this.#lock(scope);
        columns = locked?.columns;
        return locked;
      },
      prepareHistory: async () => {
        const form = this.#history.form(columns!);
        if (form === "ready") return;
        const create = () => this.#history.create(form);
        // Outside a transaction it needs one of its own: half a conversion must never be seen.
        if (scope === "transaction") await create();
        else await db.transaction().execute(create);
      },
      run: async (step) => {
        const owner: StepOwner = { step, startedAt: performance.now() };
        owners.push(owner);
        await this.#run(db, owner, scope);
      },
      settle: async () => {
        await this.#connection.settle();
        return durationsOf(owners);
      },
      write: (changes) => {
        const written = this.#history.write(changes, scope);
        written.catch(() => {}); // what a write that was sent ahead rejects with, the commit rejects with
        return written;
      },
    };
  }

  async #run(
    db: AnyKysely,
    owner: StepOwner,
    scope: "transaction" | "session",
  ): Promise<void> {
    const { migration, direction } = owner.step;
    const connection = this.#connection;
    const guarded = guardStep(db, migration.name);
    const work = direction === "up" ? migration.up : migration.down!;
    connection.own(owner);
    if (scope === "transaction") connection.intercept(refuseToEnd);
    try {
      await connection.orEnded((async () => await work(guarded.db))())
        .finally(() => guarded.end());
      await this.#assertWhole(direction, scope);
      await this.#restoreSettings(scope);
    } catch (error) {
      const attributed = this.#attributed(error);
      throw causeOf(attributed, MigrationError) !== undefined
        ? attributed
        : new MigrationError(migration.name, direction, { cause: attributed });
    } finally {
      connection.own(undefined);
      if (scope === "transaction") connection.intercept(undefined);
    }
  }

  /** A migration must leave the transaction, or the session, as it was given. */
  async #assertWhole(
    direction: Step["direction"],
    scope: "transaction" | "session",
  ): Promise<void> {
    if (scope === "session") {
      await this.#connection.settle();
      if (this.#connection.serverIsIdle) return;
      await this.#connection.query("rollback");
      throw new Error(
        `its ${direction} function left a transaction open, which was rolled back`,
      );
    }
    const { aborted, serverIsIdle } = this.#connection;
    if (aborted !== undefined) {
      if (!aborted.seen) throw aborted.by;
      throw new Error(
        `its ${direction} function caught an error that had already aborted the transaction`,
        { cause: aborted.by },
      );
    }
    if (serverIsIdle) {
      throw new Error(
        `its ${direction} function has ended the transaction: what it did before that is in effect`,
      );
    }
  }

  /** What a migration has set must not decide how the next one runs, or where the history is looked for. */
  async #restoreSettings(scope: "transaction" | "session"): Promise<void> {
    if (!this.#connection.takeSettingsChanged()) return;
    const statement = `${RESET}; select ${
      settingsList(this.#settings(), scope)
    }`;
    if (scope === "transaction") void this.#connection.sendAhead(statement);
    else await this.#connection.query(statement);
    this.#connection.takeSettingsChanged(); // our own
  }

  /** An error of a statement that ran ahead surfaces later: it is named after the step that sent it. */
  #attributed(error: unknown): unknown {
    if (causeOf(error, MigrationError) !== undefined) return error;
    const sender =
      this.#connection.ownerOf(causeOf(error, ConnectionLostError)) ??
        this.#connection.ownerOf(causeOf(error, DatabaseError));
    // The loss of the connection stays the error of everything after it, which is not the fault of that step.
    const owner = this.#owners.find((one) => one === sender);
    const hinted = withHint(error, this.server);
    return owner === undefined
      ? hinted
      : new MigrationError(owner.step.migration.name, owner.step.direction, {
        cause: hinted,
      });
  }

  /**
   * One flight: settings, then the lock, then whether the history is still the known one. `set_config` in the transaction also
   * holds behind a pooler, which drops or rejects startup parameters.
   */
  async #lock(
    scope: "transaction" | "session",
  ): Promise<LockedHistory & { columns: Rows } | undefined> {
    const connection = this.#connection;
    const queries = this.#history.lockQueries();
    const { knowsArrayTypes } = connection;
    const answers = await connection.query(
      [
        lockQuery(this.#settings(), scope),
        queries.columns,
        ...(knowsArrayTypes ? [] : [ARRAY_TYPES_QUERY]),
        ...(queries.fingerprint === undefined ? [] : [queries.fingerprint]),
      ].join("; "),
    ) as unknown as readonly Rows[];
    const [[row] = [], columns = [], ...rest] = answers;
    if (row?.applied !== true) {
      throw new RefusedError([
        "Cannot set lock_timeout and statement_timeout: the server, or a pooler before it, did not take them",
      ]);
    }
    this.#backendPid = Number(row.pid);
    connection.takeSettingsChanged(); // our own
    if (!knowsArrayTypes) connection.learnArrayTypes(rest.shift()!);
    if (row.locked !== true) return undefined;
    return { ...await this.#history.underLock(columns, rest[0]), columns };
  }

  async #unlock(): Promise<void> {
    if (this.#connection.isLost) return;
    this.#connection.resume();
    await this.#connection.query(`${RESET}; select pg_advisory_unlock_all()`);
  }

  #settings(): Settings {
    const { lockTimeoutMs, statementTimeoutMs, versionNumber, chosenSchema } =
      this.#options;
    return {
      schema: this.#schema(),
      lockTimeoutMs,
      statementTimeoutMs,
      versionNumber,
      chosenSchema,
    };
  }

  #schema(): string {
    const { schema, user } = this.server;
    if (schema !== null) return schema;
    const chosen = this.#options.chosenSchema;
    const role = quoteIdentifier(user);
    throw new RefusedError([
      chosen === undefined
        ? "Cannot find a schema to work in: the search path leads to none; create it, " +
          `or grant usage on it to ${role}, or choose one with --schema`
        : `Cannot find the schema ${quote(chosen)}: create it ` +
          `(create schema ${
            quoteIdentifier(chosen)
          }), or grant usage on it to ${role}`,
    ]);
  }
}

/** A migration that ended the transaction would put half of a run into effect. */
function refuseToEnd(text: string): Promise<void> {
  if (!endsTransaction(text)) return Promise.resolve();
  return Promise.reject(
    new Error(
      "it may not end the transaction that it runs in; to run outside of one: export const options = { transaction: false }",
    ),
  );
}

/** A step took from the end of the one before it, or from its own start, until its last answer. */
function durationsOf(owners: readonly StepOwner[]): number[] {
  let end = 0;
  return owners.map(({ startedAt, answeredAt = startedAt }) => {
    const start = Math.max(startedAt, end);
    end = Math.max(end, answeredAt);
    return Math.max(0, Math.round(answeredAt - start));
  });
}
