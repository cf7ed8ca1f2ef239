/**
 * What is asked with the log-in: the server's facts, where the history is, and its rows, in one flight.
 *
 * Nothing of a stranger's runs by it: the catalogs are asked in qualified names, and of the table that the search path leads
 * to, whatever it is, COPY reads the rows or fails. What it has read counts when the catalogs say that it is a history.
 *
 * @module
 */
import {
  elsewhereError,
  type Form,
  type Found,
  HISTORY_TABLE,
  historyTable,
  type Place,
  placeOf,
  PLANS,
} from "./history/place.ts";
import { copyStatement, type HistoryState, HORIZON } from "./history/rows.ts";
import { CopiedHistory } from "./history/copied.ts";
import type { Questions, Reply } from "./wire/log_in.ts";
import {
  elsewhereQuery,
  kyselyTablesQuery,
  pathQuery,
} from "./history/place_query.ts";
import type { KyselyTable } from "../plan/kysely.ts";
import { quoteIdentifier } from "../sql/quote.ts";
import {
  type MissingRights,
  missingRights,
  rightsQuery,
} from "./history/status_grant.ts";
import { SERVER_STARTED } from "./settings.ts";
import { readCopied, type Row } from "./wire/protocol.ts";

/** What the server says of itself. */
export interface ServerFacts {
  /** As `server_version_num`: 180004 is 18.4. */
  readonly versionNumber: number;
  readonly user: string;
  readonly readOnly: boolean;
  readonly backendPid: number;
  /** See {@link SERVER_STARTED}. */
  readonly started: string;
  /** Whether there is a table with the name of that of plans, in whatever schema. */
  readonly hasPlans: boolean;
}

/** Where the history is and what it says. */
export interface FoundHistory {
  readonly place: Place;
  /** `undefined` when there is no history yet. */
  readonly history: HistoryState | undefined;
  /** Those of Kysely's own migrator, when the history says that nothing was ever applied. */
  readonly kyselyTables: readonly KyselyTable[];
  /** What was passed over on the way. */
  readonly warnings: readonly string[];
  /** What the role of `--grant-status` lacks; `undefined` when none was named, or nothing can be written. */
  readonly missingRights: MissingRights | undefined;
}

export interface GreetingOptions {
  /** The schema that was chosen; the search path decides when missing. */
  readonly schema: string | undefined;
  /** The role that is trusted by `--trust-history-owner`. */
  readonly trustedOwner: string | undefined;
  /** The role of `--grant-status`. @default {none} */
  readonly statusRole?: string | undefined;
  /** Whether the program carries a migration of that name. */
  readonly carries: (name: string) => boolean;
}

/** How often it is asked again: the table is another one than the first of its name, or was changed meanwhile. */
const MOST_QUESTIONS = 4;

/**
 * What the server says of itself, and how the session reads and is shown what it reads. The settings end with the message.
 *
 * With row_security off a policy is an error, and runs nothing:
 * https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-ROW-SECURITY.
 */
const SERVER_QUERY =
  `select pg_catalog.current_setting('server_version_num')::integer as version,
    session_user::pg_catalog.text as user, pg_catalog.pg_backend_pid() as pid, ${SERVER_STARTED} as started,
    pg_catalog.pg_is_in_recovery() or
      pg_catalog.current_setting('transaction_read_only') operator(pg_catalog.=) 'on' as read_only,
    exists (select from pg_catalog.pg_class p where p.relname operator(pg_catalog.=) '${PLANS}') as has_plans,
    pg_catalog.set_config('row_security', 'off', true), pg_catalog.set_config('datestyle', 'ISO', true),
    pg_catalog.set_config('timezone', 'UTC', true)`;

/** The first question: where the history is, and the rows of the first table of its name. */
export function greetingQuery(
  schema: string | undefined,
  statusRole?: string,
): string {
  const table = schema === undefined ? HISTORY_TABLE : historyTable(schema);
  return questionOf(schema, statusRole, copyStatement(table, "own"));
}

/** The first questions of a session, and what came of them. */
export class Greeting implements Questions {
  readonly #options: GreetingOptions;
  #server: Row | undefined;
  /** What the last question read, as far as that is known; or what else it asked for: see `#askOthers`, and the names in a table of Kysely's. */
  #asked:
    | { readonly table?: string; readonly form: Form }
    | "others"
    | "names" = { form: "own" };
  readonly #kyselyTables: KyselyTable[] = [];
  /** Those whose names are to be read. */
  #unread: KyselyFacts[] = [];
  #names: string[] = [];
  /** What has been copied in answer to it. */
  #copied: CopiedHistory;
  #questions = 1;
  #found: Found | undefined;
  #history: HistoryState | undefined;
  /** The answer to `rightsQuery`. */
  #rights: string | null = null;
  #failure: unknown;

  constructor(options: GreetingOptions) {
    this.#options = options;
    this.#copied = new CopiedHistory("own", options.carries);
  }

  get first(): string {
    const { schema, statusRole } = this.#options;
    return greetingQuery(schema, statusRole);
  }

  copied(data: Uint8Array, begin: number, end: number): void {
    if (this.#asked !== "names") this.#copied.take(data, begin, end);
    else this.#names.push(String(readCopied(data.subarray(begin, end))[0]));
  }

  next(reply: Reply): string | undefined {
    try {
      return this.#next(reply);
    } catch (error) {
      this.#failure = error;
      return undefined;
    }
  }

  /** @throws {DatabaseError} when it could not be asked */
  get server(): ServerFacts {
    const server = this.#server;
    if (server === undefined) throw this.#failure;
    return {
      versionNumber: Number(server.version),
      user: String(server.user),
      readOnly: server.read_only === true,
      backendPid: Number(server.pid),
      started: String(server.started),
      hasPlans: server.has_plans === true,
    };
  }

  /**
   * The history, and where it is.
   *
   * @throws {RefusedError} when what is there cannot be read, or the history is somewhere else
   * @throws {Error} when the server refused to answer
   */
  get found(): FoundHistory {
    if (this.#failure !== undefined) throw this.#failure;
    const place = this.#found!;
    const { statusRole } = this.#options;
    const { readOnly, user } = this.server;
    return {
      place,
      history: this.#history,
      kyselyTables: this.#kyselyTables,
      warnings: place.passedOver,
      missingRights: statusRole === undefined || readOnly
        ? undefined
        : missingRights(this.#rights, place, statusRole, user),
    };
  }

  #next({ results, failure }: Reply): string | undefined {
    const [first, path] = results.map((rows) => rows[0]);
    const rows = results[2];
    const { schema, statusRole } = this.#options;
    const unread = () =>
      new Error("Cannot read the history", { cause: failure });
    if (this.#asked === "others") {
      if (first === undefined) throw unread();
      const elsewhere = first.elsewhere as readonly string[] | null;
      if (elsewhere !== null) {
        throw elsewhereError(elsewhere, this.#found!.schema);
      }
      const tables = (first.kysely ?? []) as readonly KyselyFacts[];
      this.#unread = tables.filter(([, , , trusted]) => trusted);
      for (const table of tables) {
        if (!table[3]) this.#kyselyTables.push(kyselyTable(table, undefined));
      }
      return this.#askNames();
    }
    if (this.#asked === "names") {
      const table = this.#unread.shift()!;
      // One that is gone by now says nothing.
      const names = failure === undefined ? this.#names : [];
      this.#kyselyTables.push(kyselyTable(table, names));
      return this.#askNames();
    }
    this.#server ??= first;
    if (path === undefined) throw unread();
    const found = placeOf(String(path.facts), this.server.user);
    this.#found = found;
    this.#rights = (path.rights ?? null) as string | null;
    if (found.form === "missing") {
      return this.#askOthers(schema === undefined);
    }
    const table = historyTable(found.schema!);
    const isFirst = schema !== undefined || (found.isFirst && path.clean);
    const asked = this.#asked.table ?? (isFirst ? table : undefined);
    if (
      rows !== undefined && asked === table && this.#asked.form === found.form
    ) {
      const horizon = String(path.horizon);
      this.#history = this.#copied.state(horizon);
      // What was rolled back was applied once, and not by another migrator.
      return this.#history.rows.every(({ status }) => status === "failed")
        ? this.#askOthers(false)
        : undefined;
    }
    if (this.#questions++ === MOST_QUESTIONS) throw unread();
    this.#asked = { table, form: found.form };
    this.#copied = new CopiedHistory(found.form, this.#options.carries);
    return questionOf(schema, statusRole, copyStatement(table, found.form));
  }

  /** Where nothing is applied, another migrator may have been at work; where there is no history, there may be one elsewhere. */
  #askOthers(isMissing: boolean): string {
    const { trustedOwner } = this.#options;
    const elsewhere = isMissing
      ? `pg_catalog.array_to_json(${elsewhereQuery(trustedOwner)})`
      : "null";
    this.#asked = "others";
    return `select ${elsewhere} as elsewhere, ${
      kyselyTablesQuery(trustedOwner)
    } as kysely`;
  }

  #askNames(): string | undefined {
    const [next] = this.#unread;
    if (next === undefined) return undefined;
    const [schema, name] = next;
    this.#asked = "names";
    this.#names = [];
    return `copy ${
      [schema, name].map(quoteIdentifier).join(".")
    } (name) to stdout`;
  }
}

/** What is told of a table of Kysely's: see `kyselyTablesQuery`. */
type KyselyFacts = readonly [
  schema: string,
  name: string,
  owner: string,
  trusted: boolean,
];

function kyselyTable(
  [schema, name, owner]: KyselyFacts,
  names: readonly string[] | undefined,
): KyselyTable {
  return { table: `${schema}.${name}`, schema, owner, names };
}

/** Where the history is, and with it what a statement reads. */
function questionOf(
  schema: string | undefined,
  statusRole: string | undefined,
  read: string,
): string {
  const rights = statusRole === undefined
    ? ""
    : `, ${rightsQuery(statusRole, schema)} as rights`;
  return `${SERVER_QUERY}; select p.facts, ${HORIZON} as horizon,
    pg_catalog.pg_my_temp_schema() operator(pg_catalog.=) 0 as clean${rights} from ${
    pathQuery(schema)
  } p; ${read}`;
}
