/** What is printed with --format json is what docs/schemas says, of every kind of command and event. */
import { assertEquals } from "@std/assert";
import type { Event } from "../../src/report/events.ts";
import { openSession } from "../support/program/application.ts";
import { backfill, fillTable } from "../support/program/backfills.ts";
import { table, upCode } from "../support/program/migrations.ts";
import { recorded } from "../support/program/recording.ts";
import { type RunOptions, scenario } from "../support/program/scenario.ts";
import { runValidator } from "../support/k8s/validators.ts";

/** Which events there are, and why one is in no output of a command here. The compiler finds one that is missing. */
const EVENTS: Readonly<Record<Event["event"], string | undefined>> = {
  waiting_for_database: undefined,
  connected: undefined,
  waiting_for_lock: undefined,
  waiting_for_migrations: "status prints one object and nothing on the way",
  warning: undefined,
  waiting_for_backfill:
    "it takes a second run; see tests/fire/backfill_test.ts",
  backfill_progress: "it takes a backfill of more than ten seconds",
  backfill_controlled: undefined,
  backfill_held:
    "it takes a standby that lags; see tests/fire/backfill_hold_test.ts",
  backfill_retried:
    "it takes somebody in the way at the right moment; see tests/fire/backfill_test.ts",
  notice: undefined,
  statement: undefined,
  planned: undefined,
  started: undefined,
  transaction_begun: "only traces tell it",
  transaction_ended: "only traces tell it",
  blocked: undefined,
  running: undefined,
  quiet: "it takes a migration that does nothing for ten seconds",
  retrying: undefined,
  applied: undefined,
  rolled_back: undefined,
  recorded: undefined,
  outcome: undefined,
  verified: "it is the object of verify, which has a schema of its own",
  forecast: "it is the object of plan, which has a schema of its own",
  status: "it is the object of status, which has a schema of its own",
  failed: undefined,
  summary: undefined,
};

/** The key of the migration lock for the schema `public`. */
const LOCK = "pg_advisory_lock(x'62736d67'::int, hashtext('public'))";

const A = { "0001_a": table("a") };
const SLOW = upCode(`
  await sql\`do $$ begin raise notice 'slow'; end $$\`.execute(db);
  await sql\`select pg_sleep(4)\`.execute(db);
  await sql\`alter table a alter id type int using id + coalesce(length(pg_sleep(3)::text), 0)\`.execute(db);`) +
  `
export const down = async () => {};
`;

scenario("--format json prints what docs/schemas describes", A, async (s) => {
  const printed: Record<
    "events" | "plan" | "schema" | "status" | "verify" | "version",
    unknown[]
  > = {
    plan: [],
    schema: [],
    verify: [],
    events: [],
    status: [],
    version: [],
  };
  const collect = async (
    schema: keyof typeof printed,
    command: string,
    options?: RunOptions,
  ) => {
    const args = [...command.split(" "), "--format=json"];
    const { code, stdout, stderr } = await s.run(args, options);
    const lines = stdout.split("\n").slice(0, -1);
    assertEquals(lines.length > 0, true, `${command}: ${stderr}`);
    printed[schema].push(...lines.map((line) => JSON.parse(line)));
    return code;
  };
  const up = async (command = "up") => await collect("events", command);

  assertEquals(await collect("version", "version"), 0);
  assertEquals(await collect("status", "status"), 0);
  assertEquals(await up("up --dry-run"), 0);
  assertEquals(await up("up --lock-wait=x --steps=0"), 2);
  assertEquals(
    await collect("events", "up --wait-for-db=600ms", {
      url: "postgres://app:secret@127.0.0.1:1/db",
    }),
    1,
  );
  assertEquals(await up(), 0);
  await s.release(await recorded(A));
  assertEquals(await collect("schema", "schema"), 0);
  assertEquals(await collect("verify", "verify"), 0);
  await s.db.query("alter table a add more integer");
  assertEquals(await collect("verify", "verify"), 3);
  assertEquals(await collect("verify", "verify --ignore table:a"), 0);
  await s.db.query("alter table a drop more");

  const changes = {
    ...A,
    "0002_change": upCode(
      "await sql`alter table a alter id type bigint`.execute(db); await sql`select id from a`.execute(db);" +
        "await sql`alter table a add constraint positive check (id > 1), add constraint odd check (id % 2 = 1)`.execute(db);" +
        "await sql`create table if not exists t (id bigint primary key, n int, pad text)`.execute(db);",
    ),
    "0003_fill": backfill(),
  };
  await fillTable(s.db);
  await s.db.query("insert into a values (1)");
  await s.release(await recorded(changes));
  assertEquals(await collect("plan", "plan --transaction=each --probe"), 0);
  assertEquals(await collect("plan", "plan down"), 0);
  assertEquals(await up("up --dry-run"), 0);
  await s.db.query("drop table t");

  await s.db.query("vacuum analyze a");
  await s.release(await recorded({ ...A, "0002_slow": SLOW }));
  assertEquals(await up("up --verbose"), 0);
  assertEquals(await collect("status", "status"), 0);
  assertEquals(await up("redo --yes"), 0);
  assertEquals(await up("down --dry-run"), 0);
  assertEquals(await up("down --yes"), 0);
  assertEquals(await up("baseline --to 0002_slow"), 0);
  assertEquals(await collect("status", "status"), 0);

  // Somebody reads the table, and another migrator is at work.
  await s.release({
    ...A,
    "0002_slow": SLOW,
    "0003_more": upCode("await sql`alter table a add b int`.execute(db);"),
  });
  await using reader = await openSession(s.db.url);
  await reader.run("begin");
  await reader.run("select from a");
  assertEquals(await up("up --lock-timeout=3s --lock-retry=4s"), 1);
  await reader.run("rollback");
  await reader.run(`select ${LOCK}`);
  assertEquals(await up("up --lock-wait=300ms"), 1);
  await reader.run("select pg_advisory_unlock_all()");

  const edited = { ...A, "0002_slow": `${SLOW}// edited\n` };
  await s.release(edited);
  assertEquals(await up(), 1);
  assertEquals(await up("repair --accept-checksum 0002_slow"), 0);
  const throws = upCode('throw new Error("no");');
  await s.release({ ...edited, "0004_throws": throws });
  assertEquals(await up(), 1);
  const alone = "export const options = { transaction: false };\n" +
    upCode("await sql`select 1 / 0`.execute(db);");
  await s.release({ ...edited, "0005_alone": alone });
  assertEquals(await up(), 1);
  assertEquals(await collect("status", "status"), 0);
  assertEquals(await up("repair --retry 0005_alone"), 0);
  await s.release({ ...edited, "0006_fill": backfill() });
  await fillTable(s.db);
  assertEquals(await up("up --time-limit 0"), 4);
  assertEquals(await collect("status", "status"), 0);
  assertEquals(await up("backfill pause 0006_fill"), 0);
  assertEquals(await up("backfill set 0006_fill --rest 2 --aim 300ms"), 0);
  assertEquals(await up("backfill resume 0006_fill"), 0);
  await s.release(A);
  assertEquals(await up(), 0);

  const names = new Set(
    (printed.events as { event: string }[]).map(({ event }) => event),
  );
  assertEquals(
    [...names].sort(),
    Object.entries(EVENTS).filter(([, reason]) => reason === undefined)
      .map(([name]) => name).sort(),
  );
  const schemas = Object.fromEntries(
    await Promise.all(
      Object.keys(printed).map(async (name) => [
        name,
        JSON.parse(await Deno.readTextFile(`docs/schemas/${name}.json`)),
      ]),
    ),
  );
  const known = schemas.events.oneOf.flatMap((
    { properties }: {
      properties: { event: { const?: string; enum?: string[] } };
    },
  ) => properties.event.enum ?? [properties.event.const]);
  assertEquals(
    known.sort(),
    Object.keys(EVENTS).filter((name) =>
      ![
        ...["status", "verified", "forecast", "waiting_for_migrations"],
        ...["transaction_begun", "transaction_ended"],
      ].includes(name)
    ).sort(),
  );
  const { code, stdout, stderr } = await runValidator(
    `import { Ajv } from "ajv";
     import formats from "ajv-formats";
     const ajv = new Ajv({ allErrors: true });
     (formats as unknown as (ajv: Ajv) => void)(ajv);
     const schemas = ${JSON.stringify(schemas)} as Record<string, object>;
     const printed = ${JSON.stringify(printed)} as Record<string, unknown[]>;
     for (const [name, schema] of Object.entries(schemas)) {
       const validate = ajv.compile(schema);
       for (const value of printed[name]!) {
         if (!validate(value)) console.log(JSON.stringify([value, validate.errors]));
       }
       if (validate({ event: "nothing" })) console.log(name, "takes everything");
     }`,
  );
  assertEquals([code, stdout], [0, ""], stderr);
});
