/** `up --verify`: nothing is committed that the migrations were not recorded to make. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import { migration, table, upCode } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { recorded } from "../support/program/recording.ts";
import {
  CONNECTED,
  type Migrations,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import type { PgTestOptions } from "../support/server/postgres.ts";

const PILOTS = migration({
  up: [
    "create table if not exists pilots (id bigint primary key, name text not null)",
    "create index if not exists pilots_name_idx on pilots (name)",
  ],
});
const KILLS = migration({
  up: [
    "create table kills (pilot bigint references pilots, at timestamptz) partition by range (at)",
    "alter table pilots add kills integer not null default 0",
    "create view names as select name from pilots where id > 0",
  ],
});
const CONCURRENT = migration({
  up:
    "create index concurrently if not exists pilots_kills_idx on pilots (kills)",
  options: "{ transaction: false, idempotent: true }",
});
const MIGRATIONS = {
  "0001_pilots": PILOTS,
  "0002_kills": KILLS,
  "0003_index": CONCURRENT,
  "0004_last": table("last"),
};

const OUT_OF_ORDER = {
  "0001_a": table("a"),
  "0002_b": migration({ up: "alter table a add b integer" }),
  "0003_c": migration({ up: "alter table a add c integer" }),
};

const HINT =
  "  hint: Look what else changes the schema: verify compares all of it; up without --verify does not look\n";

/** A test of a program that carries the recording of its migrations. */
function verifies(
  name: string,
  migrations: Migrations,
  test: (s: Scenario) => Promise<void>,
  options?: PgTestOptions,
): void {
  scenario(`up --verify ${name}`, {}, async (s) => {
    await s.release(await recorded(migrations));
    await test(s);
  }, options);
}

for (
  const options of ["", " --transaction each", " --no-pipeline", " --schema s"]
) {
  verifies(
    `commits what is as it was recorded${options}`,
    MIGRATIONS,
    async (s) => {
      await s.db.query(
        "create schema s; create table public.other (); create table s.other ()",
      );
      const command = `--verify${options}`;
      const first = await s.run(`up --to 0001_pilots ${command}`);
      assertEquals(first.code, 0, first.stderr);
      const rest = await s.run(`up ${command}`);
      assertEquals(rest.code, 0, rest.stderr);
      assertEquals(
        (await s.run(
          `verify --allow-extra${options.match(/ --schema s/) ?? ""}`,
        ))
          .code,
        0,
      );
      assertEquals((await s.run(`up ${command}`)).code, 0);
    },
  );
}

verifies(
  "rolls back what is not as it was recorded, and says in what",
  MIGRATIONS,
  async (s) => {
    await s.db.query(
      "create table pilots (id integer primary key, name text not null)",
    );
    const { code, stdout, stderr } = await s.run(
      "up --verify --to 0001_pilots",
    );
    assertEquals([code, stdout], [1, ""]);
    const difference =
      "different  column pilots.id: type: expected bigint, found integer";
    const why = `the schema is not what was recorded: ${
      difference.replace("  ", " ")
    }`;
    assertEquals(
      stderr,
      `${CONNECTED}Applying 0001_pilots (1 of 1)
error: Cannot apply "0001_pilots": ${why}
  detail: ${difference}
${HINT}Failed in T: nothing was changed, 1 not run
`,
    );
    assertEquals(await s.tables(), ["pilots"]);
    assertEquals(await s.history(), ["0001_pilots failed"]);
    const [row] = await s.db.query<{ error: string }>(
      "select error from migration_history",
    );
    assertEquals(row!.error, why);
    assertEquals(
      (await s.db.query(
        "select from pg_indexes where indexname = 'pilots_name_idx'",
      ))
        .length,
      0,
    );
    assertEquals((await s.run("up --to 0001_pilots")).code, 0);
  },
);

verifies("tells differences as data", MIGRATIONS, async (s) => {
  await s.db.query("create view names as select 1 as name");
  await s.db.query(
    "create table pilots (id bigint primary key, name varchar not null)",
  );
  const { code, lines } = await s.json("up --verify --to 0001_pilots");
  assertEquals(code, 1);
  const { differences, outcome } = lines.find((one) => one.event === "failed")!;
  assertEquals(outcome, "rolled_back");
  assertEquals(differences, [{
    kind: "different",
    type: "column",
    object: "pilots.name",
    part: "type",
    expected: "text",
    found: "character varying",
  }]);
});

verifies(
  "does not mind what was different before in what the run leaves alone",
  MIGRATIONS,
  async (s) => {
    assertEquals((await s.run("up --to 0001_pilots")).code, 0);
    await s.db.query(`
      alter table pilots alter name type varchar, add mark integer;
      drop index pilots_name_idx;
      create index mine on pilots (mark);
      comment on table pilots is 'ours';
      create table backup ()`);
    const { code, stderr } = await s.run("up --verify --to 0002_kills");
    assertEquals(code, 1);
    // It shows the column that is another one.
    assertStringIncludes(
      stderr,
      "different  column names.name: type: expected text, found character varying",
    );
    await s.db.query("alter table pilots alter name type text");
    const again = await s.run("up --verify --to 0002_kills");
    assertEquals(again.code, 0, again.stderr);
  },
);

verifies("finds what nobody has recorded", {
  "0001_branch": upCode(
    `  await sql\`create table planned (id integer)\`.execute(db);
  const { rows } = await sql\`select to_regclass('public.seed') is not null as found\`.execute(db);
  if ((rows[0] as { found: boolean }).found) {
    await sql\`create table surprise ()\`.execute(db);
    await sql\`alter table seed add more integer\`.execute(db);
    await sql\`create index planned_idx on planned (id)\`.execute(db);
  }`,
  ),
}, async (s) => {
  await s.db.query("create table seed ()");
  const { code, stderr } = await s.run("up --verify");
  assertEquals(code, 1);
  assertStringIncludes(
    stderr,
    `  detail: extra      index planned.planned_idx: CREATE INDEX planned_idx ON planned USING btree (id)
    different  table seed
    extra      table surprise
`,
  );
  assertEquals(await s.tables(), ["seed"]);
});

verifies(
  "looks after a step outside a transaction, too, and tells that it stays",
  MIGRATIONS,
  async (s) => {
    assertEquals((await s.run("up --to 0002_kills")).code, 0);
    await s.db.query("create index pilots_kills_idx on pilots (kills desc)");
    const { code, stdout, stderr } = await s.run("up --verify");
    assertEquals(code, 1);
    assertEquals(stdout, "Applied 0003_index (T)\n");
    const difference =
      "index pilots.pilots_kills_idx: definition: expected CREATE INDEX pilots_kills_idx ON pilots USING btree (kills), found CREATE INDEX pilots_kills_idx ON pilots USING btree (kills DESC)";
    assertStringIncludes(
      stderr,
      `error: "0003_index" is applied, outside a transaction, and cannot be taken back: the schema is not what was recorded: different ${difference}\n` +
        `  detail: different  ${difference}\n${HINT}`,
    );
    assertEquals((await s.history()).at(-1), "0003_index applied");
  },
);

verifies(
  "applies out of order, and leaves out what is not known then",
  OUT_OF_ORDER,
  async (s) => {
    const { "0002_b": _, ...others } = OUT_OF_ORDER;
    await s.release(others);
    assertEquals((await s.run("up")).code, 0);
    await s.release(await recorded(OUT_OF_ORDER));
    const { code, stderr } = await s.run("up --verify --allow-out-of-order");
    assertEquals(code, 0, stderr);
    assertEquals((await s.run("verify")).code, 0);
  },
);

verifies(
  "finds what a migration that is applied out of order has not made",
  {
    "0001_a": table("a"),
    "0002_b": migration({ up: "alter table a add if not exists b integer" }),
    "0003_c": migration({ up: "alter table a add c integer" }),
  },
  async (s) => {
    await s.release({ "0001_a": OUT_OF_ORDER["0001_a"] });
    assertEquals((await s.run("up")).code, 0);
    await s.db.query(
      `alter table a add b text, add c integer;
       insert into migration_history (name, checksum, status, started_at, run_id, applied_by, binary_version)
         select '0003_c', '', 'applied', now(), run_id, applied_by, binary_version from migration_history`,
    );
    await s.release(
      await recorded({
        "0001_a": table("a"),
        "0002_b": migration({
          up: "alter table a add if not exists b integer",
        }),
        "0003_c": migration({ up: "alter table a add c integer" }),
      }),
    );
    assertEquals((await s.run("repair --accept-checksum 0003_c")).code, 0);
    const { code, stderr } = await s.run("up --verify --allow-out-of-order");
    assertEquals(code, 1, stderr);
    assertStringIncludes(
      stderr,
      'error: Cannot apply "0002_b": the schema is not what was recorded: different column a.b: type: expected integer, found text\n',
    );
    assertEquals(await s.history(), [
      "0001_a applied",
      "0003_c applied",
      "0002_b failed",
    ]);
  },
);

verifies(
  "refuses what another migration, that is left out, would change, before anything runs",
  {
    "0001_a": table("a"),
    "0002_post": migration({
      up: "alter table a add seen date",
      options: '{ phase: "post" }',
    }),
    "0003_more": migration({ up: "alter table a add more integer" }),
    "0004_other": table("other"),
  },
  async (s) => {
    // A new database runs every phase.
    assertEquals((await s.run("up --verify --to 0001_a")).code, 0);
    assertEquals(await s.run("up --verify --phase pre"), {
      code: 1,
      stdout: "",
      stderr:
        `${CONNECTED}error: Cannot verify the table "a": "0002_post" would change it, and is not applied
Failed in T: nothing was changed
`,
    });
    assertEquals((await s.run("up --phase pre --to 0003_more")).code, 0);
    assertEquals((await s.run("up --verify --phase pre")).code, 0);
    assertEquals((await s.run("up --verify")).code, 0);
    assertEquals((await s.run("verify")).code, 0);
  },
);

verifies(
  "puts a difference down to the migration that was to make it, also among others",
  MIGRATIONS,
  async (s) => {
    const to = "up --verify --to 0002_kills";
    await s.db.query(
      "create table pilots (id integer primary key, name text not null)",
    );
    const first = await s.run(to);
    assertStringIncludes(first.stderr, 'error: Cannot apply "0001_pilots": ');
    await s.db.query(
      `drop table pilots;
       create function spoil() returns event_trigger language plpgsql as $$ begin
         if tg_tag = 'CREATE VIEW' then alter table pilots alter kills type bigint; end if; end $$;
       create event trigger spoil on ddl_command_end execute function spoil()`,
    );
    const second = await s.run(to);
    assertStringIncludes(
      second.stderr,
      'error: Cannot apply "0002_kills": the schema is not what was recorded: different column pilots.kills: type: expected integer, found bigint\n',
    );
    assertEquals(await s.history(), [
      "0001_pilots failed",
      "0002_kills failed",
    ]);
    await s.db.query("drop event trigger spoil");
  },
);

verifies(
  "applies nothing when the connection is lost while it compares",
  { "0001_pilots": PILOTS, "0004_last": table("last") },
  async (s) => {
    await using proxy = await startProxy(s.db);
    const url = proxy.url(s.db.url);
    const run = async () => await s.run("up --verify", { url });
    assertEquals((await run()).code, 0);
    const asked = proxy.sessions[0]!.requests.flatMap((text, i) =>
      text.includes("savepoint battlescope_migrate_schema") ? [i + 1] : []
    );
    assertEquals(asked.length > 1, true);
    for (const request of asked) {
      for (const lose of ["request", "answer"] as const) {
        await s.db.query("drop schema public cascade; create schema public");
        proxy.cutNext({ request, lose, fault: "rst" });
        const { code, stdout, stderr } = await run();
        assertEquals([code, stdout, await s.tables()], [1, "", []], stderr);
        assertStringIncludes(stderr, "nothing was changed, 2 not run");
      }
    }
    assertEquals((await run()).code, 0);
  },
);

verifies("works through PgBouncer", {
  "0001_pilots": PILOTS,
  "0002_kills": KILLS,
}, async (s) => {
  await withPgBouncer(s.db, async ({ url }) => {
    const at = { url: url(s.db.url) };
    await s.db.query("create table last (id integer)");
    const { code, stderr } = await s.run("up --verify", at);
    assertEquals(code, 0, stderr);
    await s.db.query("create table kills_1 partition of kills default");
    assertEquals((await s.run("verify --allow-extra", at)).code, 0);
  });
}, { needs: ["pgbouncer"] });

verifies(
  "tries again while somebody keeps a table to himself",
  MIGRATIONS,
  async (s) => {
    await s.db.query("create table theirs (id integer default 1)");
    await using other = await openSession(s.db.url);
    await other.run("begin");
    await other.run("lock table theirs in access exclusive mode");
    const short = "up --verify --lock-timeout 100ms";
    const failed = await s.run(`${short} --lock-retry 0`);
    assertEquals(
      [
        failed.code,
        failed.stderr.split("\n").slice(-4),
      ],
      [1, [
        "error: Cannot compare the schema: canceling statement due to lock timeout (SQLSTATE 55P03)",
        "  hint: --lock-timeout is 100 ms, and --lock-retry, for which it was tried again, 0 ms: end what holds the lock, or raise one of the two",
        "Failed in T: nothing was changed, 4 not run",
        "",
      ]],
    );
    const running = s.start(`${short} --to 0002_kills`);
    await running.waitFor(/Trying again/);
    await other.run("rollback");
    const { code, stderr } = await running.result;
    assertEquals(code, 0, stderr);
  },
);

scenario("up --verify refuses what was not recorded", {
  "0001_a": table("a"),
}, async (s) => {
  assertEquals(await s.run("up --verify"), {
    code: 1,
    stdout: "",
    stderr:
      `${CONNECTED}error: Cannot verify what the migrations make: not recorded; run "deno task insight" and build the program anew
Failed in T: nothing was changed
`,
  });
  assertEquals(await s.tables(), []);
  assertEquals((await s.run("up")).code, 0);
  assertEquals((await s.run("up --verify")).code, 0);
  const { code, stderr } = await s.run("up --verify --dry-run");
  assertEquals([code, stderr.split("\n")[0]], [
    2,
    "error: Options --dry-run and --verify exclude each other",
  ]);
});
