/** `verify` in the executable, which carries what was recorded. */
import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { runBinary, withExecutable } from "../support/program/binary.ts";
import { withCheckout } from "../support/program/checkout.ts";
import { migration } from "../support/program/migrations.ts";
import { recorded } from "../support/program/recording.ts";
import { pgTest } from "../support/server/postgres.ts";

/** As many as a large installation has. */
const MANY = migration({
  up: `do $$ begin for i in 1..3000 loop
    execute pg_catalog.format('create table orders_%s (id bigint primary key, customer bigint not null, name text not null,
      amount numeric(20,2) not null check (amount >= 0), created_at timestamptz not null default now(), note varchar(200))', i);
    execute pg_catalog.format('create index on orders_%s (customer, created_at desc)', i);
  end loop; end $$`,
});

pgTest(
  "executable: verify compares 3,000 tables in little memory",
  async (db) => {
    // A third of it is what the program takes to find nothing to apply.
    const env = {
      DATABASE_URL: db.url,
      DENO_V8_FLAGS: "--max-old-space-size=28",
    };
    const migrations = await recorded({ "0001_many": MANY });
    await withExecutable(migrations, async (path) => {
      const run = async (...args: string[]) => {
        const { code, stdout } = await runBinary(args, { path, env });
        return { code, stdout };
      };
      assertEquals((await run("up", "--quiet")).code, 0);
      const matches = "Matches the schema of 0001_many\n";
      assertEquals(await run("verify"), { code: 0, stdout: matches });
      await db.query(
        "alter table orders_17 alter note type text; drop table orders_18; create table backup ()",
      );
      assertEquals(await run("verify"), {
        code: 3,
        stdout: `\
extra      table backup
different  column orders_17.note: type: expected character varying(200), found text
missing    table orders_18
Differs in 3 places from the schema of 0001_many
`,
      });
    });
  },
);

Deno.test("compile refuses a stale recording", async () => {
  await withCheckout(async ({ folder, task }) => {
    await Deno.writeTextFile(
      join(folder, "migrations", "20990101000000_new.ts"),
      "export async function up(): Promise<void> {}\n",
    );
    assertEquals((await task(["registry"]).result).code, 0);
    assertEquals(await task(["compile"]).result, {
      code: 1,
      stdout: "",
      stderr: `Cannot compile with a stale insight.json:
  "20990101000000_new" is not in it
Run "deno task insight" first, or delete it
`,
    });
  });
});
