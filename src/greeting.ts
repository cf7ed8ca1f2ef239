/**
 * What is asked with the log-in: the server's facts, where the history is, and its rows, in one flight.
 *
 * Whether the table can be read without running anything of its owner's is known before it is read; see `place_query.ts`.
 * That is settled by the catalogs, and the search path that the last statement goes by leads to nothing else.
 *
 * @module
 */
import type { DatabaseError } from "./errors.ts";
import {
  type Form,
  passedOver,
  type Place,
  type PlaceFacts,
  placeOf,
} from "./history_place.ts";
import {
  copyStatement,
  type HistoryState,
  HORIZON,
  readCopy,
} from "./history_table.ts";
import type { Questions, Reply } from "./log_in.ts";
import { placeQuery } from "./place_query.ts";
import type { Row } from "./protocol.ts";

/** What the server says of itself. */
export interface ServerFacts {
  /** As `server_version_num`: 180004 is 18.4. */
  readonly versionNumber: number;
  readonly user: string;
  readonly readOnly: boolean;
  readonly backendPid: number;
}

/** Where the history is and what it says. */
export interface FoundHistory {
  readonly place: Place;
  /** `undefined` when there is no history yet. */
  readonly history: HistoryState | undefined;
  /** What was passed over on the way. */
  readonly warnings: readonly string[];
}

export interface GreetingOptions {
  /** The schema that was chosen; the search path decides when missing. */
  readonly schema: string | undefined;
  /** The role that is trusted by `--trust-history-owner`. */
  readonly trustedOwner: string | undefined;
}

/** How often it is asked again: the table has another form, or was changed between two statements of a question. */
const ATTEMPTS = 3;

/** The server's facts and the history, in one flight when the history is in this program's form. */
export function greetingQuery(schema: string | undefined): string {
  return `${SERVER_QUERY}; ${historyQuestion(schema, "own")}`;
}

/** The first questions of a session, and what came of them. */
export class Greeting implements Questions {
  readonly #options: GreetingOptions;
  #server: Row | undefined;
  #facts: PlaceFacts | undefined;
  #history: HistoryState | undefined;
  #failure: DatabaseError | undefined;
  #attempts = 0;
  #asked: Form | "elsewhere" = "own";

  constructor(options: GreetingOptions) {
    this.#options = options;
  }

  get first(): string {
    return greetingQuery(this.#options.schema);
  }

  next(reply: Reply): string | undefined {
    const { schema, trustedOwner } = this.#options;
    const results = this.#server === undefined
      ? reply.results.slice(1)
      : reply.results;
    this.#server ??= reply.results[0]?.[0];
    const place = results[0]?.[0];
    if (place === undefined) {
      this.#failure = reply.failure;
      return undefined;
    }
    this.#facts = JSON.parse(String(place.facts)) as PlaceFacts;
    const asked = this.#asked;
    const table = this.#facts.tables.find(({ decides }) => decides);
    if (table === undefined) {
      const isKnown = schema !== undefined || asked === "elsewhere";
      if (isKnown || this.#facts.usage === false) return undefined;
      this.#asked = "elsewhere";
      return `select p.facts from ${
        placeQuery({ schema }, { owner: trustedOwner, elsewhere: true })
      } p`;
    }
    if (table.fault !== null) return undefined;
    if (table.form === asked && results.length > 1) {
      this.#history = {
        rows: readCopy(asked, results[1]!),
        horizon: String(place.horizon),
      };
      return undefined;
    }
    if (this.#attempts++ === ATTEMPTS) {
      this.#failure = reply.failure;
      return undefined;
    }
    this.#asked = table.form!;
    return historyQuestion(schema, this.#asked);
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
    };
  }

  /**
   * The history, and where it is.
   *
   * @throws {RefusedError} when what is there cannot be read, or the history is somewhere else
   * @throws {Error} when the server refused to answer
   */
  get found(): FoundHistory {
    const facts = this.#facts;
    if (facts === undefined || this.#failure !== undefined) {
      throw new Error("Cannot read the history", { cause: this.#failure });
    }
    return {
      place: placeOf(facts),
      history: this.#history,
      warnings: passedOver(facts),
    };
  }
}

const SERVER_QUERY =
  "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4 as version, " +
  "session_user::pg_catalog.text as user, pg_catalog.pg_backend_pid() as pid, " +
  "pg_catalog.pg_is_in_recovery() or " +
  "pg_catalog.current_setting('transaction_read_only') operator(pg_catalog.=) 'on' as read_only";

/**
 * Where the history is, and its rows if it is there, can be read and has this form. The settings end with the message.
 *
 * With row_security off a policy is an error, and runs nothing:
 * https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-ROW-SECURITY.
 */
function historyQuestion(schema: string | undefined, form: Form): string {
  const set = (name: string, value: string) =>
    `pg_catalog.set_config('${name}', ${value}, true)`;
  const path =
    `case when p.fault is null and p.form operator(pg_catalog.=) '${form}'
      then pg_catalog.concat('pg_catalog, ', pg_catalog.quote_ident(p.schema), ', pg_temp') else 'pg_catalog' end`;
  return `select p.facts, ${HORIZON} as horizon, ${set("search_path", path)}, ${
    set("row_security", "'off'")
  }, ${set("datestyle", "'ISO'")}, ${set("timezone", "'UTC'")}
    from ${placeQuery({ schema })} p; ${copyStatement(form)}`;
}
