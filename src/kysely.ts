/**
 * Kysely on a guarded connection.
 *
 * @module
 */
import { Kysely } from "kysely";
import { PostgresJSDialect } from "kysely-postgres-js";
import type postgres from "postgres";
import type { Rows } from "./protocol.ts";

// deno-lint-ignore no-explicit-any -- migrations are frozen in time: they must not depend on today's table types
export type AnyKysely = Kysely<any>;

/** Runs one statement of a migration. */
export type Run = (
  text: string,
  parameters: readonly unknown[],
) => Promise<Rows>;

/**
 * What one migration is given to work with. Its statements go through `run`; it has no more of a connection than that, so
 * that there is nothing for it to close.
 */
export function openKysely(run: Run): AnyKysely {
  return new Kysely({
    dialect: new PostgresJSDialect({ postgres: driver(run) }),
  });
}

/** What Kysely's dialect for postgres.js takes: `reserve` hands out the one connection there is. */
function driver(run: Run): postgres.Sql {
  const handle = {
    unsafe: (text: string, parameters: readonly unknown[] = []) => {
      const result = run(text, parameters);
      result.catch(() => {}); // a migration may not await it; its step knows
      return Object.assign(result, {
        cancel: () => {},
        // The dialect's streams: the rows come at once, in one piece.
        cursor: async function* () {
          yield await result;
        },
      });
    },
    release: () => {},
  };
  return Object.assign(() => {}, {
    reserve: () => Promise.resolve(handle),
    end: () => Promise.resolve(),
    options: {},
  }) as unknown as postgres.Sql;
}
