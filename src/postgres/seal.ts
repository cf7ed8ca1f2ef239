/**
 * The seal of a step: the server proves that the step has left the transaction, or the session, as it was given.
 *
 * @module
 */
import type { Step } from "../plan/plan.ts";
import { DatabaseError } from "../errors.ts";
import type { Connection } from "./connection/connection.ts";
import type { Sender } from "./connection/in_flight.ts";
import { releaseSavepoints } from "./connection/migration_statement.ts";
import { TransactionEndedError } from "./connection/transaction.ts";
import { historyTable } from "./history/place.ts";
import { quoteLiteral } from "../sql/quote.ts";
import {
  type Begun,
  hashOf,
  LOCK_CLASS,
  type Scope,
  type Settings,
  settingsList,
} from "./settings.ts";

/** Undoes what a migration has set, for this session or transaction. */
export const RESET = "reset session authorization; reset role; reset all";

/** What the server's error says when a seal is broken, in the place of a number. */
export const BROKEN = {
  ended: "battlescope-migrate: the transaction has ended",
  readOnly: "battlescope-migrate: the transaction is read only",
  unlocked: "battlescope-migrate: the lock is gone",
  homeless: "battlescope-migrate: the history is gone",
} as const;

/**
 * Ends a step: makes everything that it may have set what it was, has the server prove that the lock is still held, and
 * checks what is checked at commit, so that an error names this step. A proof that fails is an error, {@link BROKEN}: what
 * was sent behind it fails, too.
 *
 * In a transaction the lock ends with the transaction, so its age is the proof. What is deferred is checked under a
 * savepoint: afterwards it is deferred again, as the next step may want it.
 */
export function sealQuery(
  settings: Settings,
  scope: Scope,
  begun: Begun,
): string {
  const isGone = `pg_catalog.to_regclass(${
    quoteLiteral(historyTable(settings.lockNames[0]!))
  }) is null`;
  const proof = scope === "transaction"
    ? `case when extract(epoch from pg_catalog.now()) operator(pg_catalog.<>) '${begun.at}'::pg_catalog.numeric
        then '${BROKEN.ended}'
      when pg_catalog.current_setting('transaction_read_only') operator(pg_catalog.=) 'on' then '${BROKEN.readOnly}'
      when ${isGone} then '${BROKEN.homeless}' else '0' end`
    : `case when not exists (${
      ownLockQuery(settings)
    }) then '${BROKEN.unlocked}' when ${isGone} then '${BROKEN.homeless}' else '0' end`;
  return [
    RESET,
    `select ${
      begun.settings.map(([name, value]) =>
        `pg_catalog.set_config(${quoteLiteral(name)}, ${
          quoteLiteral(value)
        }, false), `
      ).join("")
    }${settingsList(settings, scope)}, (${proof})::pg_catalog.int4`,
    ...(scope === "transaction"
      ? [
        "savepoint battlescope_migrate_seal",
        "set constraints all immediate",
        "rollback to savepoint battlescope_migrate_seal",
        "release savepoint battlescope_migrate_seal",
      ]
      : []),
  ].join("; ");
}

/** A step whose function has ended, as far as its seal needs it. */
export interface Sealed extends Sender {
  readonly step: Step;
  /** Told that the server has proved it. */
  sealed(): void;
}

/** How a step is sealed. */
export interface SealOptions {
  readonly scope: Scope;
  /** See {@link sealQuery}. */
  readonly seal: string;
  /** Whether the proof may be on its way when the next step begins. */
  readonly pipeline: boolean;
}

/** A migration must leave the transaction, or the session, as it was given. */
export async function sealStep(
  connection: Connection,
  step: Sealed,
  { scope, seal, pipeline }: SealOptions,
): Promise<void> {
  const { direction } = step.step;
  const { aborted, abortSeen } = connection.transaction;
  if (scope === "session") {
    if (await connection.rollBackForeign()) {
      throw new Error(
        `its ${direction} function left a transaction open, which was rolled back`,
      );
    }
  } else if (aborted !== undefined) {
    throw abortSeen
      ? new Error(
        `its ${direction} function caught an error that had already aborted the transaction`,
        { cause: aborted },
      )
      : aborted;
  }
  releaseSavepoints(connection, step);
  const sealed = connection.sendAhead(
    seal,
    step,
    () => step.sealed(),
  );
  if (scope === "session") {
    // What it did is done: that nobody can say any more how it was left is met by what writes that.
    await sealed.catch((error) => {
      if (error instanceof DatabaseError && !connection.isLost) throw error;
    });
  } else if (!pipeline) await sealed;
}

/** An error that says what a step has done and may not, in the words of a migration; any other is what it was. */
export function sealError(
  error: unknown,
  direction: Step["direction"],
): unknown {
  const its = `its ${direction} function has`;
  const broken = error instanceof DatabaseError ? error.server.message : "";
  if (
    error instanceof TransactionEndedError || broken.includes(BROKEN.ended)
  ) {
    return new Error(
      `${its} ended the transaction: what it did before that is in effect`,
    );
  }
  if (broken.includes(BROKEN.readOnly)) {
    return new Error(`${its} made the transaction read only`);
  }
  if (broken.includes(BROKEN.homeless)) {
    return new Error(
      `${its} dropped or renamed the history, or its schema: a migration must leave it where it is; ` +
        "it can be kept in a schema of its own with --schema",
    );
  }
  if (broken.includes(BROKEN.unlocked)) {
    return new Error(
      `${its} released the migration lock: another migrator may have been at work meanwhile`,
    );
  }
  return error;
}

/** A row when this session has the lock. */
function ownLockQuery({ lockNames }: Settings): string {
  return `select from pg_catalog.pg_locks l where l.locktype operator(pg_catalog.=) 'advisory' and l.granted
      and l.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()
      and l.objsubid operator(pg_catalog.=) 2 and l.classid operator(pg_catalog.=) ${LOCK_CLASS}::pg_catalog.oid
      and l.objid operator(pg_catalog.=) (${
    hashOf(lockNames[0]!)
  }::pg_catalog.int8 operator(pg_catalog.&) 4294967295)::pg_catalog.oid`;
}
