import { assertEquals } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

/** In the one order: by code unit, so upper case before `_` before lower case, and `-` before digits. */
const NAMES = [
  " ",
  "$ 'quoted' \"twice\" \\ %20#?",
  "..",
  "0001-a",
  "0001_init",
  "001",
  "1",
  "20230309T045948368Z-init",
  "2024-01-08T22:07:51 crews",
  "2024.",
  "20260105090000_a-b",
  "20260105090000_aB",
  "20260105090000_a_b",
  "20260105090000_aa",
  "Z",
  "_20240108T220751294Z",
  "añadir tabla",
  "constructor",
  "proto__",
  "toString",
  "x".repeat(200),
  "é\u0301",
];

const ENDINGS = [".ts", ".js", ".mts", ".mjs"];

const ODD = Object.fromEntries(
  // Given in another order than theirs.
  NAMES.toReversed().map((name, i) => [
    `${name}${ENDINGS[i % ENDINGS.length]}`,
    `import { sql } from "kysely";
export const up = async (db) => { await sql\`create table ${`"t${i}"`} ()\`.execute(db); };
export const down = async (db) => { await sql\`drop table if exists ${`"t${i}"`}\`.execute(db); };
`,
  ]),
);

scenario(
  "names of any accepted form run in one order, and every command finds them",
  ODD,
  async (s) => {
    const { code, stdout } = await s.run("up");
    assertEquals(code, 0);
    assertEquals(
      stdout,
      [
        ...NAMES.map((name) => `Applied ${name} (T)`),
        `Applied ${NAMES.length} migrations in T`,
        "",
      ].join("\n"),
    );
    assertEquals(await s.history(), NAMES.map((name) => `${name} applied`));
    assertEquals((await s.run("up")).code, 0);
    assertEquals((await s.run("status --check")).code, 0);

    assertEquals((await s.run("down --to 20260105090000_a_b --yes")).code, 0);
    assertEquals((await s.run("down --to 0001-a --yes")).code, 0);
    assertEquals((await s.run("baseline --to toString")).code, 0);
    assertEquals((await s.run(`up --to ${"x".repeat(200)}`)).code, 0);
    for (const name of ["2024.", "..", " "]) {
      const { code, stderr } = await s.run(["down", "--yes", "--to", name]);
      assertEquals(code, 0, stderr);
    }
    const [, odd] = NAMES;
    assertEquals((await s.run(["up", "--to", odd!])).code, 0);
    assertEquals((await s.run(["baseline", "--to", "2024."])).code, 0);
    await s.db.query(
      "update migration_history set checksum = 'other' where name = $1",
      [odd],
    );
    const changed = await s.run("up");
    const [, way] = /(repair --accept-checksum .*)\n/.exec(changed.stderr) ??
      [];
    assertEquals(
      way,
      `repair --accept-checksum '$ '\\''quoted'\\'' "twice" \\ %20#?'`,
    );
    assertEquals(
      (await s.run(["repair", "--accept-checksum", odd!])).stdout,
      `Accepted the checksum of ${odd}\nRepaired 1 migration in T\n`,
    );
    assertEquals((await s.run(["baseline", "--to", "toString"])).code, 0);
    assertEquals((await s.run(`up --to ${"x".repeat(200)}`)).code, 0);
    const [status] = (await s.json("status")).lines;
    assertEquals(
      (status?.migrations as { name: string; state: string }[]).map((
        { name, state },
      ) => [name, state]),
      NAMES.map((name, i) => [
        name,
        i < 2 || name.length === 200
          ? "applied"
          : i < NAMES.length - 1
          ? "baseline"
          : "pending",
      ]),
    );
  },
);

scenario("a name in the history that no file could have is shown harmlessly", {
  "0001_a": table("a"),
}, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  await s.db.query(`
    update migration_history set duration_ms = 1;
    insert into migration_history (name, checksum, status, started_at, finished_at, run_id, applied_by, binary_version)
    select e'0002_\\x1b[31m"; drop table a; --\\nx', 'f', 'applied', now(), '2026-01-02T03:04:05Z', gen_random_uuid(), e'me\\x07', '1'`);
  const shown = String.raw`0002_\u001b[31m"; drop table a; --\u000ax`;
  const status = await s.run("status");
  assertEquals(
    status.stdout.split("\n")[2],
    String.raw`missing  ${shown}  2026-01-02 03:04:05Z        me\u0007`,
  );
  assertEquals(
    (await s.run("up")).stderr,
    `\
${CONNECTED}warning: The database is newer than this program: its history has "${shown}"
`,
  );
  assertEquals(
    (await s.run("down --yes")).stderr,
    `\
${CONNECTED}error: Cannot roll back "${shown}": this program does not carry it; run the version of the program that does
Failed in T: nothing was changed
`,
  );
  const [json] = (await s.json("status")).lines;
  assertEquals(
    (json?.migrations as { name: string }[])[1]?.name,
    '0002_\u001b[31m"; drop table a; --\nx',
  );
});
