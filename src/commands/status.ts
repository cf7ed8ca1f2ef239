import type { Command } from "../cli/command.ts";
import { ConnectionError, ConnectionLostError, ExitCode } from "../errors.ts";
import type { Config } from "../cli/config.ts";
import type { PlannedTime } from "../insight/planned_times.ts";
import type { OpenBackfill } from "../plan/backfill_progress.ts";
import type { ServerInfo } from "../report/events.ts";
import { isApplied } from "../plan/history.ts";
import { kyselyFindings, type KyselyTable } from "../plan/kysely.ts";
import type { Migration } from "../plan/migration.ts";
import { type MigrationState, migrationStates } from "../plan/states.ts";
import {
  type Context,
  type Result,
  type SessionOptions,
  withSession,
} from "./context.ts";

/** What the database says at one moment. */
interface Reading {
  readonly server: ServerInfo;
  readonly states: readonly MigrationState[];
  readonly backfills: ReadonlyMap<string, OpenBackfill>;
  readonly plans: ReadonlyMap<number, PlannedTime>;
  readonly kyselyTables: readonly KyselyTable[];
}

/** How often `--wait` looks, in milliseconds. */
const POLL_MS = 1_000;

/** Shows every migration and its state. */
export async function status(
  context: Context,
  command: Command & { kind: "status" },
): Promise<Result> {
  const { ports, program, config } = context;
  const { phase } = config;
  const { server, states, backfills, plans, kyselyTables } = await read(
    context,
    command.waitMs,
  );
  const asked = command.check || command.waitMs !== undefined;
  // Whoever asks for nothing but an answer gets it as the exit code.
  if (!(asked && config.verbosity === "quiet")) {
    ports.report({
      event: "status",
      server,
      states,
      backfills,
      plans,
      program: { ...program },
    });
  }
  const { faults, warnings } = kyselyFindings(kyselyTables, {
    migrations: context.migrations,
    pending: pendingOf(states, phase),
    schema: server.schema,
    isChosen: config.schema !== undefined,
  });
  for (const message of [...faults, ...warnings]) {
    ports.report({ event: "warning", message });
  }
  if (!asked) return { exitCode: ExitCode.done };
  if (pending(states, phase) > 0) return { exitCode: ExitCode.pending };
  return {
    exitCode: states.some(({ state }) => state === "changed")
      ? ExitCode.failed
      : ExitCode.done,
  };
}

/** Reads once, or until nothing is pending or the time is over. */
async function read(
  context: Context,
  waitMs: number | undefined,
): Promise<Reading> {
  if (waitMs === undefined) return await readOnce(context);
  const { clock, report } = context.ports;
  const { phase } = context.config;
  const deadline = clock.now() + waitMs;
  let reported: number | undefined;
  for (let again = false;;) {
    const limitMs = Math.max(deadline - clock.now(), 0);
    const result: Reading | undefined = await readOnce(context, {
      limitMs,
      again,
    })
      .catch((error): undefined => {
        // While it waits a server may come and go; what cannot pass ends the wait.
        const passes = error instanceof ConnectionLostError ||
          (error instanceof ConnectionError && error.transient);
        if (!passes || clock.now() >= deadline) throw error;
      });
    again ||= result !== undefined;
    const leftMs = deadline - clock.now();
    if (
      result !== undefined &&
      (pending(result.states, phase) === 0 || leftMs <= 0)
    ) {
      return result;
    }
    const count = result === undefined
      ? undefined
      : pending(result.states, phase);
    if (count !== undefined && count !== reported) {
      report({ event: "waiting_for_migrations", pending: count, leftMs });
      reported = count;
    }
    await clock.sleep(Math.min(Math.max(leftMs, 0), POLL_MS));
  }
}

/** A connection of its own each time: a waiting pod must not keep one open. */
function readOnce(
  context: Context,
  options?: SessionOptions,
): Promise<Reading> {
  return withSession(context, async (session) => {
    const { server, history, kyselyTables } = session;
    const states = migrationStates(context.migrations, history);
    const open = states.filter(({ state }) => state === "open");
    const positions = open.length === 0
      ? new Map<number, OpenBackfill>()
      : await session.openBackfills(open.map(({ row }) => row!.id));
    const backfills = open.flatMap(({ name, row }) => {
      const position = positions.get(row!.id);
      return position === undefined ? [] : [[name, position] as const];
    });
    // What is asked again and again is not shown.
    const isShown = options === undefined ||
      pending(states, context.config.phase) === 0;
    const plans = isShown && session.mayHavePlans
      ? await (await session.catalog()).plans()
      : new Map<number, PlannedTime>();
    return {
      server,
      states,
      plans,
      kyselyTables,
      backfills: new Map(backfills),
    };
  }, options);
}

function pending(
  states: readonly MigrationState[],
  phase: Config["phase"],
): number {
  return pendingOf(states, phase).length;
}

function pendingOf(
  states: readonly MigrationState[],
  phase: Config["phase"],
): Migration[] {
  return states.flatMap(({ migration, row }) =>
    migration !== undefined && !isApplied(row) &&
      (phase === "all" || migration.phase === phase)
      ? [migration]
      : []
  );
}
