import { assert, assertEquals } from "@std/assert";
import { table } from "../support/migrations.ts";
import { scenario } from "../support/scenario.ts";

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
