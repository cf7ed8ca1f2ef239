// deno-lint-ignore-file no-console -- the number of cuts is part of the result
/**
 * Cuts the connection at every request that the real migrations make. Whatever was lost, the database is afterwards a
 * prefix of the migrations, the history says which, and the next `up` completes it.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import postgres, { type Sql } from "postgres";
import { type Catalog, readCatalog } from "./catalog.ts";
import type { MigrateResult } from "./cli.ts";
import { waitUntilGone } from "./gate.ts";
import { battlescope, withKysely } from "./kysely.ts";
import { pgTest, type TestDatabase } from "./postgres.ts";
import {
  type Cut,
  type Proxy,
  type ProxySession,
  startProxy,
} from "./proxy.ts";
import { startResident } from "./resident.ts";
import { assertNoSecret } from "./scenario.ts";

const NAMES = battlescope.map(({ name }) => name);
const HISTORY = { without: ["migration_history"] };

/** A run that lost its connection has ended by then, whatever it still tried. Milliseconds. */
const LIMIT_MS = 15_000;

/** After so many failures the rest would tell nothing new. */
const ENOUGH = 5;

/** Registers the test for one way of running `up`. */
export function cutTest(transaction: "all" | "each"): void {
  pgTest(
    `up --transaction ${transaction} survives a cut at every request`,
    async (db) => {
      await using proxy = await startProxy(db);
      const bench = await openBench(db, proxy, transaction);
      try {
        const requests = await bench.undisturbed();
        const cuts = requests.flatMap((statement, i) =>
          cutsAt(i + 1, statement)
        );
        const failures: string[] = [];
        for (const cut of cuts) {
          if (failures.length >= ENOUGH) break;
          const failure = await bench.survive(cut).catch((error) => error);
          if (failure === undefined) continue;
          const statement = requests[cut.request - 1]!.trim().slice(0, 80);
          failures.push(
            `${JSON.stringify(cut)} ${statement}\n${failure.message}`,
          );
          await bench.restart();
        }
        const survived = cuts.length - failures.length;
        console.log(
          `${db.version} ${transaction}: ${requests.length} requests, ${cuts.length} cuts tried, ${survived} survived`,
        );
        if (failures.length > 0) throw new Error(failures.join("\n\n"));
      } finally {
        await bench.close();
      }
    },
  );
}

/** Closed and reset at each request, and what gets lost by turns; where it decides most, in every combination. */
function cutsAt(request: number, statement: string): Cut[] {
  const losses = ["request", "answer", "half of the answer"] as const;
  const faults = ["fin", "rst"] as const;
  const decisive = statement === "commit";
  return faults.flatMap((fault, i) =>
    losses
      .filter((_, j) => decisive || (request + i) % losses.length === j)
      .map((lose) => ({ request, fault, lose }))
  );
}

interface Bench {
  /** The statements of a run that nothing disturbs. */
  undisturbed(): Promise<readonly string[]>;
  /** Runs `up` into the cut and then again; rejects when anything is not as promised. */
  survive(cut: Cut): Promise<void>;
  restart(): Promise<void>;
  close(): Promise<void>;
}

async function openBench(
  db: TestDatabase,
  proxy: Proxy,
  transaction: "all" | "each",
): Promise<Bench> {
  const admin = postgres(db.url, { max: 1, onnotice: () => {} });
  const prefixes = await catalogOfEachPrefix(db.url, admin);
  let program = startResident();
  const up = async (url: string) => {
    const result = await program.run(
      ["up", `--transaction=${transaction}`],
      { DATABASE_URL: url },
      { limitMs: LIMIT_MS },
    );
    assertNoSecret(result, [db.password]);
    return result;
  };
  return {
    undisturbed: async () => {
      await empty(admin);
      const before = proxy.sessions.length;
      const { code, stderr } = await up(proxy.url(db.url));
      assertEquals(code, 0, stderr);
      const requests = proxy.sessions[before]!.requests;
      assert(requests.length > NAMES.length, "the proxy counts requests");
      return requests;
    },
    survive: async (cut) => {
      await empty(admin);
      proxy.cutNext(cut);
      const before = proxy.sessions.length;
      const result = await up(proxy.url(db.url));
      assert(proxy.sessions[before]!.cut, "the cut was not reached");

      await waitUntilGone({ query: (text) => admin.unsafe(text) }, 5_000);
      const applied = await appliedNames(admin);
      assertEquals(applied, NAMES.slice(0, applied.length));
      assertSaid(result, applied, during(proxy.sessions[before]!, cut));
      assertEquals(
        await readCatalog(admin, HISTORY),
        prefixes[applied.length],
        `not the first ${applied.length} migrations`,
      );

      const next = await up(db.url);
      assertEquals(next.code, 0, next.stderr);
      assertEquals(await appliedNames(admin), NAMES);
      assertEquals(await readCatalog(admin, HISTORY), prefixes.at(-1));
    },
    restart: async () => {
      await program[Symbol.asyncDispose]();
      program = startResident();
    },
    close: async () => {
      await program[Symbol.asyncDispose]();
      await admin.end();
    },
  };
}

/** What the program says is true, and it says what it was at. */
function assertSaid(
  { code, stdout, stderr }: MigrateResult,
  applied: readonly string[],
  during: "a migration" | "anything else",
): void {
  const said = [...stdout.matchAll(/^Applied (\w+) /gm)]
    .map(([, name]) => name!)
    .filter((name) => NAMES.includes(name));
  if (code === 0) {
    // Nothing had begun when it was cut: it may be tried again.
    assertEquals(applied, NAMES, stderr);
    assertEquals(said, NAMES, stderr);
    return;
  }
  assertEquals(code, 1, stderr);
  assertEquals(said, applied.slice(0, said.length), stderr);
  const error = /^error: (.*)$/m.exec(stderr)?.[1] ?? "";
  assertMatch(error, /The connection to the database was lost/, stderr);
  const failed = /^Cannot apply "(\w+)": /.exec(error)?.[1];
  assert(failed === undefined || !applied.includes(failed), stderr);
  const begun = [...stderr.matchAll(/^Applying (\w+) /gm)]
    .map(([, name]) => name!)
    .filter((name) => !applied.includes(name));
  if (during === "a migration" && begun.length > 0) {
    assert(begun.includes(failed!), stderr);
  }
  // Who reads what was applied must be able to rely on it, but for a commit that was not answered.
  if (!error.startsWith("Cannot tell")) assertEquals(said, applied, stderr);
}

/** Whose statement the cut hit, as far as the proxy can tell. */
function during(
  { requests }: ProxySession,
  { request }: Cut,
): "a migration" | "anything else" {
  const statement = requests[request - 1]!;
  return /^\s*(?:create|alter|insert into)\b/.test(statement) &&
      !statement.includes("migration_history")
    ? "a migration"
    : "anything else";
}

async function appliedNames(sql: Sql): Promise<string[]> {
  const [table] =
    await sql`select to_regclass('migration_history') is not null as found`;
  if (!table!.found) return [];
  const rows = await sql<{ name: string }[]>`
    select name from migration_history where status = 'applied' order by name collate "C"`;
  return rows.map(({ name }) => name);
}

/** The catalogs of the empty database, of the first migration, of the first two …, made without the program. */
async function catalogOfEachPrefix(
  url: string,
  sql: Sql,
): Promise<Catalog[]> {
  await empty(sql);
  const catalogs = [await readCatalog(sql)];
  await withKysely(url, async (kysely) => {
    for (const { up } of battlescope) {
      await kysely.transaction().execute(up);
      catalogs.push(await readCatalog(sql));
    }
  });
  return catalogs;
}

/** Much faster than a new database, and as empty. */
async function empty(sql: Sql): Promise<void> {
  await sql.unsafe("drop schema public cascade; create schema public");
}
