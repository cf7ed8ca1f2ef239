/**
 * How far a statement is of which no view of the server tells: what the recording says that it does, how large the tables are, and
 * by how much the database has grown meanwhile. The new files of a rewrite belong to a transaction that is open: no catalog that
 * another session reads has them, and the size of the database does.
 *
 * @module
 */
import {
  type RecordedWork,
  statementsSeen,
  workOf,
} from "../insight/statement_work.ts";
import { namesToAsk } from "../insight/tables.ts";
import { recordedPlan } from "../engine/recorded_plan.ts";
import type { Step } from "../plan/plan.ts";
import type { StatementProgress } from "../report/events.ts";
import { factsQuery, readFacts } from "./catalog/facts.ts";
import type { Connection } from "./connection/connection.ts";
import type { Rows } from "./wire/protocol.ts";

/** The statement at work, and what is known of it beforehand. */
export interface StatementAtWork {
  readonly sql: string;
  /** The steps of its transaction, its own last. */
  readonly steps: readonly Step[];
  /** The schema of the migrations. */
  readonly schema: string;
  /** What was recorded, in UTF-8; missing when nothing was. */
  readonly recording: () => Promise<Uint8Array | undefined>;
}

/** How long the server may count, and how often it is asked to, in milliseconds: a database may have very many files. */
const COUNT_MS = 1_000;
const COUNT_AGAIN_MS = 5_000;

/**
 * How many times as long as it ran unseen a statement is watched before it is told how much is written: what it wrote before the
 * first look nobody has measured, and is taken to be as much as in so much time since.
 */
const SEEN_LONGER = 4;

const SIZE_QUERY =
  `select pg_catalog.set_config('statement_timeout', '${COUNT_MS}', true);
select pg_catalog.pg_database_size(pg_catalog.current_database())::double precision as bytes`;

/** The first look at a statement. */
interface FirstLook {
  /** When, on `performance.now()`. */
  readonly at: number;
  /** For how long it had been at its work by then, milliseconds. */
  readonly unseenMs: number;
  /** The size of the database, bytes. */
  readonly bytes: number;
}

/** What is known of one statement. */
export class Growth {
  readonly #work: RecordedWork;
  readonly #first: FirstLook;
  #counted: { readonly at: number; readonly written: number } | undefined;

  private constructor(work: RecordedWork, first: FirstLook) {
    this.#work = work;
    this.#first = first;
  }

  /**
   * The first look. Nothing where the recording does not tell of this statement, or what it does takes no time.
   *
   * @param connection another one than that of the statement
   * @param unseenMs for how long the server has been at it, without waiting for a lock
   */
  static async of(
    connection: Connection,
    { sql, steps, schema, recording }: StatementAtWork,
    unseenMs: number,
  ): Promise<Growth | undefined> {
    const at = performance.now();
    const recorded = recordedPlan(steps, await recording());
    if (statementsSeen(recorded, sql).length === 0) return undefined;
    const first = { at, unseenMs, bytes: await sizeOf(connection) };
    const { tables } = namesToAsk(recorded);
    const answers = await connection.query(
      factsQuery({ schema, tables, columns: [], objects: [] }),
    );
    const facts = readFacts(answers as unknown as readonly Rows[]);
    const work = workOf(recorded, sql, facts);
    return work && new Growth(work, first);
  }

  /** How far it is now. */
  async look(connection: Connection): Promise<StatementProgress> {
    const { range, ...work } = this.#work;
    const written = work.kind === "rewrites"
      ? await this.#written(connection)
      : 0;
    return {
      ...work,
      ...(range && { expected: range }),
      // Others make the database smaller as well.
      ...(written > 0 && { writtenBytes: written }),
    };
  }

  async #written(connection: Connection): Promise<number> {
    const { at, unseenMs, bytes } = this.#first;
    const now = performance.now();
    const seenMs = now - at;
    if (seenMs < SEEN_LONGER * unseenMs) return 0;
    if (now - (this.#counted?.at ?? -Infinity) >= COUNT_AGAIN_MS) {
      const grown = await sizeOf(connection) - bytes;
      const written = Math.round(grown * (1 + unseenMs / seenMs));
      this.#counted = { at: now, written };
    }
    return this.#counted!.written;
  }
}

async function sizeOf(connection: Connection): Promise<number> {
  await connection.prepare();
  const answers = await connection.query(SIZE_QUERY) as unknown as Rows[];
  return Number(answers.at(-1)![0]!.bytes);
}
