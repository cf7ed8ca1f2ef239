/**
 * Kysely on a guarded connection.
 *
 * @module
 */
import { Kysely } from "kysely";
import { PostgresJSDialect } from "kysely-postgres-js";
import type postgres from "postgres";

/** What migrations are given to work with. */
// deno-lint-ignore no-explicit-any -- migrations are frozen in time: they must not depend on today's table types
export function openKysely(driver: postgres.Sql): Kysely<any> {
  return new Kysely({ dialect: new PostgresJSDialect({ postgres: driver }) });
}
