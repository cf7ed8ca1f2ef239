/** `deno task insight` on real servers: the file in the repository is what it writes, and what is wrong with a migration is found. */
import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { withCheckout } from "../support/program/checkout.ts";
import { migration } from "../support/program/migrations.ts";
import { writeMigrations } from "../support/program/project.ts";
import { readRecording } from "../../src/insight/recording.ts";

const FILE = new URL("../../migrations/insight.json", import.meta.url);

/** What it says on its way, and what Deno says that fetches a package for the first time. */
function withoutProgress(stderr: string): string {
  return stderr.replaceAll(
    /^(?:(?:Creating|Recording|Recorded) |\S*Download\S* ).*\n/gm,
    "",
  );
}

Deno.test("insight: the recording in the repository is what the servers say, to the byte", async () => {
  await withCheckout(async ({ folder, task }) => {
    const path = join(folder, "migrations", "insight.json");
    const before = await Deno.readTextFile(FILE);
    await Deno.remove(path);
    const missing = await task(["insight", "--check"]).result;
    assertEquals({ ...missing, stderr: withoutProgress(missing.stderr) }, {
      code: 0,
      stdout: "",
      stderr:
        "There is no insight.json: nothing was recorded, and verify cannot tell what to expect\n",
    });
    const result = await task(["insight"]).result;
    assertEquals(
      { ...result, stderr: withoutProgress(result.stderr) },
      { code: 0, stdout: "", stderr: "" },
    );
    assertEquals(await Deno.readTextFile(path), before);
    const fresh = await task(["insight", "--check"]).result;
    assertEquals(fresh, { code: 0, stdout: "", stderr: "" });
    await Deno.writeTextFile(
      path,
      before.replace('"checksum":"8', '"checksum":"0'),
    );
    const stale = await task(["insight", "--check"]).result;
    assertEquals(stale, {
      code: 1,
      stdout: "",
      stderr:
        'insight.json is stale:\n  "20260105090000_set_updated_at" has changed since it was recorded\nRun "deno task insight" and commit the result\n',
    });
  });
});

const FAULTY = {
  "0001_a": migration({
    up: "create table a (id integer primary key, note text)",
    down: "drop table a",
  }),
  "0002_inexact": migration({
    up: ["alter table a add b integer", "create index a_note_idx on a (note)"],
    down: "alter table a drop b",
  }),
  "0003_no_way_back": migration({
    up: "create table c (id integer references a)",
    down: "drop table nowhere",
  }),
  "0004_role": migration({ up: "grant select on a to nobody_knows" }),
  "0005_reader": migration({ up: "grant select on a to reader" }),
  "0006_once": migration({
    up: "create index concurrently a_b_idx on a (b)",
    down: "drop index concurrently a_b_idx",
    options: "{ transaction: false, idempotent: true }",
  }),
  "0007_view": migration({
    up: "create view v as select id from a where id > 3",
  }),
  // Only a superuser may; what it makes belongs to the owner all the same.
  "0008_superuser": migration({
    up: [
      "create function notes() returns event_trigger language plpgsql as 'begin end'",
      "create event trigger notes on ddl_command_end execute function notes()",
    ],
    down: ["drop event trigger notes", "drop function notes()"],
  }),
  "0009_owner": migration({ up: "drop function notes() cascade" }),
};

const FAULTS = [
  'Cannot roll back "0002_inexact" exactly: extra index a.a_note_idx: CREATE INDEX a_note_idx ON a USING btree (note)',
  'Cannot roll back "0003_no_way_back": table "nowhere" does not exist (SQLSTATE 42P01)',
  'Cannot apply "0004_role": role "nobody_knows" does not exist (SQLSTATE 42704)',
  'Cannot apply "0006_once": relation "a_b_idx" already exists (SQLSTATE 42P07); that was the second time, and it says that it is idempotent',
];

Deno.test("insight: names every fault of a folder, and writes them down with --no-fail", async () => {
  await withCheckout(async ({ folder, task }) => {
    const migrations = join(folder, "migrations");
    await Deno.remove(migrations, { recursive: true });
    await writeMigrations(migrations, {
      ...FAULTY,
      "insight.setup.sql": "create role reader;",
    });
    assertEquals((await task(["registry"]).result).stderr, "");
    const refused = await task(["insight"]).result;
    assertEquals(
      { ...refused, stderr: withoutProgress(refused.stderr) },
      {
        code: 1,
        stdout: "",
        stderr: `${
          FAULTS.join("\n")
        }\nNothing was written: mend these 4 faults, or write down with --no-fail what is wrong\n`,
      },
    );
    const written = await task(["insight", "--no-fail"]).result;
    assertEquals(
      { ...written, stderr: withoutProgress(written.stderr) },
      {
        code: 0,
        stdout: "",
        stderr: FAULTS.map((fault) => `warning: ${fault}\n`).join(""),
      },
    );
    const recording = readRecording(
      await Deno.readTextFile(join(migrations, "insight.json")),
    );
    assertEquals(
      recording.migrations.map((
        { name, status, reason, exact, superuser, faults, delta, versions },
      ) => ({
        name,
        status,
        ...(superuser !== undefined && { superuser }),
        ...(reason !== undefined && { reason }),
        ...(exact !== undefined && { exact }),
        ...(faults !== undefined && { faults }),
        delta: Object.keys(delta),
        ...(versions !== undefined && {
          versions: Object.entries(versions).map(([version, delta]) => [
            version,
            ...Object.keys(delta),
          ]),
        }),
      })),
      [
        { name: "0001_a", status: "recorded", exact: true, delta: ["table a"] },
        {
          name: "0002_inexact",
          status: "recorded",
          exact: false,
          faults: [FAULTS[0]!],
          delta: ["table a"],
        },
        {
          name: "0003_no_way_back",
          status: "recorded",
          exact: false,
          faults: [FAULTS[1]!],
          delta: ["table c"],
        },
        {
          name: "0004_role",
          status: "unknown",
          reason: FAULTS[2]!,
          delta: [],
        },
        { name: "0005_reader", status: "recorded", delta: ["table a"] },
        {
          name: "0006_once",
          status: "recorded",
          exact: true,
          faults: [FAULTS[3]!],
          delta: ["table a"],
        },
        {
          name: "0007_view",
          status: "recorded",
          delta: ["view v"],
          versions: [["15", "view v"]],
        },
        {
          name: "0008_superuser",
          status: "recorded",
          superuser: true,
          exact: true,
          delta: ["function notes()"],
        },
        {
          name: "0009_owner",
          status: "recorded",
          delta: ["function notes()"],
        },
      ],
    );
  });
});

Deno.test("insight: in two phases the schema has to become the same", async () => {
  await withCheckout(async ({ folder, task }) => {
    const migrations = join(folder, "migrations");
    const record = async (post: string) => {
      await Deno.remove(migrations, { recursive: true });
      await writeMigrations(migrations, {
        "0001_a": migration({ up: "create table a (id integer, note text)" }),
        "0002_drop": migration({
          up: "alter table a drop note",
          options: '{ phase: "post" }',
        }),
        "0003_more": migration({ up: post }),
      });
      assertEquals((await task(["registry"]).result).stderr, "");
      const { code, stderr } = await task(["insight"]).result;
      return [code, withoutProgress(stderr)];
    };
    assertEquals(await record("alter table a add more text"), [0, ""]);
    const nothing =
      "Nothing was written: mend this, or write down with --no-fail what is wrong\n";
    assertEquals(
      await record(
        "do $$ begin if not exists (select from pg_attribute where attrelid = 'a'::regclass and attname = 'note') then create table b (); end if; end $$",
      ),
      [
        1,
        `Cannot apply the phases pre and post one after the other with the same result: missing table b\n${nothing}`,
      ],
    );
    assertEquals(await record("alter table a add note text"), [
      1,
      `In two phases: Cannot apply "0003_more": column "note" of relation "a" already exists (SQLSTATE 42701)\n${nothing}`,
    ]);
  });
});
