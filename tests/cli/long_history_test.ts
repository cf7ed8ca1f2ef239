/** A history that is far longer than the list of its migrations: what is past takes no memory. */
import { assertEquals } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

/** The program and its libraries take about half of it; all rows of the history would take twice as much. */
const env = { DENO_V8_FLAGS: "--max-old-space-size=28" };

for (const kind of ["of its migrations", "of migrations that are gone"]) {
  scenario(
    `a history of 100,000 applications ${kind} is read in little memory`,
    AB,
    async (s) => {
      assertEquals((await s.run("up")).code, 0);
      const name = kind === "of its migrations"
        ? "(array['0001_a', '0002_b'])[1 + i % 2]"
        : "'gone_' || i";
      await s.db.query(
        `insert into migration_history (name, checksum, status, started_at, finished_at, duration_ms, run_id,
           applied_by, host, binary_version, error)
         select ${name}, repeat('c', 64), 'rolled_back', now(), now(), 1, gen_random_uuid(), 'me', 'pod-' || i, '1', repeat('e', 100)
         from generate_series(1, 100000) i`,
      );
      // What is as young as a transaction that is still open, of whomever, counts as news, and is read again under the lock.
      await waitFor("the transactions before these rows to end", async () => {
        const [row] = await s.db.query<{ over: boolean }>(
          `select max(xmin::text::bigint) < pg_snapshot_xmin(pg_current_snapshot())::text::bigint as over
           from migration_history`,
        );
        return row!.over;
      });
      const up = await s.run("up", { env });
      assertEquals(
        [up.code, up.stdout],
        [0, "Nothing to apply: the database is up to date\n"],
        up.stderr,
      );
      const status = await s.run("status --check", { env });
      assertEquals(
        [status.code, status.stdout.trimEnd().split("\n").at(-1)],
        [0, "2 applied, 0 pending"],
        status.stderr,
      );
      await s.release({ ...AB, "0003_c": table("c") });
      const one = await s.run("up --verbose", { env });
      assertEquals(
        [one.code, one.stdout],
        [0, "Applied 0003_c (T)\nApplied 1 migration in T\n"],
        one.stderr,
      );
      const redo = await s.run("redo --yes", { env });
      assertEquals(redo.code, 0, redo.stderr);
      const failing = {
        ...AB,
        "0003_c": table("c"),
        "0004_d": migration({ up: "select 1 / 0" }),
      };
      await s.release(failing);
      assertEquals((await s.run("up", { env })).code, 1);
      const rows = await s.db.query(
        "select name, status from migration_history where id > (select max(id) from migration_history where host like 'pod-%') order by id",
      );
      assertEquals(rows, [
        { name: "0003_c", status: "rolled_back" },
        { name: "0003_c", status: "applied" },
        { name: "0004_d", status: "failed" },
      ]);
    },
  );
}
