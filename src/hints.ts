/**
 * PostgreSQL says what is denied, not what to grant; and what cannot be, not how it can.
 *
 * @module
 */
import { DatabaseError } from "./errors.ts";
import { quoteIdentifier } from "./sql_quote.ts";

/** Who works, and where. */
interface Place {
  readonly user: string;
  readonly schema: string | null;
}

/** Gives an error of the server the hint that it comes without. */
export function withHint(error: unknown, place: Place): unknown {
  if (!(error instanceof DatabaseError) || error.server.hint !== undefined) {
    return error;
  }
  const hint = hintFor(error.server.code, error.server.message, place);
  return hint === undefined
    ? error
    : new DatabaseError({ ...error.server, hint }, { cause: error });
}

function hintFor(
  code: string,
  message: string,
  place: Place,
): string | undefined {
  switch (code) {
    case "25001": // active_sql_transaction
      return "To run it outside a transaction: export const options = { transaction: false }";
    case "55P04": // unsafe_new_enum_value_usage
      return "A new value of an enum can be used after the commit only: " +
        "add it in a migration of its own, with export const options = { transaction: false }";
    case "42P18": // indeterminate_datatype
      return "Write the type of the value behind it, as in sql`${value}::text`; " +
        "a definition takes no parameters: write the value into it with sql.lit(value)";
    case "42501": // insufficient_privilege
      return grantFor(message, place);
    case "42601": // syntax_error
      return /"\$\d+"$/.test(message)
        ? "A parameter is not allowed there: write a value into the statement with sql.lit(value), a name with sql.id(name)"
        : undefined;
    default:
      return undefined;
  }
}

function grantFor(message: string, { user, schema }: Place): string {
  const role = quoteIdentifier(user);
  const where = quoteIdentifier(schema ?? "public");
  if (/table migration_history$/.test(message)) {
    return `As the owner of the table: grant select, insert, update on ${where}."migration_history" to ${role}`;
  }
  return /schema/.test(message)
    ? `As the owner of the schema: grant usage, create on schema ${where} to ${role}`
    : `Run the migrator as the owner of the object, or grant the privilege to ${role}`;
}
