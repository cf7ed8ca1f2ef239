/**
 * Connecting: every host in turn, again and again while the failure is one that passes.
 *
 * @module
 */
import type { Config } from "../cli/config.ts";
import { ConnectionError } from "../errors.ts";
import { addressText } from "../text.ts";
import { backOff } from "../waits.ts";
import type { Event } from "../report/events.ts";
import { Greeting } from "./greeting.ts";
import type { RunIdentity } from "./history/changes.ts";
import { Link, type LinkOptions } from "./wire/link.ts";
import type { Migration } from "../plan/migration.ts";
import type {
  Backend,
  Background,
  Clock,
  Database,
  Session,
} from "../engine/ports.ts";
import type { Questions } from "./wire/log_in.ts";
import { connectionFailure } from "./connection_failure.ts";
import { PostgresSession } from "./session.ts";
import { endIdleQuery } from "./settings.ts";
import type { HostAndPort } from "../cli/connection_string.ts";

const OLDEST_VERSION = 150_000;

/** The wait between two attempts grows, see {@link backOff}; milliseconds. */
const RETRY_MS = { first: 250, last: 5_000 };

/** How long an attempt may take once the process was asked to stop, in milliseconds. */
const STOPPED_CONNECT_MS = 400;

export interface DatabaseOptions {
  readonly config: Config;
  readonly migrations: readonly Migration[];
  /** What was recorded of them, in UTF-8; `undefined` when nothing was. */
  readonly recording: () => Promise<Uint8Array | undefined>;
  readonly run: RunIdentity;
  readonly clock: Clock;
  readonly background: Background;
  readonly stop: AbortSignal;
  readonly report: (event: Event) => void;
}

/** The {@link Database} on PostgreSQL. */
export class PostgresDatabase implements Database {
  readonly #options: DatabaseOptions;
  /** What was warned of, so that a program that connects again and again says it once. */
  readonly #warned = new Set<string>();

  /** The names of the migrations. */
  readonly #names: ReadonlySet<string>;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.#names = new Set(options.migrations.map(({ name }) => name));
  }

  async connect(limitMs?: number, abandoned?: Backend): Promise<Session> {
    const { clock, config, report } = this.#options;
    const deadline = clock.now() + (limitMs ?? config.waitForDbMs);
    const nextWait = backOff(RETRY_MS);
    for (;;) {
      const result = await this.#tryHosts(abandoned);
      if (!(result instanceof ConnectionError)) return result;
      const left = deadline - clock.now();
      if (!result.transient || left <= 0) throw result;
      report({
        event: "waiting_for_database",
        reason: result.message,
        leftMs: left,
      });
      await clock.sleep(Math.min(left, nextWait()));
    }
  }

  /** One attempt at each host. A host that cannot be written to is taken only when no other can be reached. */
  async #tryHosts(abandoned?: Backend): Promise<Session | ConnectionError> {
    const { hosts } = this.#options.config.target;
    let standby: Session | undefined;
    let failure: ConnectionError | undefined;
    for (const host of hosts) {
      const result = await this.#tryHost(host, abandoned).catch(
        async (error) => {
          await standby?.close();
          throw error;
        },
      );
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

  async #tryHost(
    at: HostAndPort,
    abandoned?: Backend,
  ): Promise<Session | ConnectionError> {
    const { config, migrations, recording, run, background, stop, report } =
      this.#options;
    let link: Link | undefined;
    const isThere = abandoned?.host === at.host && abandoned.port === at.port;
    try {
      const greeting = new Greeting({
        schema: config.schema,
        trustedOwner: config.trustedOwner,
        statusRole: config.statusRole,
        carries: (name) => this.#names.has(name),
      });
      link = await this.#open(
        at,
        isThere ? endingFirst(abandoned, greeting) : greeting,
        (severity, message) => report({ event: "notice", severity, message }),
      );
      const { server } = greeting;
      assertSupported(server.versionNumber, at);
      const { place, history, kyselyTables, warnings, missingRights } =
        greeting.found;
      for (const message of warnings) this.#warn(message);
      return new PostgresSession(link, {
        server: {
          host: at.host,
          port: at.port,
          database: config.target.database,
          version: versionText(server.versionNumber),
          schema: place.schema,
          user: server.user,
          readOnly: server.readOnly,
          pooled: link.announcedPid !== server.backendPid,
        },
        versionNumber: server.versionNumber,
        serverStarted: server.started,
        hasPlans: server.hasPlans,
        waitForDbMs: config.waitForDbMs,
        place,
        history,
        kyselyTables,
        pipeline: config.pipeline,
        lockTimeoutMs: config.lockTimeoutMs,
        lockRetryMs: config.lockRetryMs,
        statementTimeoutMs: config.statementTimeoutMs,
        chosenSchema: config.schema,
        trustedOwner: config.trustedOwner,
        statusRole: config.statusRole,
        missingRights,
        run,
        migrations,
        recording,
        openSecond: () => this.#open(at, { first: "select 1" }),
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
    questions: Questions,
    onNotice?: LinkOptions["onNotice"],
  ): Promise<Link> {
    const { config, run } = this.#options;
    return this.#inTime(
      at,
      (signal) =>
        Link.open(at, config.target, questions, {
          applicationName: `battlescope-migrate ${run.programVersion}`,
          ...(onNotice && { onNotice }),
          signal,
        }),
    );
  }

  #warn(message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#options.report({ event: "warning", message });
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
      throw connectionFailure(
        error,
        at,
        config.target,
        limit.isOver() ? limitMs : undefined,
      );
    }
  }
}

/** Asks for the end of a process first; whether there was one is no matter. */
function endingFirst(abandoned: Backend, questions: Questions): Questions {
  let isFirst = true;
  return {
    first: endIdleQuery(abandoned),
    copied: (data, begin, end) => questions.copied?.(data, begin, end),
    next: (answer) => {
      if (!isFirst) return questions.next?.(answer);
      isFirst = false;
      return questions.first;
    },
  };
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
  const what = Number.isInteger(versionNumber) && versionNumber > 0
    ? `it is PostgreSQL ${versionText(versionNumber)}, and`
    : "it does not say which version of PostgreSQL it is;";
  throw new ConnectionError(
    `Cannot use the server at ${
      addressText(at)
    }: ${what} 15 is the oldest that works`,
    { transient: false },
  );
}

function versionText(versionNumber: number): string {
  return versionNumber >= 100_000
    ? `${Math.floor(versionNumber / 10_000)}.${versionNumber % 10_000}`
    : `${Math.floor(versionNumber / 10_000)}.${
      Math.floor(versionNumber / 100) % 100
    }`;
}
