/** What must not come out: the password, in any form, anywhere; and what may come out only tamed: texts of others. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import type { MigrateResult } from "../support/program/cli.ts";
import {
  closeGate,
  GATE,
  openGate,
  waitForStatement,
} from "../support/program/gate.ts";
import { migration, table, upCode } from "../support/program/migrations.ts";
import type { TestDatabase } from "../support/server/postgres.ts";
import { startProxy } from "../support/net/proxy.ts";
import { scenario } from "../support/program/scenario.ts";

/** Reads differently in a URL, in JSON, in SQL and in a regular expression. */
const PASSWORD = `canary/p@ss:w"o'rd%41 \\d+ß`;

/** Every way in which somebody may have written it down. */
const FORMS = [
  PASSWORD,
  encodeURIComponent(PASSWORD),
  JSON.stringify(PASSWORD).slice(1, -1),
  PASSWORD.replaceAll("'", "''"),
  new TextEncoder().encode(PASSWORD).toBase64(),
  "canary",
];

const RAISE = (words: string) =>
  `do $_$ begin raise exception ${words}; end $_$`;

for (const options of ["", " --verbose", " --format=json --verbose"]) {
  scenario(
    `the password is nowhere: not in the output of up${options}, not in the history, not in pg_stat_activity`,
    {
      "0001_wait": migration({ up: ["create table b ()", GATE] }),
      "0002_broken": migration({ up: "select 1 / 0" }),
    },
    async (s) => {
      await closeGate(s.db);
      const url = await canaryUrl(s.db);
      await using up = s.start(`up --transaction=each${options}`, { url });
      await waitForStatement(s.db, /gate\.opened/);
      await using copy = s.start(`up${options}`, { url });
      await copy.waitFor("Waiting for the migration lock");
      const sessions = await s.db.query(
        "select a::text from pg_stat_activity a",
      );
      await openGate(s.db);
      const results = [await up.result, await copy.result];

      assertEquals(results.map(({ code }) => code), [1, 1]);
      const later = await Promise.all([
        s.run(`status${options}`, { url }),
        s.run(`down --yes${options}`, { url }),
        s.run(`up --dry-run${options}`, { url }),
      ]);
      for (const result of [...results, ...later]) assertHidden(result);
      assertHiddenText(JSON.stringify(sessions));
      const rows = await s.db.query("select h::text from migration_history h");
      assert(rows.length > 0);
      assertHiddenText(JSON.stringify(rows));
    },
  );
}

scenario(
  "the password is not in what the program says of a connection that fails or dies",
  { "0001_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    const url = await canaryUrl(s.db);
    const change = (edit: (url: URL) => void) => {
      const other = new URL(url);
      edit(other);
      return other.href;
    };
    await using proxy = await startProxy(s.db);
    proxy.front("speaks HTTP");
    const urls = [
      change((url) => url.port = "1"),
      change((url) => url.pathname = "/nowhere"),
      change((url) => url.username = "nobody"),
      change((url) => url.hostname = "nowhere.invalid"),
      change((url) => url.password = `${url.password}x`),
      change((url) => url.search = "?sslmode=require"),
      change((url) => url.search = "?options=-c%20nonsense=1"),
      proxy.url(url),
    ];
    for (const bad of urls) {
      const result = await s.run("up --wait-for-db=0s --verbose", { url: bad });
      assertEquals(result.code, 1, result.stderr);
      assertHidden(result);
    }

    await using up = s.start("up --verbose", { url });
    const { pid } = await waitForStatement(s.db, /gate\.opened/);
    await s.db.query(`select pg_terminate_backend(${pid})`);
    const lost = await up.result;
    assertEquals(lost.code, 1);
    assertHidden(lost);
  },
);

for (const options of ["", " --format=json"]) {
  scenario(
    `a migration or a server that repeats the password is masked (up${options})`,
    {
      "0001_env": upCode(
        '  throw new Error(`cannot reach ${Deno.env.get("DATABASE_URL")}`);',
      ),
      "0002_server": upCode(
        "  const password = decodeURIComponent(new URL(Deno.env.get('DATABASE_URL')!).password);\n" +
          "  await sql.raw(`do $_$ begin raise exception $p$refused: ${password}$p$; end $_$`).execute(db);",
      ),
    },
    async (s) => {
      const url = await canaryUrl(s.db);
      const first = await s.run(`up${options}`, { url });
      assertEquals(first.code, 1);
      assertMatch(
        first.stdout + first.stderr,
        /cannot reach postgres:\/\/.*\*\*\*@/,
      );
      assertHidden(first);
      await s.run("baseline --to 0001_env", { url });
      const second = await s.run(`up${options}`, { url });
      assertEquals(second.code, 1);
      assertMatch(second.stdout + second.stderr, /refused: \*\*\*/);
      assertHidden(second);

      const rows = await s.db.query("select h::text from migration_history h");
      assertHiddenText(JSON.stringify(rows));
      assertHidden(await s.run(`status${options}`, { url }));
    },
  );
}

/** Clears the screen, renames the window, rings, overwrites the line, turns the direction of writing. */
const HOSTILE = "\u001b[2J\u001b]0;owned\u0007\r\u009b31mred\u202eevil\u2028";
const SQL_HOSTILE = `U&'${
  [...HOSTILE].map((c) => `\\${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("")
}'`;

for (const options of ["", "--verbose", "--format=json"]) {
  scenario(
    `a server's messages cannot play with the terminal (${options || "text"})`,
    {
      "0001_notice": migration({
        up: `do $_$ begin
          raise notice 'notice %', ${SQL_HOSTILE};
          raise warning 'warning %', ${SQL_HOSTILE};
        end $_$`,
      }),
      "0002_error": migration({
        up: RAISE(
          `using message = 'bad ' || ${SQL_HOSTILE} || E'\\nerror: a line of its own', detail = ${SQL_HOSTILE}, hint = ${SQL_HOSTILE}`,
        ),
      }),
    },
    async (s) => {
      const up = await s.run(["up", ...options.split(" ").filter(Boolean)]);
      assertEquals(up.code, 1);
      assertMatch(
        up.stderr,
        /^error: Cannot apply "0002_error": bad \\u001b\[2J/m,
      );
      assertTame(up);
      assert(!/^error: a line of its own/m.test(up.stderr), up.stderr);
      const status = await s.run([
        "status",
        ...options.split(" ").filter(Boolean),
      ]);
      assertEquals(status.code, 0);
      assertTame(status);
    },
  );
}

scenario(
  "names and statements of others cannot play with the terminal",
  {
    "0001_note": migration({
      up: 'alter table "orders\u001b[31m" add note text',
    }),
  },
  async (s) => {
    const user = `evil${HOSTILE}`.replaceAll('"', "");
    await s.db.query('create table "orders\u001b[31m" (id integer)');
    await s.db.query(`create role "${user}" login password 'x' superuser`);
    try {
      const url = new URL(s.db.url);
      url.username = encodeURIComponent(user);
      url.password = "x";
      await using forgotten = await openSession(url.href, `app${HOSTILE}`);
      await forgotten.run(
        `begin; select /* ${HOSTILE} */ id from "orders\u001b[31m"`,
      );
      await using up = s.start("up --lock-timeout=300ms --lock-retry=2s");
      await up.waitFor("blocked by backend");
      const blocked = await up.result;
      assertEquals(blocked.code, 1);
      assertTame(blocked);
    } finally {
      await s.db.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${user}'`,
      );
      await s.db.query(`drop role "${user}"`);
    }
  },
);

scenario(
  "a hostile database, schema and role are shown tamed and quoted in SQL",
  { "0001_a": table("a") },
  async (s) => {
    const name = `x"; drop table a; --\u001b[31m'`;
    const quoted = `"${name.replaceAll('"', '""')}"`;
    await s.db.query(`create schema ${quoted}`);
    const up = await s.run(["up", "--verbose", `--schema=${name}`]);
    assertEquals(up.code, 0, up.stderr);
    assertTame(up);
    assertEquals(await s.tables(name), ["a"]);
    assertEquals(await s.history(name), ["0001_a applied"]);
    assertTame(await s.run(["status", `--schema=${name}`]));
    assertEquals((await s.run(["down", "--yes", `--schema=${name}`])).code, 0);
    assertEquals(await s.tables(name), []);
  },
);

scenario(
  "a server that is hostile from the first message on is shown tamed",
  { "0001_a": table("a") },
  async (s) => {
    await using proxy = await startProxy(s.db);
    proxy.rewrite("does not exist", "\u001b[2J\u001b[7m\u0007\r\nabc");
    const url = new URL(proxy.url(s.db.url));
    url.pathname = "/nowhere";
    const { code, stdout, stderr } = await s.run("up", { url: url.href });
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot connect to the database "nowhere" at .*\\u001b\[2J/m,
    );
    assertTame({ code, stdout, stderr });
  },
);

scenario(
  "what the environment says of the host is kept as data",
  { "0001_a": table("a") },
  async (s) => {
    const host = `pod'); drop table migration_history; --\u001b[31m`;
    const up = await s.run("up", { env: { HOSTNAME: host } });
    assertEquals(up.code, 0, up.stderr);
    assertTame(up);
    assertEquals(await s.db.query("select host from migration_history"), [
      { host },
    ]);
    assertTame(await s.run("status"));
    assertTame(await s.run("status --format=json"));
  },
);

/** The connection string of a role whose password is the canary. */
async function canaryUrl(db: TestDatabase): Promise<string> {
  const role = await db.createRole((name) => [
    `grant create, usage on schema public to ${name}`,
  ]);
  await db.query(
    `alter role ${role.name} password '${
      PASSWORD.replaceAll("'", "''")
    }' superuser`,
  );
  const url = new URL(role.url);
  url.password = encodeURIComponent(PASSWORD);
  return url.href;
}

function assertHidden({ stdout, stderr }: MigrateResult): void {
  assertHiddenText(stdout);
  assertHiddenText(stderr);
}

function assertHiddenText(text: string): void {
  for (const form of FORMS) assert(!text.includes(form), text);
}

/** No control character but the line break, and no mark that turns the direction of what follows. */
function assertTame({ stdout, stderr }: MigrateResult): void {
  const wild = /[^\P{Cc}\n]|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
  for (const text of [stdout, stderr]) {
    assert(!wild.test(text), JSON.stringify(text));
  }
}
