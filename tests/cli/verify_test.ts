/** `verify` as a program: what it says, its exit code, and where it works. What it finds is in tests/integration/verify_mutations_test.ts. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { startServer } from "../../scripts/dev/embedded_postgres.ts";
import {
  makePrivateFolder,
  type PostgresVersion,
} from "../../scripts/dev/postgres_binaries.ts";
import { openSession } from "../support/program/application.ts";
import { startMigrate } from "../support/program/cli.ts";
import { migration, table } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { withProject } from "../support/program/project.ts";
import { recorded } from "../support/program/recording.ts";
import {
  CONNECTED,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import { type PgTestOptions, testServers } from "../support/server/postgres.ts";

const PILOTS = migration({
  up: [
    "create table pilots (id bigint generated always as identity primary key, name text not null)",
    "create index pilots_name_idx on pilots (name)",
    "create view names as select name from pilots where id > 0",
    "create function low(text) returns text language sql immutable as 'select lower($1)'",
  ],
});
const KILLS = migration({
  up: [
    "create table kills (pilot bigint references pilots, at timestamptz not null) partition by range (at)",
    "alter table pilots add kills integer not null default 0",
  ],
});
const MIGRATIONS = { "0001_pilots": PILOTS, "0002_kills": KILLS };
const MATCHES = "Matches the schema of 0002_kills\n";

/** A test of a program that carries the recording of its migrations. */
function verifies(
  name: string,
  test: (s: Scenario) => Promise<void>,
  options?: PgTestOptions,
): void {
  scenario(`verify ${name}`, {}, async (s) => {
    await s.release(await recorded(MIGRATIONS));
    await test(s);
  }, options);
}

verifies(
  "says what is different, and by its exit code that something is",
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.run("verify"), {
      code: 0,
      stdout: MATCHES,
      stderr: CONNECTED,
    });
    await s.db.query(`
    alter table pilots alter kills type bigint;
    drop index pilots_name_idx;
    create table backup (id integer);
    create or replace view names as select name from pilots where id > 1;
    create table kills_2026 partition of kills for values from ('2026-01-01') to ('2027-01-01');
    create table kills_rest partition of kills default;
    alter table pilots drop name cascade;
    alter table pilots add name text not null`);
    const expected = `\
extra      table backup
missing    view names: SELECT name FROM pilots WHERE (id > 0);
different  column pilots.kills: type: expected integer, found bigint
missing    index pilots.pilots_name_idx: CREATE INDEX pilots_name_idx ON pilots USING btree (name)
note       the columns of table pilots are in another order
not compared  table kills_2026 and 1 more: a partition of kills that was made at run time
Differs in 4 places from the schema of 0002_kills
`;
    const found = await s.run("verify --quiet");
    assertEquals(
      { ...found, stdout: withoutQualifier(found.stdout) },
      { code: 3, stdout: expected, stderr: "" },
    );
    assertEquals((await s.run("verify --allow-extra")).code, 3);
    const ignored = await s.run([
      "verify",
      "--allow-extra",
      "--ignore=view:names",
      "--ignore=table:pilots",
    ]);
    assertEquals(
      [ignored.code, ignored.stdout],
      [
        0,
        `\
extra      table backup
note       the columns of table pilots are in another order
not compared  table kills_2026 and 1 more: a partition of kills that was made at run time
not compared  view names and 2 more: ignored
Differs in 1 place from the schema of 0002_kills
`,
      ],
    );
  },
);

/** 15 prints the table with each column of a view. */
function withoutQualifier(text: string): string {
  return text.replace(
    "SELECT pilots.name FROM pilots WHERE (pilots.id > 0)",
    "SELECT name FROM pilots WHERE (id > 0)",
  );
}

verifies("compares with the schema that is asked for", async (s) => {
  assertEquals((await s.run("verify")).stdout, "Matches an empty schema\n");
  assertEquals((await s.run("up --to 0001_pilots")).code, 0);
  assertEquals(
    (await s.run("verify")).stdout,
    "Matches the schema of 0001_pilots\n",
  );
  const { code, stdout } = await s.run("verify --to 0002_kills");
  assertEquals([code, stdout], [
    3,
    `\
missing    table kills
missing    column pilots.kills: integer
Differs in 2 places from the schema of 0002_kills
`,
  ]);
});

verifies("compares grants when it is asked to", async (s) => {
  assertEquals((await s.run("up")).code, 0);
  await s.db.query("grant select on pilots to public");
  assertEquals((await s.run("verify")).stdout, MATCHES);
  const { code, stdout } = await s.run("verify --grants");
  assertEquals([code, stdout], [
    3,
    `\
different  table pilots: grants to public: expected none, found ["select"]
Differs in 1 place from the schema of 0002_kills
`,
  ]);
});

verifies("has the differences as one object of JSON", async (s) => {
  assertEquals((await s.run("up")).code, 0);
  await s.db.query("alter table pilots alter kills type bigint");
  const { code, lines } = await s.json("verify");
  const [object] = lines;
  assertEquals([code, lines.length], [3, 1]);
  const { matches, expected, differences, notCompared, reordered } = object!;
  assertEquals(
    { matches, differences, notCompared, reordered },
    {
      matches: false,
      differences: [{
        kind: "different",
        type: "column",
        object: "pilots.kills",
        part: "type",
        expected: "integer",
        found: "bigint",
      }],
      notCompared: [],
      reordered: [],
    },
  );
  assertEquals(
    (expected as { migration: string }).migration,
    "0002_kills",
  );
});

verifies(
  "asks one question after the log-in, and another one for what differs",
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const asked = async (code: number) => {
      await using proxy = await startProxy(s.db);
      const url = proxy.url(s.db.url);
      assertEquals((await s.run("verify", { url })).code, code);
      return proxy.sessions.map(({ requests }) =>
        requests.filter((text) => text !== "").length
      );
    };
    const before = await asked(0);
    assertEquals(before, [2]);
    await s.db.query("alter table pilots alter kills type bigint");
    assertEquals(await asked(3), [3]);
  },
);

verifies(
  "finds no difference in another schema, whatever its name",
  async (s) => {
    for (const schema of ["tenant1", 'A "schema"']) {
      await s.db.query(`create schema "${schema.replaceAll('"', '""')}"`);
      const up = await s.run(["up", "--schema", schema]);
      assertEquals(up.code, 0, up.stderr);
      const { code, stdout } = await s.run(["verify", "--schema", schema]);
      assertEquals([code, stdout], [0, MATCHES]);
    }
  },
);

verifies(
  "needs no more than to read the history, and writes nothing",
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const reader = await s.db.createRole((name) => [
      `grant select on migration_history to ${name}`,
      `alter role ${name} set default_transaction_read_only = on`,
      `alter role ${name} set quote_all_identifiers = on`,
      `alter role ${name} set datestyle = 'German'`,
      `alter role ${name} set search_path = 'nowhere', 'public'`,
    ]);
    const { code, stdout } = await s.run("verify", { as: reader });
    assertEquals([code, stdout], [0, MATCHES]);
  },
);

verifies(
  "works behind a pooler, where every message may have another session",
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.db.query("alter table pilots alter kills type bigint");
    await withPgBouncer(s.db, async ({ url }) => {
      const { code, stdout } = await s.run("verify", {
        url: url(s.db.url),
      });
      assertEquals([code, stdout], [
        3,
        `\
different  column pilots.kills: type: expected integer, found bigint
Differs in 1 place from the schema of 0002_kills
`,
      ]);
    });
    // Nothing of it is left in the server's sessions.
    const { code } = await s.run("verify --allow-extra");
    assertEquals(code, 3);
  },
  { needs: ["pgbouncer"] },
);

verifies("says who is in the way of reading", async (s) => {
  assertEquals((await s.run("up")).code, 0);
  await using other = await openSession(s.db.url);
  await other.run("begin");
  await other.run("lock table pilots in access exclusive mode");
  const { code, stdout, stderr } = await s.run("verify");
  assertEquals([code, stdout], [1, ""]);
  const reason =
    `"pilots" is locked by backend ${other.pid} (shop, user ${s.db.user}, idle in transaction, its transaction is T old): lock table pilots in access exclusive mode`;
  const lines = stderr.replaceAll(
    /transaction is \d[^)]* old/g,
    "transaction is T old",
  )
    .trimEnd().split("\n");
  assertEquals(
    lines.at(-1),
    `error: Cannot read the schema: ${reason}; try again when that is done`,
  );
  assertEquals(lines.length, 4, stderr);
});

verifies("does not guess what was not recorded", async (s) => {
  assertEquals((await s.run("up")).code, 0);
  const { "insight.json": recording = "" } = await recorded(MIGRATIONS);
  await s.release(MIGRATIONS);
  const refused = async (reason: string) => {
    assertEquals(await s.run("verify"), {
      code: 1,
      stdout: "",
      stderr: `${CONNECTED}error: ${reason}\n`,
    });
  };
  await refused(
    'Cannot tell what the migrations make: not recorded; run "deno task insight" and build the program anew',
  );
  await s.release({
    ...MIGRATIONS,
    "0002_kills": `${KILLS}// edited\n`,
    "insight.json": recording,
  });
  await refused(
    'Cannot tell what "0002_kills" makes: not recorded; run "deno task insight" and build the program anew',
  );
  // What is not applied yet need not be recorded.
  await s.release({
    ...MIGRATIONS,
    "0003_more": table("more"),
    "insight.json": recording,
  });
  assertEquals((await s.run("verify")).stdout, MATCHES);
  await s.release({
    ...MIGRATIONS,
    "insight.json": recording.replace('"format":1', '"format":2'),
  });
  const other = await s.run("verify");
  assertEquals(other.code, 1);
  assertStringIncludes(
    other.stderr,
    'Cannot read "insight.json": its format is 2, not 1; run "deno task insight"',
  );
});

verifies("compares less where the history has gaps, and says so", async (s) => {
  const all = { ...MIGRATIONS, "0003_more": table("more") };
  await s.release(await recorded(all));
  assertEquals((await s.run("up")).code, 0);
  await s.db.query(
    `delete from migration_history where name = '0002_kills';
     drop table kills; alter table pilots drop kills; drop index pilots_name_idx; drop table more`,
  );
  const { code, stdout, stderr } = await s.run("verify");
  assertEquals({ code, stdout, stderr }, {
    code: 3,
    stdout: `\
missing    table more
not compared  table pilots: "0002_kills" would change it, and is not applied
Differs in 1 place from the schema of 0003_more
`,
    stderr:
      `${CONNECTED}warning: Not applied, although newer ones are: "0002_kills"; what would be changed is not compared\n`,
  });
  await s.db.query(
    `update migration_history set name = '0004_stranger' where name = '0003_more'`,
  );
  assertStringIncludes(
    (await s.run("verify")).stderr,
    'warning: Applied, and unknown to this program: "0004_stranger"; what was changed counts as a difference\n',
  );
});

Deno.test("verify works on a standby", async () => {
  const folder = join(await makePrivateFolder(), `standby-${Deno.pid}`);
  await Deno.mkdir(folder, { mode: 0o711 });
  const options = {
    version: testServers().at(-1)!.version as PostgresVersion,
    folder,
    settings: { wal_level: "replica", hot_standby: "on" },
  } as const;
  const migrations = await recorded(MIGRATIONS);
  await withProject(migrations, async (project) => {
    const run = async (command: string, url: string) => {
      const env = { DATABASE_URL: url };
      return await startMigrate(command.split(" "), { project, env }).result;
    };
    try {
      const primary = await startServer(options);
      try {
        assertEquals((await run("up", primary.url())).code, 0);
      } finally {
        await primary.stop();
      }
      await Deno.writeTextFile(join(folder, "data", "standby.signal"), "");
      const standby = await startServer(options);
      try {
        const { code, stdout } = await run("verify", standby.url());
        assertEquals([code, stdout], [0, MATCHES]);
      } finally {
        await standby.stop();
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});
