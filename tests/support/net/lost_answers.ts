/**
 * Commands whose answers get lost: what they begin with, what takes effect, and what is in effect at the end.
 *
 * @module
 */
import type { Sql } from "postgres";
import { migration, table } from "../program/migrations.ts";
import type { Lane } from "../program/cuts.ts";
import { journal, type OutcomeTest } from "../program/outcomes.ts";
import { makeProject, type Project } from "../program/project.ts";

const projects = new AsyncDisposableStack();
Deno.test.afterAll(async () => await projects.disposeAsync());

const ALONE = {
  up: "create table alone ()",
  down: "drop table alone",
  options: "{ transaction: false }",
};

const TABLES = await project({
  "0001_a": table("a"),
  "0002_b": table("b"),
  "0003_c": table("c"),
});
const MIXED = await project({
  "0001_a": table("a"),
  "0002_alone": migration(ALONE),
  "0003_c": table("c"),
});
const AGAIN = await project({
  "0001_alone": migration({
    up: "create table if not exists alone ()",
    options: "{ transaction: false, idempotent: true }",
  }),
});
const FAILING = await project({
  "0001_a": table("a"),
  "0002_broken": migration({ up: "select 1 / 0" }),
});
const FAILING_ALONE = await project({
  "0001_broken": migration({
    up: "select 1 / 0",
    options: "{ transaction: false }",
  }),
});

/** By name. */
export const LOST_ANSWERS: Readonly<Record<string, OutcomeTest>> = {
  "up": {
    ...TABLES,
    command: ["up"],
    end: TABLES.names,
  },

  "up in many transactions": {
    ...TABLES,
    command: ["up", "--transaction=each"],
    end: TABLES.names,
  },

  "up that converts the history of Kysely": {
    ...TABLES,
    command: ["up"],
    before: async ({ sql }) => {
      await sql.unsafe(
        `create table migration_history (name varchar(255) primary key, timestamp varchar(255) not null);
       insert into migration_history values ('0001_a', '2026-01-01T00:00:00.000Z');
       create table a ()`,
      );
    },
    start: ["0001_a"],
    end: TABLES.names,
  },

  "down": {
    ...TABLES,
    command: ["down", "--all", "--yes"],
    before: up,
    start: TABLES.names,
    end: [],
  },

  "down in many transactions": {
    ...TABLES,
    command: ["down", "--all", "--yes", "--transaction=each"],
    before: up,
    start: TABLES.names,
    end: [],
  },

  "redo": {
    ...TABLES,
    command: ["redo", "--yes"],
    before: up,
    start: TABLES.names,
    end: TABLES.names,
    finish: up,
  },

  "redo in two transactions": {
    ...TABLES,
    command: ["redo", "--yes", "--transaction=each"],
    before: up,
    start: TABLES.names,
    end: TABLES.names,
    finish: up,
  },

  "baseline": {
    ...TABLES,
    command: ["baseline", "--to=0003_c"],
    before: async ({ sql }) => {
      await sql.unsafe(
        "create table a (); create table b (); create table c ()",
      );
    },
    start: TABLES.names,
    end: TABLES.names,
    isRecorded: async (sql) => {
      const [table] =
        await sql`select to_regclass('migration_history') as found`;
      return table!.found !== null &&
        (await statuses(sql, "0001_a")).join() === "baseline";
    },
  },

  "repair --accept-checksum": {
    ...TABLES,
    command: ["repair", "--accept-checksum=0002_b"],
    before: async (lane) => {
      await up(lane);
      await lane
        .sql`update migration_history set checksum = 'old' where name = '0002_b'`;
    },
    start: TABLES.names,
    end: TABLES.names,
    isRecorded: async (sql) => {
      const [row] = await sql`
      select checksum from migration_history where name = '0002_b'`;
      return row!.checksum !== "old";
    },
  },

  "repair --retry": {
    ...MIXED,
    command: ["repair", "--retry=0002_alone"],
    before: failedAlone,
    start: ["0001_a"],
    end: ["0001_a"],
    isRecorded: async (sql) =>
      (await statuses(sql, "0002_alone")).join() === "rolled_back",
  },

  "repair --mark-applied": {
    ...MIXED,
    command: ["repair", "--mark-applied=0002_alone"],
    before: failedAlone,
    start: ["0001_a"],
    end: ["0001_a"],
    isRecorded: async (sql) =>
      (await statuses(sql, "0002_alone")).join() === "applied",
  },

  "up around a step outside a transaction": {
    ...MIXED,
    command: ["up"],
    decisive: journal,
    end: MIXED.names,
  },

  "up of an idempotent step outside a transaction": {
    ...AGAIN,
    command: ["up"],
    decisive: journal,
    end: AGAIN.names,
  },

  "down around a step outside a transaction": {
    ...MIXED,
    command: ["down", "--all", "--yes"],
    before: up,
    start: MIXED.names,
    decisive: journal,
    end: [],
  },

  "the record of a failure": {
    ...FAILING,
    command: ["up"],
    fails: true,
    end: [],
  },

  "the record of a failure outside a transaction": {
    ...FAILING_ALONE,
    command: ["up"],
    fails: true,
    decisive: journal,
    end: [],
  },
};

async function project(
  migrations: Readonly<Record<string, string>>,
): Promise<Pick<OutcomeTest, "registry" | "names">> {
  const { entry }: Project = projects.use(await makeProject(migrations));
  return {
    registry: new URL("migrations/mod.ts", entry).href,
    names: Object.keys(migrations),
  };
}

async function up({ run }: Lane): Promise<void> {
  const { code, stderr } = await run(["up"]);
  if (code !== 0) throw new Error(stderr);
}

/** A step outside a transaction that failed, as its row says. */
async function failedAlone({ run, sql }: Lane): Promise<void> {
  await run(["up", "--to=0001_a"]);
  await sql`
    insert into migration_history (name, checksum, status, started_at, run_id, applied_by, binary_version)
    values ('0002_alone', 'f', 'failed', now(), gen_random_uuid(), current_user, '0')`;
}

async function statuses(sql: Sql, name: string): Promise<string[]> {
  const rows = await sql<{ status: string }[]>`
    select status from migration_history where name = ${name} order by id`;
  return rows.map(({ status }) => status);
}
