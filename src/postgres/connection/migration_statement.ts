/**
 * The statements of migrations: what is refused before it is sent, and what is sent ahead.
 *
 * In a transaction definitions (see `sql/statement.ts`) are sent ahead: nobody needs their answer before the next statement is
 * sent, because an error aborts the transaction anyway. It surfaces at the next statement that is awaited.
 *
 * @module
 */
import type { LexOptions } from "../../sql/lexer.ts";
import {
  copiesThroughClient,
  isDefinition,
  type TransactionEffect,
  transactionEffects,
} from "../../sql/statement.ts";
import type { Answer, Rows } from "../wire/protocol.ts";
import type { Connection } from "./connection.ts";
import type { Sender } from "./in_flight.ts";
import { rolledBack } from "./transaction.ts";

/** How many statements are sent ahead before the answers are waited for. */
const WINDOW = 500;

/** Set before the first savepoint of a migration, so that all of its savepoints can be released at once. */
const SAVEPOINT = "battlescope_migrate_step";

const ENDING: readonly TransactionEffect[] = [
  "commit",
  "rollback",
  "prepare_transaction",
];

/** A statement that a migration wants to run. */
export interface MigrationStatement {
  readonly text: string;
  /** As `pg` takes them. */
  readonly parameters: readonly unknown[];
  readonly sender: Sender;
}

/**
 * Runs a statement of a migration.
 *
 * In a transaction a definition may still be on its way when this resolves.
 *
 * @throws {DatabaseError} when the server refuses it, or one that was sent ahead of it
 * @throws {ConnectionLostError} when the connection is, or gets, lost
 * @throws {Error} when it is one that cannot be run
 */
export async function runStatement(
  connection: Connection,
  statement: MigrationStatement,
): Promise<Rows> {
  const { text } = statement;
  const lex: LexOptions = { conforming: connection.conformingStrings };
  const effects = transactionEffects(text, lex);
  const undoes = effects !== undefined && effects.length > 0 &&
    effects.every(isRollback);
  const { refusal, isLost } = connection;
  if (refusal !== undefined) {
    // With the connection the transaction is gone, too; and what is stopped may still be rolled back.
    if (undoes && isLost) return emptyRows();
    if (!undoes || isLost) throw refusal;
  }
  if (copiesThroughClient(text, lex)) {
    throw new Error(
      "COPY from stdin and to stdout need a client that handles the data, which this is not: insert the rows instead",
    );
  }
  if (!connection.transaction.isOpen) {
    return await runOutside(connection, statement, effects);
  }
  if (effects?.some((one) => ENDING.includes(one))) {
    throw new Error(
      "leave out BEGIN and COMMIT: the program sends both, and a migration may not end the transaction that it runs in; " +
        "to run outside of a transaction: export const options = { transaction: false }",
    );
  }
  if (!undoes) connection.transaction.throwIfAborted();
  return await runInside(
    connection,
    statement,
    effects?.includes("savepoint") ?? false,
    isDefinition(text, lex),
  );
}

/** Forgets the savepoints of the migration that has ended: nobody may go back to them. */
export function releaseSavepoints(
  connection: Connection,
  sender: Sender,
): void {
  const { transaction } = connection;
  if (!transaction.hasSavepoint) return;
  transaction.hasSavepoint = false;
  void connection.sendAhead(`release savepoint ${SAVEPOINT}`, sender);
}

async function runInside(
  connection: Connection,
  { text, parameters, sender }: MigrationStatement,
  setsSavepoint: boolean,
  isDefinition: boolean,
): Promise<Rows> {
  const { transaction, inFlight } = connection;
  if (!transaction.hasSavepoint && setsSavepoint) {
    transaction.hasSavepoint = true;
    void connection.send(`savepoint ${SAVEPOINT}`);
  }
  const sent = connection.send(text, { parameters, sender });
  const mayGoAhead = !transaction.hasSavepoint && parameters.length === 0 &&
    isDefinition;
  if (mayGoAhead && connection.pipeline && inFlight.size < WINDOW) {
    return emptyRows();
  }
  try {
    return await sent;
  } catch (error) {
    // Whether it is sent ahead must not decide what is said of it.
    if (!mayGoAhead && error === transaction.aborted) {
      transaction.told = transaction.aborted;
    }
    throw transaction.aborted ?? error;
  }
}

/** Outside a transaction of ours: the migration may have one of its own, and the server tells what becomes of it. */
async function runOutside(
  connection: Connection,
  { text, parameters, sender }: MigrationStatement,
  effects: readonly TransactionEffect[] = [],
): Promise<Rows> {
  const stuckOn = connection.transaction.aborted;
  const answer: Answer = { tags: [] };
  const rows = await connection.send(text, { parameters, sender, answer });
  const asked = effects.filter(isRollback).length;
  const rollbacks = answer.tags.filter((tag) => tag === "ROLLBACK").length;
  // A commit that the server answers so has committed nothing.
  if (rollbacks > asked) throw sender.uncommitted ??= stuckOn ?? rolledBack();
  return rows;
}

function isRollback(effect: TransactionEffect): boolean {
  return effect === "rollback" || effect === "rollback_to";
}

function emptyRows(): Rows {
  return Object.assign([], { command: null, count: null });
}
