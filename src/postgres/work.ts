/**
 * What is done under the migration lock, in one transaction or on one pinned session: settings, the lock, steps, the history.
 *
 * @module
 */
import {
  causeOf,
  causesOf,
  ConnectionLostError,
  DatabaseError,
  MigrationError,
  RefusedError,
} from "../errors.ts";
import type { BackfillWork, BatchLimits } from "../engine/backfill_ports.ts";
import type { SchemaReader } from "../engine/catalog_ports.ts";
import type {
  Background,
  KeptPlan,
  LockedHistory,
  Work,
  Written,
} from "../engine/ports.ts";
import type { HistoryChange } from "../plan/history.ts";
import type { TracedRow } from "../plan/outcome.ts";
import type { Step } from "../plan/plan.ts";
import type { Event, ServerInfo } from "../report/events.ts";
import type { Connection } from "./connection/connection.ts";
import type { Sender } from "./connection/in_flight.ts";
import type { RunIdentity } from "./history/changes.ts";
import type { SessionHistory } from "./history/session_history.ts";
import { withHint } from "./hints.ts";
import type { WatchedBackend } from "./activity.ts";
import { sealQuery, sealStep } from "./seal.ts";
import {
  lockQuery,
  type Scope,
  SERVER_STARTED,
  SESSION_SETTINGS,
  type Settings,
  settingsList,
} from "./settings.ts";
import { durationsOf, functionOf, stepsUntil } from "./running_steps.ts";
import { RunningStep } from "./step.ts";
import { StepOutside } from "./step_outside.ts";
import type { Rows } from "./wire/protocol.ts";

/** How work is done. Times are milliseconds. */
export interface WorkOptions {
  readonly server: ServerInfo;
  /** As `server_version_num`. */
  readonly versionNumber: number;
  readonly pipeline: boolean;
  readonly lockTimeoutMs: number;
  readonly lockRetryMs: number;
  readonly statementTimeoutMs: number;
  /** The schema that was chosen and so has to become the search path. */
  readonly chosenSchema: string | undefined;
  readonly report: (event: Event) => void;
  readonly background: Background;
  readonly run: RunIdentity;
}

/** What work is done on. */
export interface WorkPlace {
  readonly scope: Scope;
  readonly connection: Connection;
  readonly history: SessionHistory;
  /** Runs what must be found out also after the process was asked to stop. */
  readonly despiteStop: <T>(work: () => Promise<T>) => Promise<T>;
  /** Told of the backend at work. */
  readonly onBackend: (backend: WatchedBackend) => void;
}

/** The {@link Work} on PostgreSQL. */
export class SessionWork implements Work {
  readonly #place: WorkPlace;
  readonly #options: WorkOptions;
  #steps: RunningStep[] = [];
  /** What seals a step, once the lock is taken. */
  #seal = "";

  constructor(place: WorkPlace, options: WorkOptions) {
    this.#place = place;
    this.#options = options;
  }

  /** The migration whose function is at work. */
  get atWork(): Step | undefined {
    const last = this.#steps.at(-1);
    return last?.isRunning ? last.step : undefined;
  }

  /** The steps up to the one that has sent it; nothing of what another work has sent. */
  stepsUntil(sender: Sender | undefined): readonly Step[] {
    return stepsUntil(this.#steps, sender);
  }

  /** Nothing more is done: what its steps have left behind is forgotten. */
  close(): void {
    for (const step of this.#steps) step.close();
    this.#steps = [];
  }

  /**
   * One flight: settings, then the lock, then whether the history is still the known one. `set_config` in the transaction also
   * holds behind a pooler, which drops or rejects startup parameters.
   */
  async lock(): Promise<LockedHistory | undefined> {
    const { scope, connection, history, onBackend } = this.#place;
    const { pooled } = this.#options.server;
    const settings = this.#settings();
    const answers = await connection.query(
      [
        // A pooler has its own settings on a connection that others have used.
        ...(pooled ? [SESSION_SETTINGS] : []),
        lockQuery(settings, scope),
        ...history.lockQueries(),
      ].join("; "),
    ) as unknown as readonly Rows[];
    const given = pooled ? answers[0]! : [];
    const [[row] = [], ...rest] = answers.slice(pooled ? 1 : 0);
    if (row?.applied !== true) {
      throw new RefusedError([
        "Cannot set lock_timeout and statement_timeout: the server, or a pooler before it, did not take them",
      ]);
    }
    onBackend({ pid: Number(row.pid), serverStarted: String(row.started) });
    if (row.locked !== true) return undefined;
    this.#seal = sealQuery(settings, scope, {
      at: String(row.began),
      settings: given.map(({ name, setting }) => [
        String(name),
        String(setting),
      ]),
    });
    return await history.underLock(rest);
  }

  async prepareHistory(): Promise<void> {
    const { scope, connection, history } = this.#place;
    if (history.known.place.form === "own") return await history.grantStatus();
    if (scope === "transaction") return await history.prepare();
    // Outside a transaction it needs one of its own: half a conversion must never be seen.
    try {
      await connection.begin();
      await history.prepare();
      await connection.commit();
    } catch (error) {
      await connection.rollback();
      throw error;
    }
  }

  async grantStatus(): Promise<void> {
    await this.#place.history.grantStatus();
  }

  async run(step: Step, onBegun: () => void): Promise<void> {
    const { scope, connection } = this.#place;
    const before = this.#steps.at(-1);
    if (before === undefined) onBegun();
    else before.whenSealed(onBegun);
    // Kysely is loaded when the first migration runs: most runs find that nothing is to be done.
    const { openKysely } = await import("./kysely.ts");
    const outside = scope === "session"
      ? new StepOutside(step, this.#place, this.#options)
      : undefined;
    const running = new RunningStep(await functionOf(step), {
      connection,
      background: this.#options.background,
      scope,
      openKysely,
      ...(outside && { before: (text: string) => outside.before(text) }),
    });
    this.#steps.push(running);
    const { conformingStrings } = connection;
    try {
      await running.run();
      await sealStep(connection, running, {
        scope,
        seal: this.#seal,
        pipeline: this.#options.pipeline,
      });
      // The next texts are understood before they are sent: how they will be read must be known.
      if (connection.conformingStrings !== conformingStrings) {
        await connection.inFlight.settle();
      }
    } catch (error) {
      // What has aborted the transaction is the cause, whatever the function has made of it.
      // What is recorded of it must not be part of what it left open.
      if (scope === "session") {
        await connection.rollBackForeign();
        throw this.attributed(
          await outside!.withLeftBehind(error),
          running,
        );
      }
      const { aborted } = connection.transaction;
      const known = aborted === undefined || causesOf(error).includes(aborted);
      throw this.attributed(known ? error : aborted, running);
    }
  }

  async settle(): Promise<readonly number[]> {
    const { inFlight, transaction } = this.#place.connection;
    await inFlight.settle();
    transaction.throwIfAborted();
    return durationsOf(this.#steps);
  }

  async schema(): Promise<SchemaReader> {
    const { scope, connection, history: { schema } } = this.#place;
    const { schemaReader } = await import("./work_schema.ts");
    return schemaReader(connection, {
      schema,
      versionNumber: this.#options.versionNumber,
      inTransaction: scope === "transaction",
      explained: (error) => this.attributed(error),
    });
  }

  async backfill(): Promise<BackfillWork> {
    const { connection, history, onBackend } = this.#place;
    const { run, server } = this.#options;
    // Most runs fill nothing.
    const { PostgresBackfillWork } = await import("./backfill/work.ts");
    return new PostgresBackfillWork({
      connection,
      schema: () => history.schema,
      writer: () => ({
        runId: run.runId,
        host: run.host(),
        pid: server.pooled ? null : connection.announcedPid ?? null,
      }),
      hide: run.hide,
      given: server.pooled ? [SESSION_SETTINGS] : [],
      settings: (limits) =>
        `${
          settingsList(this.#settings(limits), "transaction")
        }, ${SERVER_STARTED} as started`,
      begun: (limits, begun, backend) => {
        onBackend(backend);
        this.#seal = sealQuery(this.#settings(limits), "transaction", begun);
      },
    });
  }

  async trace(ids: readonly number[]): Promise<readonly TracedRow[]> {
    return await this.#place.history.trace(ids);
  }

  write(changes: readonly HistoryChange[]): Promise<readonly Written[]> {
    const { history, scope } = this.#place;
    const written = history.write(changes, scope).catch((error) => {
      throw this.attributed(error);
    });
    written.catch(() => {}); // what a write that was sent ahead rejects with, the commit rejects with
    return written;
  }

  async keepPlans(plans: readonly KeptPlan[]): Promise<() => Promise<void>> {
    const { keepPlans } = await import("./history/plans.ts");
    return () => keepPlans(this.#place, this.#options.run.runId, plans);
  }

  /** An error of a statement that ran ahead surfaces later: it is named after the step that sent it. */
  attributed(error: unknown, running?: RunningStep): unknown {
    if (causeOf(error, MigrationError) !== undefined) return error;
    const { connection, history } = this.#place;
    const explained = history.explained(error);
    if (explained !== error) return explained;
    const sender = connection.senderOf(causeOf(error, ConnectionLostError)) ??
      connection.senderOf(causeOf(error, DatabaseError));
    // The loss of the connection stays the error of everything after it, which is not the fault of that step.
    const step = this.#steps.find((one) => one === sender) ?? running;
    const cause = withHint(step?.explained(error) ?? error, {
      ...this.#options,
      ...this.#options.server,
      scope: step?.scope ?? "transaction",
      before: step === undefined ? 0 : this.#steps.indexOf(step),
    });
    return step === undefined ? cause : new MigrationError(
      step.step.migration.name,
      step.step.direction,
      { cause },
    );
  }

  #settings(limits?: BatchLimits): Settings {
    const { lockNames } = this.#place.history;
    return { ...this.#options, ...limits, lockNames };
  }
}
