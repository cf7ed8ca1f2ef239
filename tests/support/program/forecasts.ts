/**
 * Migrations that are recorded on a server, and forecast on another database of it.
 *
 * @module
 */
import { Kysely, sql } from "kysely";
import { PostgresJSDialect } from "kysely-postgres-js";
import postgres from "postgres";
import { Tracer } from "../../../scripts/insight/tracer.ts";
import { INSTALL } from "../../../scripts/insight/tracer_sql.ts";
import type { DatabaseFacts } from "../../../src/insight/facts.ts";
import type { Footprint } from "../../../src/insight/footprint.ts";
import { forecast } from "../../../src/insight/forecast.ts";
import type {
  Forecast,
  RecordedStep,
} from "../../../src/insight/forecast_values.ts";
import { namesToAsk } from "../../../src/insight/tables.ts";
import { type Migration, readRegistry } from "../../../src/plan/migration.ts";
import { factsQuery, readFacts } from "../../../src/postgres/catalog/facts.ts";
import { queryUrl } from "../server/postgres.ts";

/** A migration of SQL statements. */
export interface SqlMigration {
  readonly name: string;
  readonly up: readonly string[];
  /** @default {true} */
  readonly transaction?: boolean;
}

/** What the migrations are seen to do, one after the other, in a database that nobody else uses. */
export async function recordOn(
  url: string,
  migrations: readonly SqlMigration[],
): Promise<Footprint[]> {
  await queryUrl(url, INSTALL);
  const tracer = new Tracer("public");
  const driver = postgres(url, {
    max: 1,
    onnotice: ({ message }) => tracer.notice(String(message)),
    connection: { client_min_messages: "debug1" },
  });
  // deno-lint-ignore no-explicit-any -- as migrations have it
  const db = new Kysely<any>({
    dialect: new PostgresJSDialect({ postgres: driver }),
  });
  try {
    const footprints: Footprint[] = [];
    for (const one of migrations.map(asMigration)) {
      const { up, transaction } = tracer.trace(one);
      if (transaction) await db.transaction().execute(up);
      else await db.connection().execute(up);
      footprints.push(tracer.footprint);
    }
    return footprints;
  } finally {
    await db.destroy();
  }
}

function asMigration(
  { name, up, transaction = true }: SqlMigration,
): Migration {
  const [migration] = readRegistry([{
    name,
    checksum: "0".repeat(64),
    module: {
      options: { transaction },
      up: async (db: Kysely<unknown>) => {
        for (const text of up) await sql.raw(text).execute(db);
      },
    },
  }]);
  return migration!;
}

/** A step as it was recorded. */
export function stepOf(
  { name, transaction = true }: SqlMigration,
  footprint: Footprint | string,
  more: Partial<RecordedStep> = {},
): RecordedStep {
  return {
    name,
    direction: "up",
    transaction,
    phase: "pre",
    accept: {},
    footprint,
    ...more,
  };
}

/** What this database is like for the steps; tables are made out to be so many times as large. */
export async function factsOn(
  url: string,
  steps: readonly RecordedStep[],
  times = 1,
): Promise<DatabaseFacts> {
  const driver = postgres(url, { max: 1, onnotice: () => {} });
  try {
    const answers = await driver.unsafe(
      factsQuery({
        ...namesToAsk(steps),
        schema: "public",
      }),
    ) as unknown as readonly Record<string, unknown>[][];
    const facts = readFacts(answers);
    const tables = [...facts.tables].map(([name, one]) =>
      [name, {
        ...one,
        bytes: times * one.bytes,
        indexBytes: times * one.indexBytes,
      }] as const
    );
    return { ...facts, tables: new Map(tables) };
  } finally {
    await driver.end();
  }
}

/** The forecast for a database. */
export async function forecastOn(
  url: string,
  steps: readonly RecordedStep[],
  { times = 1, transaction = "all" }: {
    readonly times?: number;
    readonly transaction?: "all" | "each";
  } = {},
): Promise<Forecast> {
  return forecast(steps, await factsOn(url, steps, times), transaction);
}
