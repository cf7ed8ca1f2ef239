/** How a role or a database has values printed does not decide what is read; how a migration's own text is read, it does. */
import { assertEquals } from "@std/assert";
import {
  EVERY_KIND,
  EXPECTED_COPIES,
  kindsQuery,
} from "../support/program/kinds.ts";
import { migration, upCode } from "../support/program/migrations.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import {
  type RunOptions,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";

/** Each of them otherwise than a server has it by itself. */
const ODD: Readonly<Record<string, string>> = {
  datestyle: "SQL, DMY",
  bytea_output: "escape",
  extra_float_digits: "-5",
  intervalstyle: "sql_standard",
  timezone: "Asia/Kolkata",
};

/** Floating point, day and month, bytes, intervals: what is read is written back. And what a text means stays the role's. */
const MIGRATIONS = {
  "0001_rows": migration({
    up: [
      "create table rows (double float8, day date, moment timestamptz, local timestamp, span interval, bytes bytea)",
      "create table copies (like rows)",
      "insert into rows values (0.1::float8 + 0.2::float8, '01/02/2026', '01/02/2026 03:04:05', '01/02/2026 03:04:05.5', '1-2', decode('00ff5c', 'hex'))",
      "create table seen as select current_setting('timezone') as zone, current_setting('intervalstyle') as span, " +
      "current_setting('standard_conforming_strings') as conforming, current_setting('datestyle') as date",
    ],
  }),
  "0002_copies": upCode(
    `  const db2 = db as Kysely<any>;
  const rows = await db2.selectFrom("rows").selectAll().execute();
  await db2.insertInto("copies").values(rows).execute();`,
  ),
};

const ROWS = [{
  double: "0.30000000000000004",
  day: "2026-02-01",
  moment: "2026-01-31 21:34:05+00",
  local: "2026-02-01 03:04:05.5",
  span: "1 year 2 mons",
  bytes: "\\x00ff5c",
}];

const ROLE_ODD = { ...ODD, standard_conforming_strings: "off" };

for (const transaction of [true, false]) {
  const where = transaction ? "in a transaction" : "outside a transaction";
  const migrations = Object.fromEntries(
    Object.entries(MIGRATIONS).map(([name, source]) => [
      name,
      source.replace(
        "export async",
        `export const options = { transaction: ${transaction} };\nexport async`,
      ),
    ]),
  );

  scenario(
    `rows are copied as they are by a role that has its own formats, ${where}`,
    migrations,
    async (s) => {
      const role = await s.db.createRole((name) => [
        `grant create, usage on schema public to ${name}`,
        ...Object.entries(ROLE_ODD).map(([setting, value]) =>
          `alter role ${name} set ${setting} = '${value}'`
        ),
      ]);

      await assertCopied(s, { as: role }, "off");
    },
  );

  scenario(
    `rows are copied as they are in a database that has its own formats, ${where}`,
    migrations,
    (s) => assertCopied(s, {}, "on"),
    { settings: ODD },
  );
}

scenario(
  "rows are copied as they are behind a pooler, in a database that has its own formats",
  MIGRATIONS,
  async (s) => {
    await withPgBouncer(
      s.db,
      (pooler) => assertCopied(s, { url: pooler.url(s.db.url) }, "on"),
    );
  },
  { settings: ODD, needs: ["pgbouncer"] },
);

scenario(
  "values of every kind are copied as they are behind a pooler, in a database that has its own formats",
  EVERY_KIND,
  async (s) => {
    await withPgBouncer(s.db, async (pooler) => {
      const { code, stderr } = await s.run("up", {
        url: pooler.url(s.db.url),
        env: { TZ: "America/New_York" },
      });
      assertEquals(code, 0, stderr);
    });

    const texts = async (table: "kinds" | "copies") => {
      const rows = await s.db.query<{ kind: string; text: string | null }>(
        `set datestyle = ISO; ${kindsQuery(table)}`,
      );
      const copied = new Set(EXPECTED_COPIES.map(([kind]) => kind));
      return rows.filter(({ kind }) => copied.has(kind));
    };
    const written = await texts("kinds");
    assertEquals(written.length, EXPECTED_COPIES.length);
    assertEquals(await texts("copies"), written);
  },
  { settings: ODD, needs: ["pgbouncer"] },
);

scenario(
  "a migration that sets its own formats reads what it can and copies the rest as text",
  {
    "0001_own": upCode(
      `  const db2 = db as Kysely<any>;
  await sql\`set local datestyle = 'SQL, DMY'; set local bytea_output = 'escape';
    create table rows (day date, days date[], bytes bytea);
    create table copies (like rows);
    insert into rows values ('2026-02-01', '{2026-02-01}', '\\\\x00ff5c')\`.execute(db);
  await db2.insertInto("copies").values(await db2.selectFrom("rows").selectAll().execute()).execute();`,
    ),
  },
  async (s) => {
    const { code, stderr } = await s.run("up");

    assertEquals(code, 0, stderr);
    assertEquals(
      await s.db.query("select day::text, days::text, bytes::text from copies"),
      [{ day: "2026-02-01", days: "{2026-02-01}", bytes: "\\x00ff5c" }],
    );
  },
);

async function assertCopied(
  s: Scenario,
  options: RunOptions,
  conforming: "on" | "off",
): Promise<void> {
  const { code, stderr } = await s.run("up", {
    ...options,
    env: { TZ: "America/New_York" },
  });

  assertEquals(code, 0, stderr);
  for (const table of ["rows", "copies"]) {
    const rows = await s.db.query(
      `set datestyle = ISO; set timezone = UTC; set intervalstyle = postgres; set bytea_output = hex; set extra_float_digits = 1;
       select double::text, day::text, moment::text, local::text, span::text, bytes::text from ${table}`,
    );
    assertEquals(rows, ROWS, table);
  }
  assertEquals(await s.db.query("select * from seen"), [{
    zone: ODD.timezone,
    span: ODD.intervalstyle,
    conforming,
    date: "ISO, DMY",
  }]);
}
