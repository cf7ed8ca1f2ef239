/**
 * Kysely as its own users have it, without the program: what a migration does is judged apart from how it is run.
 *
 * @module
 */
import { Kysely } from "kysely";
import { PostgresJSDialect } from "kysely-postgres-js";
import postgres from "postgres";
import { migrations } from "../../migrations/mod.ts";
import { type Migration, readRegistry } from "../../src/plan/migration.ts";

/** BattleScope's migrations, oldest first. */
export const battlescope: readonly Migration[] = readRegistry(migrations);

/** Opens a Kysely on one connection and ends it afterwards. */
export async function withKysely<T>(
  url: string,
  use: (db: Kysely<unknown>) => Promise<T>,
): Promise<T> {
  const client = postgres(url, {
    max: 1,
    onnotice: () => {},
    types: {
      // Kysely's own dialect, on node-postgres, sends a string as it is; this driver would make JSON of JSON.
      json: {
        to: 114,
        from: [114, 3802],
        serialize: (value: unknown) =>
          typeof value === "string" ? value : JSON.stringify(value),
        parse: JSON.parse,
      },
    },
  });
  try {
    return await use(
      new Kysely({ dialect: new PostgresJSDialect({ postgres: client }) }),
    );
  } finally {
    // A Kysely that has run no query does not end its client.
    await client.end();
  }
}

/** Applies BattleScope's migrations, each in a transaction. */
export async function applyBattlescope(url: string): Promise<void> {
  await withKysely(url, async (db) => {
    for (const { up } of battlescope) await db.transaction().execute(up);
  });
}
