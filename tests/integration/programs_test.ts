/**
 * Random programs of statements: whatever migrations do, they come to the same in every mode, with the same words, and to
 * what a plain client that runs them one by one comes to.
 */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import postgres, { type Sql } from "postgres";
import { type Kysely, sql } from "kysely";
import { processBackground } from "../../src/process/background.ts";
import { processClock } from "../../src/process/clock.ts";
import { up } from "../../src/commands/up.ts";
import { readConfig } from "../../src/cli/config.ts";
import { PostgresDatabase } from "../../src/postgres/database.ts";
import type { Event } from "../../src/report/events.ts";
import { hideNothing } from "../../src/text.ts";
import { failureLines } from "../../src/report/failure.ts";
import { readRegistry } from "../../src/plan/migration.ts";
import { programInfo } from "../../src/cli/version.ts";
import { type Catalog, readCatalog } from "../support/server/catalog.ts";
import { SEED } from "../support/program/seed.ts";
import { pgTest } from "../support/server/postgres.ts";

/** One thing that a migration does. */
interface Action {
  readonly text: string;
  readonly parameters?: readonly unknown[];
  /**
   * `await`: plainly. `catch`: an error is caught and forgotten. `savepoint`: an error is survived. `forget`: nobody waits
   * for it.
   */
  readonly how: "await" | "catch" | "savepoint" | "forget";
}

type Program = readonly (readonly Action[])[];

/** Tables that are there at the start; those that may be created; numbers that fit the one, and not the other. */
const old = fc.constantFrom("a", "b");
const fresh = fc.constantFrom("c", "d", "e", "f", "g", "h");
const number = fc.integer({ min: 1, max: 9 });

const SETTINGS = [
  "set search_path = other",
  "-- for all that follows\nset local search_path to other, public",
  "select set_config('search_path', 'other', false)",
  "do $$ begin set search_path = other; end $$",
  "set standard_conforming_strings = off",
  "/**/ set role some_role",
  "set session_replication_role = replica",
  "reset search_path",
];

/** Definitions, changes of data, questions, settings. A few fail by themselves, more after others. */
const statement: fc.Arbitrary<Omit<Action, "how">> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(...SETTINGS).map((text) => ({ text })),
  },
  {
    weight: 4,
    arbitrary: fresh.map((n) => ({
      text: `create table if not exists ${n} (id integer)`,
    })),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(old, number).map(([n, i]) => ({
      text: `insert into ${n} (id) values ($1) on conflict do nothing`,
      parameters: [i],
    })),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(old, number).map(([n, i]) => ({
      text: `update public.${n} set note = note || '\\\\' || ${i}::text`,
    })),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(old, fresh).map(([n, m]) => ({
      text:
        `alter table public.${n} add column if not exists ${m} integer default 7`,
    })),
  },
  {
    weight: 1,
    arbitrary: fresh.map((n) => ({
      text:
        `/* two */ create or replace view v_${n} as select 1 as one; comment on view v_${n} is ';'`,
    })),
  },
  {
    weight: 1,
    arbitrary: fresh.map((n) => ({ text: `create table ${n} (id integer)` })),
  },
  {
    weight: 1,
    arbitrary: old.map((n) => ({ text: `insert into ${n} (id) values (1)` })),
  },
  {
    weight: 1,
    arbitrary: number.map((i) => ({ text: `select 1 / (${i} - 5) as n` })),
  },
);

const action: fc.Arbitrary<Action> = fc.tuple(
  statement,
  fc.constantFrom(
    ...["await", "await", "await", "await", "catch", "savepoint", "forget"],
  ),
).map(([one, how]) => ({ ...one, how: how as Action["how"] }));

const program: fc.Arbitrary<Program> = fc.array(
  fc.array(action, { minLength: 1, maxLength: 4 }),
  { minLength: 1, maxLength: 4 },
);

const MODES = [
  { transaction: "all", pipeline: true },
  { transaction: "all", pipeline: false },
  { transaction: "each", pipeline: true },
  { transaction: "each", pipeline: false },
] as const;

type Mode = (typeof MODES)[number];

/** What a run, or a plain client, came to. */
interface Outcome {
  readonly catalog: Catalog;
  readonly applied: readonly string[];
  readonly failed: string | undefined;
}

/** Programs that once came to something else. */
const FOUND: readonly Program[] = [
  // An error that was survived by a savepoint was taken for the one that is deferred to the end of the step.
  [
    [
      {
        text: "insert into b (id) values ($1) on conflict do nothing",
        parameters: [2],
        how: "await",
      },
      { text: "set standard_conforming_strings = off", how: "await" },
      { text: "insert into a (id) values (1)", how: "savepoint" },
    ],
    [{
      text: "insert into a (id) values ($1) on conflict do nothing",
      parameters: [1],
      how: "catch",
    }],
    [{ text: "set search_path = other", how: "await" }],
  ],
];

/** How many programs are tried. */
const PROGRAMS = 40;

/** On the versions between the oldest and the newest. */
const FEW = 10;

pgTest(
  "a random program comes to the same in every mode, and with a plain client",
  async (db) => {
    const client = postgres(db.url, { max: 1, onnotice: () => {} });
    const role = await db.createRole();
    const asRole = (program: Program): Program =>
      program.map((actions) =>
        actions.map((one) => ({
          ...one,
          text: one.text.replaceAll("some_role", role.name),
        }))
      );
    try {
      await fc.assert(
        fc.asyncProperty(program.map(asRole), async (program) => {
          for (const transaction of ["all", "each"] as const) {
            await clear(client, role.name);
            const expected = await byClient(db.url, program, transaction);
            const words: string[] = [];
            for (const mode of MODES) {
              if (mode.transaction !== transaction) continue;
              await clear(client, role.name);
              const { outcome, said } = await byProgram(db.url, program, mode);
              assertEquals(outcome, expected, JSON.stringify(mode));
              words.push(said);
            }
            assertEquals(words[1], words[0]);
          }
        }),
        {
          numRuns: [15, 18].includes(db.version) ? PROGRAMS : FEW,
          seed: SEED,
          examples: FOUND.map((one) => [one]),
        },
      );
    } finally {
      await client.end();
    }
  },
);

async function clear(client: Sql, role: string): Promise<void> {
  await client.unsafe(
    `drop schema if exists public cascade; drop schema if exists other cascade;
    create schema public; create schema other; grant all on schema public, other to ${role};
    create table public.a (id integer primary key, note text default ''); insert into public.a values (1);
    create table public.b (id integer primary key references public.a deferrable initially deferred,
      note text default '');
    insert into public.b values (1); grant all on public.a, public.b to ${role}`,
  );
}

/** The program as people would try it by hand: statement by statement, each awaited. */
async function byClient(
  url: string,
  program: Program,
  transaction: "all" | "each",
): Promise<Outcome> {
  const client = postgres(url, { max: 1, onnotice: () => {} });
  const applied: string[] = [];
  let failed: string | undefined;
  try {
    if (transaction === "all") await client`begin`.simple();
    for (const [i, actions] of program.entries()) {
      if (transaction === "each") await client`begin`.simple();
      const error = await oneByOne(client, actions);
      if (error !== undefined) {
        failed = `${i}: ${error}`;
        await client`rollback`.simple();
        break;
      }
      applied.push(String(i));
      if (transaction === "each") await client`commit`.simple();
    }
    if (transaction === "all") {
      if (failed === undefined) await client`commit`.simple();
      else applied.length = 0;
    }
  } finally {
    await client.end();
  }
  return {
    catalog: await readCatalog(url, { without: ["migration_history"] }),
    applied,
    failed,
  };
}

/** The first error that is not survived. One that is caught without a savepoint has aborted the transaction all the same. */
async function oneByOne(
  client: Sql,
  actions: readonly Action[],
): Promise<string | undefined> {
  // Nothing that a migration has set reaches the next, and what would fail at the commit fails it.
  const end = [
    "reset session authorization",
    "reset role",
    "reset all",
    "savepoint s; set constraints all immediate; rollback to s; release s",
  ].map((text): Action => ({ text, how: "await" }));
  for (const { text, parameters = [], how } of [...actions, ...end]) {
    if (how === "savepoint") await client`savepoint s`.simple();
    try {
      await client.unsafe(text, [...parameters] as never[], { prepare: false });
    } catch (error) {
      if (how !== "savepoint") return (error as Error).message;
      await client`rollback to s`.simple();
    }
  }
  return undefined;
}

/** The program as migrations. */
async function byProgram(
  url: string,
  program: Program,
  mode: Mode,
): Promise<{ outcome: Outcome; said: string }> {
  const registry = program.map((actions, i) => ({
    name: String(i),
    checksum: "0".repeat(64),
    module: { up: (db: Kysely<unknown>) => perform(db, actions) },
  }));
  const events: Event[] = [];
  const stop = new AbortController();
  const { value: config, faults } = await readConfig(
    {
      "database-url": url,
      transaction: mode.transaction,
      ...(!mode.pipeline && { "no-pipeline": "true" }),
    },
    {},
    () => Promise.reject(new Error("there is no file")),
  );
  assertEquals(faults, []);
  using background = processBackground();
  background.onFailure((error) => stop.abort(error));
  const migrations = readRegistry(registry);
  const info = programInfo(migrations, Deno.version.deno);
  const clock = processClock(stop.signal);
  const report = (event: Event) => void events.push(event);
  const result = await up({
    config,
    migrations,
    program: info,
    prepare: () => Promise.resolve(),
    recording: () => Promise.resolve(undefined),
    ports: {
      clock,
      report,
      operator: {
        isTerminal: false,
        askedMs: 0,
        confirm: () => Promise.resolve(false),
      },
      database: new PostgresDatabase({
        config,
        migrations,
        recording: () => Promise.resolve(undefined),
        run: {
          runId: crypto.randomUUID(),
          host: () => null,
          programVersion: info.version,
          hide: hideNothing,
        },
        clock,
        background,
        stop: stop.signal,
        report,
      }),
    },
  }, { kind: "up", request: {}, dryRun: false, verify: false });
  const applied = events.flatMap((event) =>
    event.event === "applied" ? [event.migration] : []
  );
  const lines = result.error === undefined
    ? []
    : failureLines(result.error, hideNothing);
  const [, failed, message] =
    /^Cannot apply "(\d)": (?:its up function caught an error that had already aborted the transaction: )?(.*?)(?: \(SQLSTATE .*)?$/
      .exec(lines[0] ?? "") ?? [];
  return {
    outcome: {
      catalog: await readCatalog(url, { without: ["migration_history"] }),
      applied,
      failed: failed === undefined ? lines[0] : `${failed}: ${message}`,
    },
    said: [
      ...events.flatMap((event) =>
        event.event === "started" ? [`${event.event} ${event.migration}`] : []
      ),
      ...lines,
    ].join("\n"),
  };
}

async function perform(
  db: Kysely<unknown>,
  actions: readonly Action[],
): Promise<void> {
  const run = (text: string, parameters: readonly unknown[] = []) =>
    sql(
      text.split(/\$\d/) as unknown as TemplateStringsArray,
      ...parameters,
    ).execute(db);
  for (const { text, parameters, how } of actions) {
    switch (how) {
      case "await":
        await run(text, parameters);
        break;
      case "catch":
        await run(text, parameters).catch(() => {});
        break;
      case "forget":
        void run(text, parameters);
        break;
      case "savepoint":
        await run("savepoint s");
        await run(text, parameters).catch(() => run("rollback to s"));
    }
  }
}
