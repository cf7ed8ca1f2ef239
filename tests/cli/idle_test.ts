/** With nothing to do the program asks one question and leaves: no lock, no write, no DDL. */
import {
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { type Scenario, scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

/** The statements that a run sends after it has logged in, in the order in which they leave. */
async function statementsOf(s: Scenario, command: string): Promise<string[]> {
  await using proxy = await startProxy(s.db);
  assertEquals((await s.run(command, { url: proxy.url(s.db.url) })).code, 0);
  assertEquals(proxy.sessions.length, 1);
  return proxy.sessions[0]!.requests.filter((text) => text !== "");
}

/** The first word of each statement of a text without a semicolon in any of them. */
function headsOf(text: string): string[] {
  return text.split(";").map((statement) => statement.trim().split(" ")[0]!);
}

/** What moves when anything is written or created in this database: rows of every table, the catalogs included. */
async function writes(s: Scenario): Promise<unknown> {
  // A backend hands in its numbers before it leaves the list.
  await waitFor("the program's backend to end", async () => {
    const [row] = await s.db.query<{ others: number }>(
      `select count(*)::int as others from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
    );
    return row?.others === 0;
  });
  return await s.db.query(
    "select tup_inserted, tup_updated, tup_deleted from pg_stat_database where datname = current_database()",
  );
}

scenario(
  "up with nothing pending sends one query after it has connected",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const before = await writes(s);

    const sent = await statementsOf(s, "up");

    assertEquals(sent.length, 1, sent.join("\n"));
    assertStringIncludes(sent[0]!, "migration_history");
    assertEquals(headsOf(sent[0]!), ["select", "select", "copy"]);
    assertEquals(await writes(s), before);

    await s.release({ ...AB, "0003_c": table("c") });
    assertEquals((await s.run("up")).code, 0);
    assertNotEquals(await writes(s), before);
  },
);

scenario(
  "up with nothing pending does not wait for another migrator's lock",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.release({
      ...AB,
      "0003_c": `\
import { type Kysely, sql } from "kysely";
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql\`select pg_sleep(600)\`.execute(db);
}
`,
    });
    await using holder = s.start("up");
    await holder.waitFor("Applying 0003_c");
    await s.release(AB);
    const { code, stderr } = await s.run("up --lock-wait 0");
    assertEquals([code, stderr.includes("lock")], [0, false]);
    assertEquals((await s.run("status")).code, 0);
    assertEquals((await s.run("down --dry-run")).code, 0);
    // It is still at work.
    assertEquals((await s.run("down --yes --lock-wait 0")).code, 1);
  },
);

scenario(
  "status and dry runs send one query and create nothing, also on an empty database",
  AB,
  async (s) => {
    for (const command of ["status", "up --dry-run", "down --dry-run"]) {
      const sent = await statementsOf(s, command);
      // The history is asked for and missing; then whether there is one in another schema.
      assertEquals(sent.map(headsOf), [["select", "select", "copy"], [
        "select",
      ]]);
    }
    assertEquals(
      await s.db.query(
        "select from pg_class where relnamespace = 'public'::regnamespace",
      ),
      [],
    );
    assertEquals((await s.run("up")).code, 0);
    for (
      const command of [
        "status",
        "status --check --format json",
        "up --dry-run",
        "down --dry-run",
        "baseline --to 0002_b",
      ]
    ) {
      assertEquals((await statementsOf(s, command)).length, 1, command);
    }
  },
);

scenario("an empty program has nothing to do, and says so", {}, async (s) => {
  assertEquals(
    (await s.run("up")).stdout,
    "Nothing to apply: the database is up to date\n",
  );
  assertEquals((await s.run("status")).stdout, "0 applied, 0 pending\n");
  assertEquals((await s.run("status --check")).code, 0);
  assertEquals(
    (await s.run("down --all --yes")).stdout,
    "Nothing to roll back\n",
  );
  assertEquals(
    (await s.run("redo --yes")).stdout,
    "Nothing to redo: no migration is applied\n",
  );
  assertEquals((await s.json("status")).lines[0]?.migrations, []);
  assertStringIncludes((await s.run("version")).stdout, "\nmigrations 0\n");
  assertEquals((await s.run("baseline --to 0001_a")).code, 2);
  assertEquals(
    await s.db.query("select to_regclass('migration_history') as found"),
    [{ found: null }],
  );
});
