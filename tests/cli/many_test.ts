import { assert, assertEquals } from "@std/assert";
import { table, upCode } from "../support/program/migrations.ts";
import { scenario } from "../support/program/scenario.ts";

const COUNT = 1_000;

const MIGRATIONS = Object.fromEntries(
  Array.from({ length: COUNT }, (_, i) => {
    const number = `${i + 1}`.padStart(4, "0");
    return [`${number}_t`, table(`t${number}`)];
  }),
);

scenario(
  "1,000 migrations are applied, found applied, shown and rolled back",
  MIGRATIONS,
  async (s) => {
    const up = await s.run("up --quiet");
    assertEquals([up.code, up.stderr], [0, ""]);
    const lines = up.stdout.split("\n");
    assertEquals(lines.length, COUNT + 2);
    assertEquals(lines.slice(-3), [
      "Applied 1000_t (T)",
      "Applied 1000 migrations in T",
      "",
    ]);
    assertEquals((await s.tables()).length, COUNT);

    assertEquals(
      (await s.run("up")).stdout,
      "Nothing to apply: the database is up to date\n",
    );
    const status = (await s.run("status --check")).stdout.split("\n");
    assertEquals([status.length, status.at(-2)], [
      COUNT + 4,
      "1000 applied, 0 pending",
    ]);
    assert(status.at(-4)?.startsWith("applied  1000_t"));

    const down = await s.run("down --all --yes --quiet");
    assertEquals([down.code, down.stderr], [0, ""]);
    assertEquals(
      down.stdout.split("\n").at(-2),
      "Rolled back 1000 migrations in T",
    );
    assertEquals(await s.tables(), []);
    assertEquals(
      await s.db.query(
        "select status, count(*)::int as n from migration_history group by status",
      ),
      [{ status: "rolled_back", n: COUNT }],
    );
  },
);

scenario(
  "1,000 migrations are applied and rolled back in transactions of their own",
  MIGRATIONS,
  async (s) => {
    const up = await s.run("up --transaction each --quiet");
    assertEquals([up.code, up.stderr], [0, ""]);
    assertEquals((await s.tables()).length, COUNT);
    const rows = await s.db.query(
      "select count(distinct xmin::text)::int as transactions, count(*)::int as rows from migration_history",
    );
    assertEquals(rows, [{ transactions: COUNT, rows: COUNT }]);

    const down = await s.run("down --all --yes --transaction each --quiet");
    assertEquals([down.code, down.stderr], [0, ""]);
    assertEquals(await s.tables(), []);
  },
);

const PIECES = `
  for (let i = 0; i < 200; i++) {
    const { rows } = await sql<{ text: string }>\`
      select repeat(md5(i::text), 100) as text from generate_series(1, 300) i\`.execute(db);
    if (rows.length !== 300) throw new Error(\`\${rows.length} rows\`);
  }`;

scenario(
  "a migration may read far more than fits into memory, piece by piece",
  { "0001_read": upCode(PIECES) },
  async (s) => {
    // 200 MB are read, and a third of that is all there is.
    const env = { DENO_V8_FLAGS: "--max-old-space-size=64" };
    const up = await s.run("up --quiet", { env });
    assertEquals([up.code, up.stderr], [0, ""]);
  },
);
