// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * How long live traffic stalls while a migration wants a table that a forgotten transaction has read:
 * `deno task bench:stall`. Prints Markdown.
 *
 * @module
 */
import { type Kysely, sql } from "kysely";
import { Migrator } from "kysely/migration";
import postgres from "postgres";
import { main } from "../../src/main.ts";
import { readRegistry } from "../../src/plan/migration.ts";
import { withKysely } from "../dev/kysely.ts";
import { startBenchServer } from "./server.ts";
import { median } from "./statistics.ts";

/** How long the forgotten transaction stays open, how long before and after it there is traffic; milliseconds. */
const FORGOTTEN_MS = 8_000;
const MARGIN_MS = 2_000;

const CLIENTS = 4;
const ROUNDS = 3;

// deno-lint-ignore no-explicit-any -- as every migration
type AnyKysely = Kysely<any>;

/** A definition that takes no time and a lock that excludes everything. */
const migration = {
  up: async (db: AnyKysely): Promise<void> => {
    await sql`alter table orders add column note text`.execute(db);
  },
};

/** The ways to migrate that are compared. Each resolves when the column is there. */
const WAYS: Readonly<Record<string, (url: string) => Promise<void>>> = {
  "this program, --lock-timeout 500ms": (url) => ours(url, "500ms"),
  "this program, --lock-timeout 5s (default)": (url) => ours(url, "5s"),
  "Kysely's Migrator, no lock_timeout": (url) =>
    withKysely(url, async (db) => {
      const provider = {
        getMigrations: () => Promise.resolve({ "0001_note": migration }),
      };
      const { error } = await new Migrator({ db, provider }).migrateToLatest();
      if (error !== undefined) throw error;
    }),
};

async function ours(url: string, lockTimeout: string): Promise<void> {
  const args = ["up", "--quiet", "--database-url", url];
  const one = { name: "0001_note", checksum: "-", module: migration };
  const registry = {
    list: () => Promise.resolve(readRegistry([one])),
    prepare: () => Promise.resolve(),
  };
  const code = await main(
    [...args, "--lock-timeout", lockTimeout],
    {},
    registry,
  );
  if (code !== 0) throw new Error(`The migration ended with ${code}`);
}

/** One round: traffic, a forgotten transaction, a migration. Returns the longest answer, in milliseconds. */
async function longestStall(
  url: string,
  migrate: (url: string) => Promise<void>,
): Promise<number> {
  const clients = Array.from(
    { length: CLIENTS },
    () => postgres(url, { max: 1 }),
  );
  const forgotten = postgres(url, { max: 1 });
  let longest = 0;
  let running = true;
  const traffic = clients.map(async (client, id) => {
    while (running) {
      const start = performance.now();
      await client`update orders set n = n + 1 where id = ${id}`;
      longest = Math.max(longest, performance.now() - start);
      await pause(5);
    }
  });
  const reading = forgotten.begin(async (transaction) => {
    await transaction`select count(*) from orders`;
    await pause(MARGIN_MS + FORGOTTEN_MS);
  });
  await pause(MARGIN_MS);
  await migrate(url);
  await reading;
  await pause(MARGIN_MS);
  running = false;
  await Promise.all(traffic);
  await Promise.all([...clients, forgotten].map((client) => client.end()));
  return longest;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function measure(): Promise<void> {
  await using server = await startBenchServer(console.error);
  const stalls = new Map(Object.keys(WAYS).map((way) => [way, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [way, migrate] of Object.entries(WAYS)) {
      await server.create("stall");
      const admin = postgres(server.url("stall"), { max: 1 });
      await admin`create table orders (id int primary key, n int not null)`;
      await admin`insert into orders select i, 0 from generate_series(0, 99) i`;
      await admin.end();
      stalls.get(way)!.push(await longestStall(server.url("stall"), migrate));
    }
  }
  console.log(`| migrator | longest stall, ms (median of ${ROUNDS}) | each |`);
  console.log("| --- | ---: | --- |");
  for (const [way, values] of stalls) {
    const each = values.map((ms) => Math.round(ms)).join(", ");
    console.log(`| ${way} | ${Math.round(median(values))} | ${each} |`);
  }
}

await measure();
