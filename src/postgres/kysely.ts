/**
 * Kysely on a guarded connection.
 *
 * @module
 */
import {
  CompiledQuery,
  type DatabaseConnection,
  DefaultConnectionProvider,
  DefaultQueryExecutor,
  Kysely,
} from "kysely";
import { PostgresJSDialect, PostgresJSDriver } from "kysely-postgres-js";
import type postgres from "postgres";
import type { Rows } from "./wire/protocol.ts";

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
  const config = { postgres: driver(run) };
  const dialect = new PostgresJSDialect(config);
  // Kysely would put a driver of its own around this one, which refuses every query after `destroy`.
  const guarded = new GuardedDriver(config);
  const executor = new DefaultQueryExecutor(
    dialect.createQueryCompiler(),
    dialect.createAdapter(),
    new DefaultConnectionProvider(guarded),
  );
  return new Kysely({
    config: { dialect },
    dialect,
    driver: guarded,
    executor,
  });
}

class GuardedDriver extends PostgresJSDriver {
  override async acquireConnection(): ReturnType<
    PostgresJSDriver["acquireConnection"]
  > {
    await this.init();
    return await super.acquireConnection();
  }

  override async rollbackTransaction(
    connection: DatabaseConnection,
  ): Promise<void> {
    // It fails with the connection only. What is thrown then must be what it was rolled back for.
    await connection.executeQuery(CompiledQuery.raw("rollback"))
      .catch(() => {});
  }

  override destroy(): Promise<void> {
    return Promise.resolve();
  }
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
