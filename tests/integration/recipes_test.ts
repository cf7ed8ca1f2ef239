/** Every recipe of `docs/recipes.md`, as it stands there: in one go and in two phases, with rows that are there before. */
import { assertEquals } from "@std/assert";
import { runMigrate } from "../support/program/cli.ts";
import { withProject } from "../support/program/project.ts";
import { readCatalog } from "../support/server/catalog.ts";
import { pgTest, queryUrl } from "../support/server/postgres.ts";

const CHECKOUT = new URL("../../", import.meta.url);

/** Rows that every recipe finds. */
const ROWS = `
  insert into battles (system_id, security_type, start_time, end_time, zkill_related_url)
    select g, 'nullsec', now(), now(), 'https://zkillboard.com/' || g from generate_series(1, 50) g;
  insert into killmails (killmail_id, system_id, occurred_at, isk_value, zkb_url)
    select g, g, now(), g * 1000000, 'https://zkillboard.com/' || g from generate_series(1, 500) g;
  insert into battle_killmails (battle_id, killmail_id, zkb_url, occurred_at, side_id)
    select b.id, g, 'u', now(), g % 3 from battles b, generate_series(1, 5) g;
  insert into audit_logs (action, target_type, target_id, created_at)
    select 'login', 'account', g::text, '2026-11-01' from generate_series(1, 50) g`;

interface Recipe {
  /** The oldest version that it is for. */
  readonly from?: number;
  /** Asks for what the recipe makes, and its answer. */
  readonly proof: readonly [query: string, answer: Record<string, unknown>];
}

const RECIPES: Readonly<Record<string, Recipe>> = {
  "Fill a column": {
    proof: [
      "select count(*)::int as filled from killmails where isk_millions = killmail_id",
      { filled: 500 },
    ],
  },
  "Not null": {
    proof: [
      `select attnotnull as sure, (select count(*)::int from pg_constraint where conname ~ 'filled') as checks
        from pg_attribute where attrelid = 'killmails'::regclass and attname = 'isk_value'`,
      { sure: true, checks: 0 },
    ],
  },
  "Not null, PostgreSQL 18": {
    from: 18,
    proof: [
      `select attnotnull as sure, (select convalidated from pg_constraint where conname = 'killmails_isk_value_not_null') as valid
        from pg_attribute where attrelid = 'killmails'::regclass and attname = 'isk_value'`,
      { sure: true, valid: true },
    ],
  },
  "Foreign key": {
    proof: [
      "select convalidated as valid from pg_constraint where conname = 'battle_killmails_killmail_id_fkey'",
      { valid: true },
    ],
  },
  "Unique": {
    proof: [
      `select contype as kind, indisvalid as valid from pg_constraint join pg_index on indexrelid = conindid
        where conname = 'killmails_zkb_url_key'`,
      { kind: "u", valid: true },
    ],
  },
  "Change a type": {
    proof: [
      `select format_type(atttypid, null) as type, (select sum(side_id)::int from battle_killmails) as sum
        from pg_attribute where attrelid = 'battle_killmails'::regclass and attname = 'side_id'`,
      { type: "integer", sum: 300 },
    ],
  },
  "Rename a column": {
    proof: [
      `select count(*)::int as filled, (select count(*)::int from pg_attribute
          where attrelid = 'battles'::regclass and attname = 'zkill_related_url') as old
        from battles where related_url ~ '^https'`,
      { filled: 50, old: 0 },
    ],
  },
  "Enum value": {
    proof: [
      "select bool_or('abyssal' = any (tracked_security_types)) as tracked from rulesets",
      { tracked: true },
    ],
  },
  "Partition a table": {
    proof: [
      "select tableoid::regclass::text as partition, count(*)::int as rows from audit_logs group by 1",
      { partition: "audit_logs_2026", rows: 50 },
    ],
  },
};

/** The files of each chapter, by its title. */
const CHAPTERS = chaptersOf(
  await Deno.readTextFile(new URL("docs/recipes.md", CHECKOUT)),
);

Deno.test("every recipe of the document is run", () => {
  assertEquals([...CHAPTERS.keys()], Object.keys(RECIPES));
});

for (const [title, { from = 15, proof }] of Object.entries(RECIPES)) {
  pgTest(`recipe: ${title}`, async (db) => {
    const own = await ownMigrations();
    const files = { ...own, ...CHAPTERS.get(title) };
    const other = await db.createDatabase();
    const count = Object.keys(own).length;
    const up =
      (url: string, project: Parameters<typeof withProject>[0]) =>
      async (...options: string[]) =>
        await withProject(project, async (project) => {
          const env = { DATABASE_URL: url };
          const { code, stderr } = await runMigrate(["up", ...options], {
            project,
            env,
          });
          assertEquals(code, 0, stderr);
        });
    for (
      const [url, runs] of [[db.url, [[]]], [other.url, [
        ["--phase=pre"],
        ["--phase=post"],
      ]]] as const
    ) {
      await up(url, own)();
      await queryUrl(url, ROWS);
      for (const options of runs) await up(url, files)(...options);
      const [query, answer] = proof;
      assertEquals(await queryUrl(url, query), [answer]);
      const applied = await queryUrl<{ n: number }>(
        url,
        "select count(*)::int as n from migration_history where status = 'applied'",
      );
      assertEquals(applied[0]!.n, Object.keys(files).length, `${count} own`);
    }
    const shape = async (url: string) => ({
      ...await readCatalog(url, { without: ["migration_history"] }),
      rows: [],
    });
    assertEquals(await shape(other.url), await shape(db.url));
  }, { versions: [15, 16, 17, 18].filter((version) => version >= from) });
}

async function ownMigrations(): Promise<Record<string, string>> {
  const folder = new URL("migrations/", CHECKOUT);
  const sources: Record<string, string> = {};
  for await (const { name } of Deno.readDir(folder)) {
    if (!/^\d.*\.ts$/.test(name)) continue;
    sources[name.slice(0, -3)] = await Deno.readTextFile(new URL(name, folder));
  }
  return sources;
}

/** A file is a block of TypeScript below its name. */
function chaptersOf(text: string): Map<string, Record<string, string>> {
  const chapters = text.split(/^## /m).slice(1).map((chapter) => {
    const title = chapter.slice(0, chapter.indexOf("\n"));
    const files = [...chapter.matchAll(
      /^`(\d+_\w+)\.ts`\n\n```ts\n(.*?)^```$/gms,
    )].map(([, name, source]) => [name!, source!] as const);
    return [title, Object.fromEntries(files)] as const;
  });
  return new Map(chapters);
}
