/**
 * Connecting: every host in turn, again and again while the failure is one that passes.
 *
 * @module
 */
import type { Config } from "./config.ts";
import { Connection, type ConnectionObserver } from "./connection.ts";
import { connectionFailure } from "./connection_failure.ts";
import type { Row, Rows } from "./protocol.ts";
import {
  ConnectionError,
  ConnectionLostError,
  DatabaseError,
} from "./errors.ts";
import type { Event } from "./events.ts";
import type { Migration } from "./migration.ts";
import type { Clock, Database, Session } from "./ports.ts";
import { PostgresSession } from "./session.ts";
import { quoteIdentifier } from "./statement.ts";
import {
  factsQuery,
  greetingQuery,
  readGreeting,
  type RunIdentity,
} from "./store.ts";
import type { HostAndPort } from "./url.ts";

const OLDEST_VERSION = 150_000;

const UNDEFINED_TABLE = "42P01";

/** The wait between two attempts grows from the first to the last, in milliseconds. */
const RETRY_MS = { first: 250, last: 5_000 };

export interface DatabaseOptions {
  readonly config: Config;
  readonly migrations: readonly Migration[];
  readonly run: RunIdentity;
  readonly clock: Clock;
  readonly stop: AbortSignal;
  readonly report: (event: Event) => void;
}

/** The {@link Database} on PostgreSQL. */
export class PostgresDatabase implements Database {
  readonly #options: DatabaseOptions;

  constructor(options: DatabaseOptions) {
    this.#options = options;
  }

  async connect(
    limitMs: number = this.#options.config.waitForDbMs,
  ): Promise<Session> {
    const { clock, report } = this.#options;
    const deadline = clock.now() + limitMs;
    for (let wait = RETRY_MS.first;; wait = Math.min(wait * 2, RETRY_MS.last)) {
      const result = await this.#tryHosts();
      if (!(result instanceof ConnectionError)) return result;
      const left = deadline - clock.now();
      if (!result.transient || left <= 0) throw result;
      report({
        event: "waiting_for_database",
        reason: result.message,
        leftMs: left,
      });
      // Half of the wait is chance: pods that start together must not knock together.
      await clock.sleep(Math.min(left, wait / 2 + Math.random() * wait / 2));
    }
  }

  /** One attempt at each host. A host that cannot be written to is taken only when no other can be reached. */
  async #tryHosts(): Promise<Session | ConnectionError> {
    const { hosts } = this.#options.config.target;
    let standby: Session | undefined;
    let failure: ConnectionError | undefined;
    for (const host of hosts) {
      const result = await this.#tryHost(host);
      if (result instanceof ConnectionError) {
        // Of several failures the one that may pass decides: that host may yet come up.
        if (failure === undefined || result.transient) failure = result;
        continue;
      }
      if (!result.server.readOnly || hosts.length === 1) {
        await standby?.close();
        return result;
      }
      await standby?.close();
      standby = result;
    }
    return standby ?? failure!;
  }

  async #tryHost(at: HostAndPort): Promise<Session | ConnectionError> {
    const { config, migrations, run, stop, report } = this.#options;
    let connection: Connection | undefined;
    // What is asked after the log-in gets the same time again.
    using limit = deadline(2 * config.connectTimeoutMs, stop);
    limit.signal.addEventListener("abort", () => connection?.destroy());
    try {
      const opened = await this.#open(at, greetingQuery(config.schema), {
        onStatement: (sql, durationMs) =>
          report({ event: "statement", sql, durationMs }),
        onNotice: (severity, message) =>
          report({ event: "notice", severity, message }),
      });
      connection = opened.connection;
      const greeting = readGreeting(
        await answerOf(connection, opened.answer, config.schema),
      );
      assertSupported(greeting.versionNumber, at);
      return new PostgresSession(connection, {
        server: {
          host: at.host,
          port: at.port,
          database: config.target.database,
          version: versionText(greeting.versionNumber),
          schema: greeting.schema,
          user: greeting.user,
          readOnly: greeting.readOnly,
          pooled: connection.announcedPid !== greeting.backendPid,
        },
        versionNumber: greeting.versionNumber,
        history: greeting.history,
        lockTimeoutMs: config.lockTimeoutMs,
        statementTimeoutMs: config.statementTimeoutMs,
        chosenSchema: config.schema,
        run,
        checksums: new Map(
          migrations.map(({ name, checksum }) => [name, checksum]),
        ),
        openSecond: async () =>
          (await this.#open(at, "select 1", {})).connection,
        report,
        stop,
      });
    } catch (error) {
      connection?.destroy();
      stop.throwIfAborted();
      if (error instanceof ConnectionError) return error;
      if (error instanceof ConnectionLostError) {
        return connectionFailure(
          error,
          at,
          config.target,
          limit.isOver() ? 2 * config.connectTimeoutMs : undefined,
        );
      }
      throw error; // there is a connection, and what it leads to is refused
    }
  }

  /** @throws {ConnectionError} when there is no connection within the time for one attempt */
  async #open(
    at: HostAndPort,
    first: string,
    observer: ConnectionObserver,
  ): ReturnType<typeof Connection.open> {
    const { config, run, stop } = this.#options;
    using limit = deadline(config.connectTimeoutMs, stop);
    try {
      return await Connection.open(at, config.target, first, {
        applicationName: `battlescope-migrate ${run.programVersion}`,
        observer,
        pipeline: config.pipeline,
        signal: limit.signal,
      });
    } catch (error) {
      stop.throwIfAborted();
      throw connectionFailure(
        error,
        at,
        config.target,
        limit.isOver() ? config.connectTimeoutMs : undefined,
      );
    }
  }
}

interface Deadline extends Disposable {
  /** Aborts when the time is over, or `stop` does. */
  readonly signal: AbortSignal;
  readonly isOver: () => boolean;
}

/** The runtime's own `AbortSignal.any` and `.timeout` take longer to make than all else that an attempt needs. */
function deadline(ms: number, stop: AbortSignal): Deadline {
  const limit = new AbortController();
  const abort = () => limit.abort(stop.reason);
  stop.addEventListener("abort", abort, { once: true });
  let over = false;
  const timer = setTimeout(() => {
    over = true;
    limit.abort(new Error("the time for one attempt is over"));
  }, ms);
  return {
    signal: limit.signal,
    isOver: () => over,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      stop.removeEventListener("abort", abort);
    },
  };
}

function assertSupported(versionNumber: number, at: HostAndPort): void {
  if (versionNumber >= OLDEST_VERSION) return;
  throw new ConnectionError(
    `Cannot use the server at ${at.host}:${at.port}: it is PostgreSQL ${
      versionText(versionNumber)
    }, and 15 is the oldest that works`,
    { transient: false },
  );
}

/** The answer to the greeting; where there is no history it failed, and the facts are asked for alone. */
async function answerOf(
  connection: Connection,
  answer: readonly Rows[] | DatabaseError,
  schema: string | undefined,
): Promise<readonly Rows[]> {
  if (!(answer instanceof DatabaseError)) return answer;
  const facts = await connection.query(factsQuery(schema));
  if (answer.server.code === UNDEFINED_TABLE) return [facts];
  throw new Error("Cannot read the history", {
    cause: withReadHint(answer, facts[0]!),
  });
}

function withReadHint({ server }: DatabaseError, facts: Row): DatabaseError {
  if (server.code !== "42501") return new DatabaseError(server);
  const role = quoteIdentifier(String(facts.user));
  const schema = quoteIdentifier(String(facts.schema ?? "public"));
  const hint = /schema/.test(server.message)
    ? `As the owner of the schema: grant usage, create on schema ${schema} to ${role}`
    : `As the owner of the table: grant select on ${schema}."migration_history" to ${role}`;
  return new DatabaseError({ ...server, hint });
}

function versionText(versionNumber: number): string {
  return versionNumber >= 100_000
    ? `${Math.floor(versionNumber / 10_000)}.${versionNumber % 10_000}`
    : `${Math.floor(versionNumber / 10_000)}.${
      Math.floor(versionNumber / 100) % 100
    }`;
}
