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
} from "./history/place.ts";
import { copyStatement, type HistoryState, HORIZON } from "./history/rows.ts";
import { CopiedHistory } from "./history/copied.ts";
import type { Questions, Reply } from "./wire/log_in.ts";
import { elsewhereQuery, pathQuery } from "./history/place_query.ts";
import {
  type MissingRights,
  missingRights,
  rightsQuery,
} from "./history/status_grant.ts";
import { SERVER_STARTED } from "./settings.ts";
import type { Row } from "./wire/protocol.ts";

/** What the server says of itself. */
export interface ServerFacts {
  /** As `server_version_num`: 180004 is 18.4. */
  readonly versionNumber: number;
  readonly user: string;
  readonly readOnly: boolean;
  readonly backendPid: number;
  /** See {@link SERVER_STARTED}. */
  readonly started: string;
}

/** Where the history is and what it says. */
export interface FoundHistory {
  readonly place: Place;
  /** `undefined` when there is no history yet. */
  readonly history: HistoryState | undefined;
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
  /** What the last question read, as far as that is known; or that it asked for histories in other schemas. */
  #asked: { readonly table?: string; readonly form: Form } | "elsewhere" = {
    form: "own",
  };
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
    this.#copied.take(data, begin, end);
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
      warnings: place.passedOver,
      missingRights: statusRole === undefined || readOnly
        ? undefined
        : missingRights(this.#rights, place, statusRole, user),
    };
  }

  #next({ results, failure }: Reply): string | undefined {
    const [first, path] = results.map((rows) => rows[0]);
    const rows = results[2];
    const { schema, trustedOwner, statusRole } = this.#options;
    const unread = () =>
      new Error("Cannot read the history", { cause: failure });
    if (this.#asked === "elsewhere") {
      if (first === undefined) throw unread();
      const elsewhere = first.elsewhere as readonly string[] | null;
      if (elsewhere === null) return undefined;
      throw elsewhereError(elsewhere, this.#found!.schema);
    }
    this.#server ??= first;
    if (path === undefined) throw unread();
    const found = placeOf(String(path.facts), this.server.user);
    this.#found = found;
    this.#rights = (path.rights ?? null) as string | null;
    if (found.form === "missing") {
      if (schema !== undefined) return undefined;
      this.#asked = "elsewhere";
      return `select pg_catalog.array_to_json(${
        elsewhereQuery(trustedOwner)
      }) as elsewhere`;
    }
    const table = historyTable(found.schema!);
    const isFirst = schema !== undefined || (found.isFirst && path.clean);
    const asked = this.#asked.table ?? (isFirst ? table : undefined);
    if (
      rows !== undefined && asked === table && this.#asked.form === found.form
    ) {
      const horizon = String(path.horizon);
      this.#history = this.#copied.state(horizon);
      return undefined;
    }
    if (this.#questions++ === MOST_QUESTIONS) throw unread();
    this.#asked = { table, form: found.form };
    this.#copied = new CopiedHistory(found.form, this.#options.carries);
    return questionOf(schema, statusRole, copyStatement(table, found.form));
  }
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
