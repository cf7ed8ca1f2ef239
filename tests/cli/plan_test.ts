/** `plan` as a program: what it says, its exit code, and where it works. What it finds is in tests/integration/forecast_test.ts. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import { migration, table } from "../support/program/migrations.ts";
import { recorded } from "../support/program/recording.ts";
import {
  CONNECTED,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import type { PgTestOptions } from "../support/server/postgres.ts";

const PILOTS = migration({
  up: "create table pilots (id bigint primary key, name text, note text)",
  down: "drop table pilots",
});
const NOTES = migration({
  up: [
    "alter table pilots add column tags text[]",
    "alter table pilots drop column note",
  ],
  down: [
    "alter table pilots drop column tags",
    "alter table pilots add column note text",
  ],
  options: '{ accept: { "loses-data": "unused since 2.3" } }',
});
const INDEX = migration({
  up: "create index concurrently if not exists pilots_name on pilots (name)",
  down: "drop index concurrently pilots_name",
  options: "{ transaction: false, idempotent: true }",
});
const MIGRATIONS = {
  "0001_pilots": PILOTS,
  "0002_notes": NOTES,
  "0003_index": INDEX,
};

/** A test on a database with the first migration and some rows. */
function plans(
  name: string,
  test: (s: Scenario) => Promise<void>,
  options?: PgTestOptions,
): void {
  scenario(`plan ${name}`, {}, async (s) => {
    await s.release(await recorded(MIGRATIONS));
    const { code, stderr } = await s.run("up --steps 1");
    assertEquals(code, 0, stderr);
    await s.db.query(
      "insert into pilots select i, 'name', 'note' from generate_series(1, 100) i; analyze pilots",
    );
    await test(s);
  }, options);
}

const TOLD = `\
Would apply 0002_notes
  alter table pilots add column tags text[]
    ACCESS EXCLUSIVE on pilots (32 KiB with 1 index, 100 rows): blocks reads and writes
  alter table pilots drop column note
    accepted loses-data: pilots.note: it is gone after the commit, and down cannot bring it back (unused since 2.3)
    warning breaks-old-code: pilots.note: programs of the release before may still use it; expand and contract: add the new, let both live for a release, drop the old with phase: "post"
Would apply 0003_index
  create index concurrently if not exists pilots_name on pilots (name)
    SHARE UPDATE EXCLUSIVE on pilots (32 KiB with 1 index, 100 rows): others read and write, and change no definition
    builds pilots: under 1 s
Plan: 2 migrations, 1 warning, 1 accepted
`;

plans("tells what a run would do, and changes nothing", async (s) => {
  assertEquals(await s.run("plan"), {
    code: 0,
    stdout: TOLD,
    stderr: CONNECTED,
  });
  assertEquals((await s.run("plan --strict --quiet")).code, 0);
  assertEquals(await s.history(), ["0001_pilots applied"]);
  assertEquals(
    (await s.run("plan --to 0001_pilots")).stdout,
    "Plan: 0 migrations\n",
  );
});

plans("tells the same of a dry run, without the sum", async (s) => {
  const { stdout } = await s.run("up --dry-run");
  const [steps] = TOLD.split("Plan: ");
  assertEquals(
    stdout,
    `${steps}Dry run: 2 migrations would run, nothing was changed\n`,
  );
});

plans("tells of rollbacks, too", async (s) => {
  assertEquals((await s.run("up")).code, 0);
  assertEquals(
    (await s.run("plan down --steps 2")).stdout,
    `\
Would roll back 0003_index
  drop index concurrently pilots_name
    SHARE UPDATE EXCLUSIVE on pilots (48 KiB with 2 indexes, 100 rows): others read and write, and change no definition
Would roll back 0002_notes
  alter table pilots drop column tags
    ACCESS EXCLUSIVE on pilots (48 KiB with 2 indexes, 100 rows): blocks reads and writes
    accepted loses-data: pilots.tags: it is gone after the commit, and down cannot bring it back (unused since 2.3)
  alter table pilots add column note text
Plan: 2 migrations, 1 accepted
`,
  );
});

plans("has one object of JSON", async (s) => {
  const { code, lines } = await s.json("plan");
  assertEquals([code, lines.length], [0, 1]);
  const { segments, summary, blockers, cannotSee, transaction } = lines[0]! as {
    segments: { transaction: boolean; migrations: { name: string }[] }[];
    summary: unknown;
    blockers: unknown[];
    cannotSee: unknown[];
    transaction: string;
  };
  assertEquals(
    segments.map(({ transaction, migrations }) => [
      transaction,
      ...migrations.map(({ name }) => name),
    ]),
    [[true, "0002_notes"], [false, "0003_index"]],
  );
  assertEquals({ summary, blockers, cannotSee, transaction }, {
    summary: {
      migrations: 2,
      errors: 0,
      warnings: 1,
      accepted: 1,
      unknown: 0,
      uncertain: 0,
    },
    blockers: [],
    cannotSee: [],
    transaction: "all",
  });
});

plans("writes Markdown for a pull request", async (s) => {
  const { code, stdout } = await s.run("plan --format markdown");
  assertEquals(code, 0);
  assertStringIncludes(
    stdout,
    "### Plan: 2 migrations, 1 warning, 1 accepted\n",
  );
  assertStringIncludes(stdout, "| accepted | loses-data | pilots.note | ");
  const { code: other, stderr } = await s.run("up --format markdown");
  assertEquals(other, 2);
  assertStringIncludes(stderr, "Option --format: ");
});

plans(
  "exits 3 for an error, and for what is not recorded, when it is strict",
  async (s) => {
    const { "insight.json": recording = "" } = await recorded(MIGRATIONS);
    const unaccepted = {
      ...MIGRATIONS,
      "0002_notes": NOTES.replace("loses-data", "int-key"),
    };
    await s.release(await recorded(unaccepted));
    assertEquals((await s.run("plan")).code, 0);
    assertEquals((await s.run("plan --strict")).code, 3);
    await s.release({
      ...MIGRATIONS,
      "0002_notes": `${NOTES}// edited\n`,
      "0004_more": table("more"),
      "insight.json": recording,
    });
    const { code, stdout } = await s.run("plan --strict");
    assertEquals([code, stdout], [
      3,
      `\
Would apply 0002_notes
  what it does is not known: it has changed since it was recorded; run "deno task insight" and build the program anew
Would apply 0003_index
  create index concurrently if not exists pilots_name on pilots (name)
    SHARE UPDATE EXCLUSIVE on pilots (32 KiB with 1 index, 100 rows): others read and write, and change no definition
    builds pilots: under 1 s
Would apply 0004_more
  what it does is not known: it was not recorded; run "deno task insight" and build the program anew
Plan: 3 migrations, 2 not recorded
`,
    ]);
    await s.release(MIGRATIONS);
    assertEquals(
      (await s.run("up --dry-run")).stdout,
      `\
Would apply 0002_notes
Would apply 0003_index
Dry run: 2 migrations would run, nothing was changed
`,
    );
  },
);

plans(
  "names who is in the way, also of a table that is locked altogether",
  async (s) => {
    await using other = await openSession(s.db.url);
    await other.run("begin");
    await other.run("lock table pilots in access exclusive mode");
    const { code, stdout } = await s.run("plan");
    assertEquals(code, 0);
    const masked = stdout.replaceAll(
      /transaction is \d[^)]* old/g,
      "transaction is T old",
    );
    assertStringIncludes(masked, `on pilots (about `);
    assertStringIncludes(
      masked,
      `In the way now: backend ${other.pid} (shop, user ${s.db.user}, idle in transaction, its transaction is T old) has ACCESS EXCLUSIVE on pilots\n`,
    );
  },
);

plans("needs no more than to read the history", async (s) => {
  const reader = await s.db.createRole((name) => [
    `grant select on migration_history to ${name}`,
    `alter role ${name} set default_transaction_read_only = on`,
  ]);
  const { code, stdout } = await s.run("plan", { as: reader });
  assertEquals(code, 0);
  assertStringIncludes(
    stdout,
    "ACCESS EXCLUSIVE on pilots (32 KiB with 1 index, 100 rows)",
  );
  assertStringIncludes(stdout, "error missing-privilege: pilots: ");
  assertStringIncludes(stdout, "Cannot see what sessions of other roles do");
});

plans("tells what the role may not do, as the run then finds", async (s) => {
  await s.release(
    await recorded({ ...MIGRATIONS, "0004_more": table("more") }),
  );
  await s.db.query("revoke create on schema public from public");
  const role = await s.db.createRole((name) => [
    `grant select, insert, update on migration_history to ${name}`,
    `alter table pilots owner to ${name}`,
  ]);
  const { stdout } = await s.run("plan", { as: role });
  assertStringIncludes(
    stdout,
    "error missing-privilege: more: this role may not create a table in the schema public; grant create on the schema to it, or run as its owner\n",
  );
  await s.db.query(`grant create on schema public to ${role.name}`);
  const allowed = await s.run("plan", { as: role });
  assert(!allowed.stdout.includes("missing-privilege"), allowed.stdout);
});

plans("works in another schema, and behind a pooler", async (s) => {
  await withPgBouncer(s.db, async ({ url }) => {
    const { code, stdout } = await s.run("plan", { url: url(s.db.url) });
    assertEquals([code, stdout], [0, TOLD]);
  });
  await s.db.query("create schema tenant");
  assertEquals((await s.run("up --schema tenant --steps 1")).code, 0);
  const { stdout } = await s.run("plan --schema tenant");
  assertStringIncludes(
    stdout,
    "ACCESS EXCLUSIVE on pilots (16 KiB with 1 index, never analysed)",
  );
}, { needs: ["pgbouncer"] });

plans("refuses what a run refuses, and what it cannot read", async (s) => {
  await s.db.query("update migration_history set checksum = 'x'");
  const { code, stdout, stderr } = await s.run("plan");
  assertEquals([code, stdout], [1, ""]);
  assertStringIncludes(stderr, 'Cannot go on with "0001_pilots"');
  for (
    const bad of [
      "plan sideways",
      "plan down --allow-out-of-order",
      "plan --all",
    ]
  ) {
    assert((await s.run(bad)).code === 2, bad);
  }
  assertEquals(await s.run("plan --format yaml"), {
    code: 2,
    stdout: "",
    stderr:
      'error: Option --format: "yaml" is not one of text, json, markdown\n',
  });
});
