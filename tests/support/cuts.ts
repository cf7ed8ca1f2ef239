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
import { type Cut, type ProxySession, startProxy } from "./proxy.ts";
import { startResident } from "./resident.ts";
import { assertNoSecret } from "./scenario.ts";

const NAMES = battlescope.map(({ name }) => name);
const HISTORY = { without: ["migration_history"] };

/**
 * A run that lost its connection has ended by then, in milliseconds: silence is borne for seven seconds, and the lock of a
 * session that the server does not yet know to be dead is waited for for ten.
 */
const LIMIT_MS = 25_000;

/** After so many failures the rest would tell nothing new. */
const ENOUGH = 5;

export interface CutTestOptions {
  readonly transaction: "all" | "each";
  /** Where to cut, given the statements of a run that nothing disturbs. */
  readonly cuts: (requests: readonly string[]) => readonly Cut[];
  readonly args?: readonly string[];
  /** How many cuts are tried at the same time, each in a database of its own. @default {1} */
  readonly lanes?: number;
}

/** Registers a test that survives every cut. */
export function cutTest(name: string, options: CutTestOptions): void {
  pgTest(name, async (db) => {
    await using stack = new AsyncDisposableStack();
    const { lanes = 1 } = options;
    const prefixes = await catalogOfEachPrefix(db.url);
    const benches = await Promise.all(
      Array.from(
        { length: lanes },
        async () => stack.use(await openBench(db, options, prefixes)),
      ),
    );
    const requests = await benches[0]!.undisturbed();
    const cuts = options.cuts(requests);
    const left = [...cuts];
    const failures: string[] = [];
    await Promise.all(benches.map(async (bench) => {
      for (let cut = left.shift(); cut !== undefined; cut = left.shift()) {
        if (failures.length >= ENOUGH) break;
        const failure = await bench.survive(cut).catch((error) => error);
        if (failure === undefined) continue;
        const statement = requests[cut.request - 1]!.trim().slice(0, 80);
        failures.push(
          `${JSON.stringify(cut)} ${statement}\n${failure.message}`,
        );
        await bench.restart();
      }
    }));
    const tried = cuts.length - left.length;
    console.log(
      `${name} [pg${db.version}]: ${requests.length} requests, ${tried} cuts tried, ` +
        `${tried - failures.length} survived`,
    );
    if (failures.length > 0) throw new Error(failures.join("\n\n"));
  });
}

/** Closed and reset at each request, and what gets lost by turns; where it decides most, in every combination. */
export function everyCut(requests: readonly string[]): Cut[] {
  const losses = ["request", "answer", "half of the answer"] as const;
  const faults = ["fin", "rst"] as const;
  return requests.flatMap((statement, k) =>
    faults.flatMap((fault, i) =>
      losses
        .filter((_, j) =>
          statement === "commit" || (k + i) % losses.length === j
        )
        .map((lose) => ({ request: k + 1, fault, lose }))
    )
  );
}

/**
 * For faults that cost their time: the log-in, the lock, the first, a middle and the last statement, and the commit.
 *
 * @param requests of a run in one transaction
 */
export function someCuts(requests: readonly string[]): Cut[] {
  const first = requests.findIndex((text) => /migration_history \(/.test(text));
  const commit = requests.lastIndexOf("commit");
  const middle = Math.floor((first + commit) / 2);
  const faults = ["stall", "garble"] as const;
  return faults.flatMap((fault, i) =>
    [2, first - 1, first, first + 1, middle, commit - 1, commit].flatMap(
      (k, j) =>
        (["request", "answer"] as const)
          .filter((_, l) => k === commit || (i + j) % 2 === l)
          .map((lose) => ({ request: k + 1, fault, lose })),
    )
  );
}

interface Bench extends AsyncDisposable {
  /** The statements of a run that nothing disturbs. */
  undisturbed(): Promise<readonly string[]>;
  /** Runs `up` into the cut and then again; rejects when anything is not as promised. */
  survive(cut: Cut): Promise<void>;
  restart(): Promise<void>;
}

async function openBench(
  db: TestDatabase,
  { transaction, args = [] }: CutTestOptions,
  prefixes: readonly Catalog[],
): Promise<Bench> {
  const { url } = await db.createDatabase();
  const proxy = await startProxy(db);
  const admin = postgres(url, { max: 1, onnotice: () => {} });
  let program = startResident();
  const up = async (at: string) => {
    const result = await program.run(
      ["up", `--transaction=${transaction}`, ...args],
      { DATABASE_URL: at },
      { limitMs: LIMIT_MS },
    );
    assertNoSecret(result, [db.password]);
    return result;
  };
  return {
    undisturbed: async () => {
      await empty(admin);
      const before = proxy.sessions.length;
      const { code, stderr } = await up(proxy.url(url));
      assertEquals(code, 0, stderr);
      const requests = proxy.sessions[before]!.requests;
      assert(requests.length > NAMES.length, "the proxy counts requests");
      return requests;
    },
    survive: async (cut) => {
      await empty(admin);
      proxy.cutNext(cut);
      const before = proxy.sessions.length;
      const result = await up(proxy.url(url));
      assert(proxy.sessions[before]!.cut, "the cut was not reached");

      // What keeps a stalled session open on the server's side is not the program.
      proxy.drop();
      await waitUntilGone({ query: (text) => admin.unsafe(text) }, 5_000);
      const applied = await appliedNames(admin);
      assertEquals(applied, NAMES.slice(0, applied.length));
      assertSaid(result, applied, during(proxy.sessions[before]!, cut));
      assertEquals(
        await readCatalog(admin, HISTORY),
        prefixes[applied.length],
        `not the first ${applied.length} migrations`,
      );

      const next = await up(url);
      assertEquals(next.code, 0, next.stderr);
      assertEquals(await appliedNames(admin), NAMES);
      assertEquals(await readCatalog(admin, HISTORY), prefixes.at(-1));
    },
    restart: async () => {
      await program[Symbol.asyncDispose]();
      program = startResident();
    },
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
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
async function catalogOfEachPrefix(url: string): Promise<Catalog[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await empty(sql);
    const catalogs = [await readCatalog(sql)];
    await withKysely(url, async (kysely) => {
      for (const { up } of battlescope) {
        await kysely.transaction().execute(up);
        catalogs.push(await readCatalog(sql));
      }
    });
    return catalogs;
  } finally {
    await sql.end();
  }
}

/** Much faster than a new database, and as empty. */
async function empty(sql: Sql): Promise<void> {
  await sql.unsafe("drop schema public cascade; create schema public");
}
