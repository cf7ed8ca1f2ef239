/**
 * Watches migrations at work, on a server of their own: what each statement locks, reads, rewrites, builds, makes and drops.
 *
 * No single source tells all of it: `pg_locks`, messages at `debug1`, event triggers, files and counts are asked after each
 * statement, on the migration's own connection.
 *
 * @module
 */
import {
  CompiledQuery,
  type DatabaseConnection,
  Kysely,
  type QueryResult,
  Transaction,
} from "kysely";
import { PostgresJSDialect } from "kysely-postgres-js";
import type postgres from "postgres";
import type {
  Footprint,
  StatementFootprint,
} from "../../src/insight/footprint.ts";
import type { Migration } from "../../src/plan/migration.ts";
import { readStatements } from "../../src/sql/lexer.ts";
import { madeBy } from "./made.ts";
import { readFootprint } from "./observations.ts";
import { readSeen, Said, type Seen } from "./seen.ts";
import { PROBE } from "./tracer_sql.ts";

type Row = Readonly<Record<string, unknown>>;

/** Runs a statement of the tracer's own. */
type Ask = (text: string) => Promise<Row | undefined>;

const ALREADY_BEGUN = "there is already a transaction in progress";

/** PostgreSQL's active_sql_transaction: what cannot run inside a transaction block. */
const ACTIVE_SQL_TRANSACTION = "25001";

export class Tracer {
  readonly #schema: string;
  #said = new Said();
  #statements: StatementFootprint[] = [];
  #readsData = new Set<string>();
  /** What there was before the migration; unknown until its first statement. */
  #start: Seen | undefined;
  /** What there was when it was last looked. */
  #end: Seen | undefined;
  readonly #messages: string[] = [];

  /** @param schema where the migrations work: names are written without it */
  constructor(schema: string) {
    this.#schema = schema;
  }

  /** Takes what the server says besides its answers; it has to come before the answer that it belongs to. */
  notice(message: string): void {
    this.#said.take(message);
    this.#messages.push(message);
  }

  /** The migration, watched: what one of its functions does is in {@link footprint} when it has ended. */
  trace(migration: Migration): Migration {
    const { up, down, transaction, backfill } = migration;
    const watched = <T extends unknown[]>(
      // deno-lint-ignore no-explicit-any -- as migrations have it
      work: (db: Kysely<any>, ...rest: T) => Promise<void>,
    ): typeof work =>
    async (db, ...rest) => {
      this.#statements = [];
      this.#readsData = new Set();
      this.#start = undefined;
      this.#messages.length = 0;
      await work(this.#watch(db, transaction), ...rest);
    };
    return {
      ...migration,
      up: watched(up),
      ...(down && { down: watched(down) }),
      // Of one that fills a table this is what runs: as a whole, since the tables of a recording are small.
      ...(backfill &&
        { backfill: { ...backfill, batch: watched(backfill.batch) } }),
    };
  }

  /** What the last function has done. */
  get footprint(): Footprint {
    const readsData = [...this.#readsData].sort();
    return {
      ...(readsData.length > 0 && { readsData }),
      ...(this.#start && this.#end &&
        madeBy(this.#start, this.#end, this.#messages, this.#schema)),
      statements: this.#statements,
    };
  }

  // deno-lint-ignore no-explicit-any -- as migrations have it
  #watch(db: Kysely<any>, transaction: boolean): Kysely<any> {
    const inner = db.getExecutor();
    const watched = (connection: DatabaseConnection): DatabaseConnection => ({
      executeQuery: (query) => this.#run(connection, query, transaction),
      streamQuery: (query, size) => connection.streamQuery(query, size),
    });
    const executor = inner.withConnectionProvider({
      provideConnection: (consumer, options) =>
        inner.provideConnection(
          (connection) => consumer(watched(connection)),
          options,
        ),
    });
    // It is asked how a transaction begins, and has no connection of its own.
    const dialect = new PostgresJSDialect({ postgres: {} as postgres.Sql });
    const driver = dialect.createDriver();
    const props = { config: { dialect }, dialect, driver, executor };
    return db.isTransaction ? new Transaction(props) : new Kysely(props);
  }

  async #run<R>(
    connection: DatabaseConnection,
    query: CompiledQuery,
    transaction: boolean,
  ): Promise<QueryResult<R>> {
    const ask: Ask = async (text) => {
      const { rows: [row] } = await connection.executeQuery<Row>(
        CompiledQuery.raw(text),
      );
      return row;
    };
    const isOurs = !transaction && await this.#begins(ask);
    const before = await this.#look(ask);
    try {
      const result = await connection.executeQuery<R>(query);
      await this.#record(query, before, ask, false);
      if (isOurs) await ask("commit");
      return result;
    } catch (error) {
      const code = sqlstateOf(error);
      if (isOurs) await ask("rollback");
      if (!isOurs || code !== ACTIVE_SQL_TRANSACTION) {
        this.#statements.push({ ...headOf(query), failed: code ?? "unknown" });
        throw error;
      }
    }
    this.#said = new Said();
    const result = await connection.executeQuery<R>(query);
    await this.#record(query, before, ask, true);
    return result;
  }

  /** Begins a transaction, so that locks can be seen, unless the migration has begun one: then the server warns of it. */
  async #begins(ask: Ask): Promise<boolean> {
    this.#said = new Said();
    await ask("begin");
    return !this.#said.messages.includes(ALREADY_BEGUN);
  }

  async #look(ask: Ask): Promise<Seen> {
    const row = await ask(PROBE);
    const seen = this.#end = readSeen(String(row?.seen));
    this.#start ??= seen;
    // What is said of the probe is nobody's.
    this.#said = new Said();
    return seen;
  }

  async #record(
    query: CompiledQuery,
    before: Seen,
    ask: Ask,
    outside: boolean,
  ): Promise<void> {
    const said = this.#said;
    const after = await this.#look(ask);
    const { footprint, readsData } = readFootprint({
      head: headOf(query),
      outside,
      start: this.#start!.relations,
      before,
      after,
      said,
      schema: this.#schema,
    });
    this.#statements.push(footprint);
    for (const table of readsData) this.#readsData.add(table);
  }
}

function headOf(
  { sql, parameters }: CompiledQuery,
): Pick<StatementFootprint, "sql" | "parameters" | "verb"> {
  const [statement] = readStatements(sql).statements;
  return {
    sql,
    ...(parameters.length > 0 && { parameters: parameters.length }),
    verb: statement?.head ?? "",
  };
}

/** The SQLSTATE of an error of the program's own, or of postgres.js. */
function sqlstateOf(error: unknown): string | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { code, server } = one as Error & {
      code?: unknown;
      server?: { code?: unknown };
    };
    const state = server?.code ?? code;
    if (typeof state === "string" && /^[0-9A-Z]{5}$/.test(state)) return state;
  }
  return undefined;
}
