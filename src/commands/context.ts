/**
 * What every command is given and what it comes to.
 *
 * @module
 */
import type { Config } from "../cli/config.ts";
import { type ExitCode, RefusedError } from "../errors.ts";
import type { Migration, Phase } from "../plan/migration.ts";
import { kyselyFindings } from "../plan/kysely.ts";
import type { Planned, Step } from "../plan/plan.ts";
import type { Ports, Session } from "../engine/ports.ts";
import { addressText, quote } from "../text.ts";
import type { ProgramInfo } from "../cli/version.ts";

export interface Context {
  readonly ports: Ports;
  readonly config: Config;
  readonly migrations: readonly Migration[];
  readonly program: ProgramInfo;
  /** Loads the code of the migrations, if it is not loaded yet. @throws {RefusedError} naming what cannot be loaded */
  readonly prepare: () => Promise<void>;
  /** What was recorded of the migrations, in UTF-8; `undefined` when nothing was. */
  readonly recording: () => Promise<Uint8Array | undefined>;
}

/** What a command did. The caller reports it, and the error if there is one. */
export interface Result {
  readonly exitCode: ExitCode;
  readonly applied?: number;
  readonly rolledBack?: number;
  readonly recorded?: number;
  readonly notRun?: number;
  readonly unfinished?: number;
  readonly unknown?: number;
  /** The phase that it kept to. */
  readonly phase?: Phase;
  /** Backfills that have begun and are not done. */
  readonly open?: number;
  readonly dryRun?: boolean;
  readonly error?: unknown;
}

export interface SessionOptions {
  /** How long to keep trying to connect, in milliseconds. @default {the configured time} */
  readonly limitMs?: number;
  /** The connection was reported before. */
  readonly again?: boolean;
}

/** Connects, runs `work` and closes the session, whatever happens. */
export async function withSession<T>(
  { ports, config }: Context,
  work: (session: Session) => Promise<T>,
  { limitMs, again = false }: SessionOptions = {},
): Promise<T> {
  const session = await ports.database.connect(limitMs);
  try {
    if (!again) {
      ports.report({ event: "connected", server: session.server });
      if (session.server.schema === null) {
        ports.report({ event: "warning", message: noSchemaText(config) });
      }
    }
    return await work(session);
  } finally {
    await session.close();
  }
}

/** A history that is empty because a name is misspelt must not look like one that is empty. */
function noSchemaText({ schema }: Config): string {
  return schema === undefined
    ? "The search path leads to no schema that this role may use"
    : `There is no schema ${quote(schema)} in this database`;
}

/** @throws {RefusedError} with every fault of the plan */
export function accepted<T>(planned: Planned<T>): T {
  if (!planned.ok) throw new RefusedError(planned.faults);
  return planned.plan;
}

/** @throws {RefusedError} when nothing can be written here */
export function assertWritable({ server }: Session): void {
  if (!server.readOnly) return;
  throw new RefusedError([
    `Cannot write to "${server.database}" at ${
      addressText(server)
    }: it is a standby, or ` +
    "default_transaction_read_only is on; use the address of the primary, and a role that may write",
  ]);
}

/**
 * Tells what the tables of Kysely's own migrator say of the steps.
 *
 * @throws {RefusedError} when one of them would be applied again
 */
export function assertBaselined(
  { migrations, ports, config }: Context,
  { kyselyTables, server }: Session,
  steps: readonly Step[],
): void {
  const { faults, warnings } = kyselyFindings(kyselyTables, {
    migrations,
    pending: steps.map(({ migration }) => migration),
    schema: server.schema,
    isChosen: config.schema !== undefined,
  });
  if (faults.length > 0) throw new RefusedError(faults);
  for (const message of warnings) ports.report({ event: "warning", message });
}
