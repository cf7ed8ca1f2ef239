/**
 * PostgreSQL says what is denied, not what to grant; and what cannot be, not how it can.
 *
 * @module
 */
import { formatDuration } from "../text.ts";
import {
  ConnectionLostError,
  DatabaseError,
  LeftBehindError,
  type ServerMessage,
} from "../errors.ts";
import { quoteIdentifier } from "../sql/quote.ts";
import { type SqlStatement, statementsOf } from "../sql/lexer.ts";

/** Who works, where and how. Times are milliseconds. */
export interface Situation {
  readonly user: string;
  readonly schema: string | null;
  readonly scope: "transaction" | "session";
  /** How many migrations have run before in the same transaction. */
  readonly before: number;
  readonly lockTimeoutMs: number;
  readonly lockRetryMs: number;
  readonly statementTimeoutMs: number;
}

const OUTSIDE = "export const options = { transaction: false }";

/** Gives an error of the server the hint that it comes without, or that fits better here. */
export function withHint(error: unknown, situation: Situation): unknown {
  if (error instanceof ConnectionLostError) {
    const cause = withHint(error.cause, situation);
    if (cause === error.cause) return error;
    return Object.assign(error, { cause });
  }
  if (error instanceof LeftBehindError) {
    const cause = withHint(error.cause, situation);
    return new LeftBehindError(error.indexes, error.unnamed, error.isDropped, {
      cause,
    });
  }
  if (!(error instanceof DatabaseError)) return error;
  const { server } = error;
  const found = hintFor(server, situation);
  if (found === undefined) return error;
  const hint = server.hint === undefined ? found : `${server.hint} ${found}`;
  return new DatabaseError({ ...server, hint }, { cause: error });
}

function hintFor(
  server: ServerMessage,
  situation: Situation,
): string | undefined {
  // Where the server has a hint of its own, it mostly is the better one.
  const { code, hint } = server;
  if (code === "55P04") return enumHint(situation);
  if (hint !== undefined) return undefined;
  switch (code) {
    case "25001": // active_sql_transaction
      return outsideHint(server, situation);
    case "25P03": // idle_in_transaction_session_timeout
      return "It kept the program busy for too long while its transaction was open: let it await something now and then, " +
        `or run it outside of one: ${OUTSIDE}`;
    case "2D000": // invalid_transaction_termination
      return situation.scope === "transaction"
        ? `It ends transactions itself, which it can only outside of one: ${OUTSIDE}`
        : alone(server);
    case "40001": // serialization_failure
      return "A transaction of somebody else has changed what it has read; run the migrator again";
    case "42P18": // indeterminate_datatype
      return "Write the type of the value behind it, as in sql`${value}::text`; " +
        "a definition takes no parameters: write the value into it with sql.lit(value)";
    case "42501": // insufficient_privilege
      return privilegeHint(server, situation);
    case "42601": // syntax_error
      return /"\$\d+"$/.test(server.message)
        ? "A parameter is not allowed there: write a value into the statement with sql.lit(value), a name with sql.id(name)"
        : undefined;
    case "42P07": // duplicate_table
      return temporaryHint(server, situation);
    case "55006": // object_in_use
      return pendingHint(server, situation);
    case "55P03": // lock_not_available
      return lockHint(server, situation);
    case "57014": // query_canceled
      return cancelHint(server, situation);
    default:
      return undefined;
  }
}

/** A statement that cannot run in a transaction block. */
function outsideHint(server: ServerMessage, { scope }: Situation): string {
  // PL/pgSQL and the like tell where they were.
  const inside = server.where !== undefined;
  if (scope === "session") return alone(server);
  return inside
    ? `Send it as a statement of its own, and outside a transaction: ${OUTSIDE}`
    : `To run it outside a transaction: ${OUTSIDE}`;
}

/** What makes a transaction in a migration that runs outside of one. */
function alone({ where, code, statement = "" }: ServerMessage): string {
  if (where !== undefined && code === "25001") {
    return "Send it as a statement of its own, not from a function or a do block";
  }
  return (statementsOf(statement)?.length ?? 0) > 1
    ? "Several statements in one text are one transaction for PostgreSQL: send each by itself"
    : "It runs in a transaction that the migration has begun: run it before or after that";
}

/** A new value of an enum can be used after the commit only; PostgreSQL's hint says so. */
function enumHint({ scope, before }: Situation): string {
  if (scope === "session") return "End the transaction that adds them first.";
  return before > 0
    ? "Run with --transaction each; a migration that adds a value and uses it has to become two."
    : `Add it in a migration of its own, with ${OUTSIDE}.`;
}

function privilegeHint(
  { message, statement }: ServerMessage,
  { user, schema }: Situation,
): string | undefined {
  const role = quoteIdentifier(user);
  // What is not a migration's statement is our own, and about the history.
  if (statement === undefined && schema !== null) {
    const where = quoteIdentifier(schema);
    if (/table migration_history$/.test(message)) {
      return `As the owner of the table: grant select, insert, update on ${where}."migration_history" to ${role}`;
    }
    if (/\bschema\b/.test(message)) return schemaHint(where, role);
  }
  // The server does not quote these names; they end with the message.
  const [, kind, name = ""] =
    /^permission denied for (\w+(?: \w+)*?) (.+)$/s.exec(message) ?? [];
  if (kind === "schema") return schemaHint(quoteIdentifier(name), role);
  if (kind === "database") {
    return `As the owner of the database: grant create on database ${
      quoteIdentifier(name)
    } to ${role}`;
  }
  if (kind !== undefined) {
    return `Run the migrator as the owner of the object, or grant the privilege to ${role}`;
  }
  return /^must be (?:the )?owner of /.test(message)
    ? `Run the migrator as the owner of the object, or grant the owner's role to ${role}`
    : undefined;
}

function schemaHint(schema: string, role: string): string {
  return `As the owner of the schema: grant usage, create on schema ${schema} to ${role}`;
}

/** A temporary table lives until the session ends, or the transaction, which may be that of several migrations. */
function temporaryHint(
  { statement = "" }: ServerMessage,
  { before }: Situation,
): string | undefined {
  const made = (statementsOf(statement) ?? []).map(temporaryTable)
    .find((one) => one !== undefined);
  if (made === undefined) return undefined;
  const drop =
    "A temporary table outlives the migration that makes it: drop it there";
  return made === "dropped on commit" && before > 0
    ? `${drop}, or run with --transaction each`
    : drop;
}

function temporaryTable(
  statement: SqlStatement,
): "dropped on commit" | "kept" | undefined {
  if (statement.head !== "create") return undefined;
  const words = Array.from(
    statement.tokens,
    ({ kind, text }) => kind === "word" ? text.toLowerCase() : "",
  );
  const isTemporary =
    words.slice(1, 3).some((word) => word === "temp" || word === "temporary") ||
    words.includes("pg_temp");
  if (!isTemporary) return undefined;
  const commit = words.findIndex((word, i) =>
    word === "on" && words[i + 1] === "commit"
  );
  return commit >= 0 && words[commit + 2] === "drop"
    ? "dropped on commit"
    : "kept";
}

/** A table with deferred triggers that are still to come cannot be altered. */
function pendingHint(
  { message }: ServerMessage,
  { before }: Situation,
): string | undefined {
  if (!/pending trigger events/.test(message)) return undefined;
  const now = "run set constraints all immediate before it";
  return before > 0
    ? `What waits for the commit may be an earlier migration's: run with --transaction each, or ${now}`
    : `What waits for the commit has to be done first: ${now}`;
}

/** Not for `nowait`, which asked for it. */
function lockHint(
  { message }: ServerMessage,
  { scope, lockTimeoutMs, lockRetryMs }: Situation,
): string | undefined {
  if (!/lock timeout/.test(message) || lockTimeoutMs === 0) return undefined;
  const waited = `--lock-timeout is ${formatDuration(lockTimeoutMs)}`;
  return scope === "transaction"
    ? `${waited}, and --lock-retry, for which it was tried again, ${
      formatDuration(lockRetryMs)
    }: end what holds the lock, or raise one of the two`
    : `${waited}, and outside a transaction nothing is tried again: end what holds the lock, or raise it`;
}

function cancelHint(
  { message }: ServerMessage,
  { statementTimeoutMs }: Situation,
): string | undefined {
  if (/statement timeout/.test(message)) {
    return statementTimeoutMs === 0
      ? "The migration, or the function that it calls, has set a statement_timeout itself"
      : `--statement-timeout is ${
        formatDuration(statementTimeoutMs)
      }: raise it, or leave it out`;
  }
  return /user request/.test(message)
    ? "Somebody else has cancelled it (pg_cancel_backend), not this program"
    : undefined;
}
