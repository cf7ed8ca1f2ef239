/**
 * Connecting: every host in turn, again and again while the failure is one that passes.
 *
 * @module
 */
import type { Config } from "./config.ts";
import { ConnectionError, DatabaseError } from "./errors.ts";
import type { Event } from "./events.ts";
import { factsQuery, greetingQuery, readGreeting } from "./greeting.ts";
import type { RunIdentity } from "./history_statements.ts";
import { Link, type LinkOptions } from "./link.ts";
import type { Migration } from "./migration.ts";
import type { Background, Clock, Database, Session } from "./ports.ts";
import type { Row, Rows } from "./protocol.ts";
import { PostgresSession } from "./session.ts";
import { quoteIdentifier } from "./sql_quote.ts";
import type { HostAndPort } from "./url.ts";

const OLDEST_VERSION = 150_000;

const UNDEFINED_TABLE = "42P01";

/** The wait between two attempts grows from the first to the last, in milliseconds. */
const RETRY_MS = { first: 250, last: 5_000 };

/** How long an attempt may take once the process was asked to stop, in milliseconds. */
const STOPPED_CONNECT_MS = 400;

export interface DatabaseOptions {
  readonly config: Config;
  readonly migrations: readonly Migration[];
  readonly run: RunIdentity;
  readonly clock: Clock;
  readonly background: Background;
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
    const { config, migrations, run, background, stop, report } = this.#options;
    let link: Link | undefined;
    try {
      const opened = await this.#open(
        at,
        greetingQuery(config.schema),
        (severity, message) => report({ event: "notice", severity, message }),
      );
      link = opened.link;
      const greeting = readGreeting(await this.#answer(at, opened));
      assertSupported(greeting.versionNumber, at);
      return new PostgresSession(link, {
        server: {
          host: at.host,
          port: at.port,
          database: config.target.database,
          version: versionText(greeting.versionNumber),
          schema: greeting.schema,
          user: greeting.user,
          readOnly: greeting.readOnly,
          pooled: link.announcedPid !== greeting.backendPid,
        },
        versionNumber: greeting.versionNumber,
        history: greeting.history,
        pipeline: config.pipeline,
        lockTimeoutMs: config.lockTimeoutMs,
        lockRetryMs: config.lockRetryMs,
        statementTimeoutMs: config.statementTimeoutMs,
        chosenSchema: config.schema,
        run,
        migrations,
        openSecond: async () => (await this.#open(at, "select 1")).link,
        report,
        background,
        stop,
      });
    } catch (error) {
      link?.destroy();
      if (error instanceof ConnectionError) return error;
      throw error; // there is a connection, and what it leads to is refused
    }
  }

  /** @throws {ConnectionError} when there is no connection within the time for one attempt */
  #open(
    at: HostAndPort,
    first: string,
    onNotice?: LinkOptions["onNotice"],
  ): ReturnType<typeof Link.open> {
    const { config, run } = this.#options;
    return this.#inTime(at, (signal) =>
      Link.open(at, config.target, first, {
        applicationName: `battlescope-migrate ${run.programVersion}`,
        ...(onNotice && { onNotice }),
        signal,
      }));
  }

  /** The answer to the greeting; where there is no history it failed, and the facts are asked for alone. */
  async #answer(
    at: HostAndPort,
    { link, answer }: Awaited<ReturnType<typeof Link.open>>,
  ): Promise<readonly Rows[]> {
    if (!(answer instanceof DatabaseError)) return answer;
    const facts = await this.#inTime(at, async (signal) => {
      signal.addEventListener("abort", () => link.destroy());
      await link.prepare();
      return await link.send(factsQuery(this.#options.config.schema), []);
    });
    if (answer.server.code === UNDEFINED_TABLE) return [facts];
    throw new Error("Cannot read the history", {
      cause: withReadHint(answer, facts[0]!),
    });
  }

  /** @throws {ConnectionError} when the connection fails, or the time for one attempt is over */
  async #inTime<T>(
    at: HostAndPort,
    attempt: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { config, stop } = this.#options;
    const limitMs = stop.aborted
      ? Math.min(config.connectTimeoutMs, STOPPED_CONNECT_MS)
      : config.connectTimeoutMs;
    using limit = deadline(limitMs, stop);
    try {
      return await attempt(limit.signal);
    } catch (error) {
      stop.throwIfAborted();
      const { connectionFailure } = await import("./connection_failure.ts");
      throw connectionFailure(
        error,
        at,
        config.target,
        limit.isOver() ? limitMs : undefined,
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
