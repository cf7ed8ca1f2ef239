import { assertEquals, assertMatch } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };
const ABC = { ...AB, "0003_c": table("c") };

const NOTHING = {
  applied: 0,
  baseline: 0,
  pending: 0,
  out_of_order: 0,
  failed: 0,
  running: 0,
  changed: 0,
  missing: 0,
};

scenario(
  "status of an empty database shows everything as pending and creates nothing",
  AB,
  async (s) => {
    assertEquals(await s.run("status"), {
      code: 0,
      stdout: `\
STATE    MIGRATION  APPLIED AT  TOOK  BY
pending  0001_a
pending  0002_b

0 applied, 2 pending
`,
      stderr: CONNECTED,
    });
    assertEquals(
      await s.db.query("select to_regclass('migration_history') as found"),
      [{ found: null }],
    );
  },
);

scenario("status shows every state in one aligned table", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  await s.db.query(`
    update migration_history set finished_at = '2026-01-02T03:04:05.678Z', duration_ms = 7, applied_by = 'ci';
    update migration_history set duration_ms = 123456 where name = '0002_b';
    update migration_history set name = '0000_gone' where name = '0001_a';
    update migration_history set checksum = repeat('0', 64) where name = '0002_b';
    insert into migration_history (name, checksum, status, started_at, finished_at, duration_ms, run_id, applied_by, binary_version, error)
      select name, 'f', status, now(), now(), 2500, gen_random_uuid(), 'me', '1', error
      from (values ('0004_failed', 'failed', '42601: oh'), ('0005_running', 'running', null), ('0006_undone', 'rolled_back', null), ('0007_gone', 'rolled_back', null)) h (name, status, error);
    update migration_history set status = 'baseline', finished_at = '2026-01-02T00:00:00Z', duration_ms = null
      where name = '0003_c';
  `);
  await s.release({
    ...ABC,
    "0004_failed": table("d"),
    "0005_running": table("e"),
    "0006_undone": table("f"),
    "0007_new": table("g"),
  });
  assertEquals(await s.run("status"), {
    code: 0,
    stdout: `\
STATE         MIGRATION     APPLIED AT            TOOK       BY
missing       0000_gone     2026-01-02 03:04:05Z  7 ms       ci
out_of_order  0001_a
changed       0002_b        2026-01-02 03:04:05Z  2 min 3 s  ci
baseline      0003_c        2026-01-02 00:00:00Z             ci
failed        0004_failed                         2.5 s      me
  42601: oh
running       0005_running                        2.5 s      me
pending       0006_undone
pending       0007_new

0 applied, 1 baseline, 2 pending, 1 out of order, 1 failed, 1 running, 1 changed, 1 missing
`,
    stderr: CONNECTED,
  });
});

scenario("status --format json is one object on one line", ABC, async (s) => {
  assertEquals((await s.run("up --to 0002_b")).code, 0);
  const checksums = await s.db.query<{ checksum: string }>(
    "select checksum from migration_history order by id",
  );
  const { code, lines, stderr } = await s.json("status");
  assertEquals([code, stderr, lines.length], [0, CONNECTED, 1]);
  assertEquals(lines[0], {
    program: {
      name: "battlescope-migrate",
      version: "0.1.0",
      commit: null,
      deno: Deno.version.deno,
      kysely: "0.29.9",
      migrations: { count: 3, last: "0003_c" },
    },
    database: {
      host: "127.0.0.1",
      port: "PORT",
      name: "DB",
      serverVersion: "V",
    },
    migrations: [
      {
        name: "0001_a",
        state: "applied",
        appliedAt: "TIME",
        durationMs: "MS",
        appliedBy: "postgres",
        checksum: checksums[0]?.checksum,
      },
      {
        name: "0002_b",
        state: "applied",
        appliedAt: "TIME",
        durationMs: "MS",
        appliedBy: "postgres",
        checksum: checksums[1]?.checksum,
      },
      {
        name: "0003_c",
        state: "pending",
        appliedAt: null,
        durationMs: null,
        appliedBy: null,
        checksum: null,
      },
    ],
    summary: { ...NOTHING, applied: 2, pending: 1 },
  });
});

scenario(
  "status --format json has the error of a failed migration, and no time of applying",
  { "0001_a": migration({ up: "select 1 / 0" }) },
  async (s) => {
    assertEquals((await s.run("up")).code, 1);
    const [status] = (await s.json("status --quiet")).lines;
    const [{ checksum, ...failed }] = status?.migrations as [
      Record<string, unknown>,
    ];
    assertMatch(String(checksum), /^[0-9a-f]{64}$/);
    assertEquals(failed, {
      name: "0001_a",
      state: "failed",
      appliedAt: null,
      durationMs: "MS",
      appliedBy: "postgres",
      error: "22012: division by zero",
    });
    assertEquals(status?.summary, { ...NOTHING, failed: 1 });
  },
);

scenario(
  "status --check says by its exit code whether something is pending",
  AB,
  async (s) => {
    assertEquals((await s.run("status --check")).code, 3);
    assertEquals((await s.json("status --check")).code, 3);
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    assertEquals(await s.run("status --check --quiet"), {
      code: 3,
      stdout: "",
      stderr: "",
    });
    assertEquals((await s.json("status --check --quiet")).lines, []);
    assertEquals((await s.run("up")).code, 0);
    assertEquals((await s.run("status --check")).code, 0);

    await s.db.query(
      "update migration_history set checksum = 'f' where name = '0001_a'",
    );
    assertEquals((await s.run("status --check")).code, 1);
    assertEquals((await s.run("status")).code, 0);
  },
);

scenario(
  "status --check counts a failed and an out-of-order migration as pending, and a missing one as none",
  ABC,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.release({ "0001_a": ABC["0001_a"], "0003_c": ABC["0003_c"] });
    assertEquals((await s.run("status --check")).code, 0);
    await s.release({ ...ABC, "0002_bb": table("bb") });
    assertEquals((await s.run("status --check")).code, 3);
    await s.release({ ...ABC, "0004_d": migration({ up: "select 1 / 0" }) });
    assertEquals((await s.run("up")).code, 1);
    assertEquals((await s.run("status --check")).code, 3);
  },
);

scenario(
  "status --wait ends as soon as another process has applied everything",
  AB,
  async (s) => {
    await using waiting = s.start("status --wait 10m");
    await waiting.waitFor("Waiting for 2 migrations, ");
    assertEquals((await s.run("up")).code, 0);
    const { code, stdout, stderr } = await waiting.result;
    assertEquals(code, 0);
    assertEquals(
      stdout.replaceAll(/\d{4}-.*| {2}TOOK.*/g, "…"),
      `\
STATE    MIGRATION  APPLIED AT          …
applied  0001_a     …
applied  0002_b     …

2 applied, 0 pending
`,
    );
    assertEquals(
      stderr,
      `${CONNECTED}Waiting for 2 migrations, T left\n`,
    );
  },
);

scenario("status --wait gives up when its time is over", AB, async (s) => {
  assertEquals(await s.run("status --wait 1500ms"), {
    code: 3,
    stdout: (await s.run("status")).stdout,
    stderr: `${CONNECTED}Waiting for 2 migrations, T left\n`,
  });
});

scenario(
  "status --wait does not wait when nothing is pending, nor for what cannot pass",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals((await s.run("status --wait 10m")).code, 0);
    const role = await s.db.createRole();
    const url = role.url.replace(role.password, "wrong-password");
    assertEquals(
      await s.run("status --wait 10m", { as: role, url }),
      {
        code: 1,
        stdout: "",
        stderr: `\
error: Cannot connect to the database "DB" at HOST:PORT: password authentication failed for user "ROLE" (SQLSTATE 28P01)
  hint: Check the password of the role "ROLE"
`,
      },
    );
  },
);

scenario(
  "status --wait waits for a server no longer than it was told",
  AB,
  async (s) => {
    const { code, stdout } = await s.run("status --wait 1s --wait-for-db 10m", {
      url: "postgres://me@127.0.0.1:1/nowhere",
    });
    assertEquals([code, stdout], [1, ""]);
  },
);

scenario(
  "status shows times in UTC whatever the zone of the role",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.db.query(
      "update migration_history set finished_at = '2026-01-02T03:04:05Z', duration_ms = 1",
    );
    const role = await s.db.createRole((name) => [
      `grant select on migration_history to ${name}`,
      `alter role ${name} set timezone = 'Asia/Kolkata'`,
      `alter role ${name} set datestyle = 'German'`,
    ]);
    assertEquals(
      (await s.run("status", { as: role })).stdout,
      `\
STATE    MIGRATION  APPLIED AT            TOOK  BY
applied  0001_a     2026-01-02 03:04:05Z  1 ms  postgres
applied  0002_b     2026-01-02 03:04:05Z  1 ms  postgres

2 applied, 0 pending
`,
    );
    await s.db.query("update migration_history set finished_at = 'infinity'");
    assertEquals((await s.run("status", { as: role })).code, 0);
  },
);
