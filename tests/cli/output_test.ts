/** What is shown, where and how: `--quiet`, `--verbose`, `--format json`, colours. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { migration, table } from "../support/migrations.ts";
import { CONNECTED, scenario } from "../support/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

const PASSED_ON = {
  event: "connected",
  at: "TIME",
  server: {
    host: "127.0.0.1",
    port: "PORT",
    database: "DB",
    version: "V",
    schema: "public",
    user: "postgres",
    readOnly: false,
    pooled: false,
  },
};

function summary(
  command: string,
  counts: Record<string, unknown>,
): Record<string, unknown> {
  return {
    event: "summary",
    at: "TIME",
    command,
    applied: 0,
    rolledBack: 0,
    recorded: 0,
    notRun: 0,
    unfinished: 0,
    unknown: 0,
    ...(counts.dryRun !== true && {
      outcome: counts.failed === true ? "rolled_back" : "committed",
    }),
    durationMs: "MS",
    dryRun: false,
    failed: false,
    ...counts,
  };
}

function step(
  event: string,
  direction: string,
  migration: string,
  number: number,
  total: number,
): Record<string, unknown> {
  return { event, at: "TIME", direction, migration, number, total };
}

function done(event: string, migration: string): Record<string, unknown> {
  return {
    event,
    at: "TIME",
    migration,
    durationMs: "MS",
    outcome: "committed",
  };
}

scenario(
  "--format json is a stream of events that closes with a summary, for every command",
  AB,
  async (s) => {
    assertEquals(await s.json("up --dry-run"), {
      code: 0,
      lines: [
        PASSED_ON,
        { event: "planned", at: "TIME", direction: "up", migration: "0001_a" },
        { event: "planned", at: "TIME", direction: "up", migration: "0002_b" },
        summary("up", { notRun: 2, dryRun: true }),
      ],
      stderr: CONNECTED,
    });
    assertEquals(await s.json("up"), {
      code: 0,
      lines: [
        PASSED_ON,
        step("started", "up", "0001_a", 1, 2),
        step("started", "up", "0002_b", 2, 2),
        done("applied", "0001_a"),
        done("applied", "0002_b"),
        summary("up", { applied: 2 }),
      ],
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_b (2 of 2)
`,
    });
    assertEquals((await s.json("up")).lines, [PASSED_ON, summary("up", {})]);
    assertEquals((await s.json("redo --yes")).lines, [
      PASSED_ON,
      step("started", "down", "0002_b", 1, 2),
      step("started", "up", "0002_b", 2, 2),
      done("rolled_back", "0002_b"),
      done("applied", "0002_b"),
      summary("redo", { applied: 1, rolledBack: 1 }),
    ]);
    assertEquals((await s.json("down --all --yes")).lines, [
      PASSED_ON,
      step("started", "down", "0002_b", 1, 2),
      step("started", "down", "0001_a", 2, 2),
      done("rolled_back", "0002_b"),
      done("rolled_back", "0001_a"),
      summary("down", { rolledBack: 2 }),
    ]);
    assertEquals((await s.json("baseline --to 0001_a")).lines, [
      PASSED_ON,
      {
        event: "recorded",
        at: "TIME",
        migration: "0001_a",
        action: "baseline",
        outcome: "committed",
      },
      summary("baseline", { recorded: 1 }),
    ]);
    await s.db.query("update migration_history set checksum = 'f'");
    assertEquals((await s.json("repair --accept-checksum 0001_a")).lines, [
      PASSED_ON,
      {
        event: "recorded",
        at: "TIME",
        migration: "0001_a",
        action: "accept_checksum",
        outcome: "committed",
      },
      summary("repair", { recorded: 1 }),
    ]);
  },
);

scenario(
  "--format json tells a failure on stdout as data and on stderr for people",
  { "0001_a": migration({ up: "insert into nowhere values (1)" }) },
  async (s) => {
    assertEquals(await s.json("up"), {
      code: 1,
      lines: [
        PASSED_ON,
        step("started", "up", "0001_a", 1, 1),
        {
          event: "outcome",
          at: "TIME",
          direction: "up",
          migration: "0001_a",
          outcome: "rolled_back",
        },
        {
          event: "failed",
          at: "TIME",
          message: 'Cannot apply "0001_a": relation "nowhere" does not exist',
          migration: "0001_a",
          direction: "up",
          code: "42P01",
          statement: "insert into nowhere values (1)",
          position: 13,
          outcome: "rolled_back",
        },
        summary("up", { notRun: 1, failed: true }),
      ],
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 1)
error: Cannot apply "0001_a": relation "nowhere" does not exist (SQLSTATE 42P01)
  statement: insert into nowhere values (1)
             ${" ".repeat(12)}^
Failed in T: nothing was changed, 1 not run
`,
    });
  },
);

scenario(
  "--format json tells refusals and failures to connect in the same form",
  AB,
  async (s) => {
    assertEquals(await s.json("repair --retry 0001_a --quiet"), {
      code: 1,
      lines: [
        PASSED_ON,
        {
          event: "failed",
          at: "TIME",
          message: 'Cannot repair "0001_a": the history has no row of it',
          outcome: "rolled_back",
        },
        summary("repair", { failed: true }),
      ],
      stderr:
        'error: Cannot repair "0001_a": the history has no row of it\nFailed in T: nothing was changed\n',
    });
    const url = "postgres://me:hunter2@127.0.0.1:1/there";
    const { code, lines } = await s.json("up --wait-for-db 0", { url });
    assertEquals([code, lines], [1, [
      {
        event: "failed",
        at: "TIME",
        message:
          'Cannot connect to the database "there" at 127.0.0.1:1: the connection was refused',
        outcome: "rolled_back",
      },
      summary("up", { failed: true }),
    ]]);
    assertEquals(await s.json("status --wait-for-db 0", { url }), {
      code: 1,
      lines: [],
      stderr:
        'error: Cannot connect to the database "there" at 127.0.0.1:1: the connection was refused\n',
    });
  },
);

scenario("the warnings of a JSON stream are events too", AB, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  await s.release({ "0001_a": AB["0001_a"] });
  assertEquals((await s.json("up")).lines, [
    PASSED_ON,
    {
      event: "warning",
      at: "TIME",
      message:
        'The database is newer than this program: its history has "0002_b"',
    },
    summary("up", {}),
  ]);
});

scenario(
  "MIGRATE_FORMAT chooses the form, and --format wins over it",
  AB,
  async (s) => {
    const env = { MIGRATE_FORMAT: "json" };
    const { stdout } = await s.run("status", { env });
    assertEquals(JSON.parse(stdout).summary.pending, 2);
    assertMatch(
      (await s.run("status --format text", { env })).stdout,
      /^STATE /,
    );
  },
);

scenario("--quiet leaves results, warnings and errors", AB, async (s) => {
  assertEquals(await s.run("up --quiet"), {
    code: 0,
    stdout: `\
Applied 0001_a (T)
Applied 0002_b (T)
Applied 2 migrations in T
`,
    stderr: "",
  });
  await s.release({ "0001_a": AB["0001_a"] });
  assertEquals(await s.run("up --quiet"), {
    code: 0,
    stdout: "Nothing to apply: the database is up to date\n",
    stderr:
      'warning: The database is newer than this program: its history has "0002_b"\n',
  });
  assertEquals(await s.run("down --quiet --yes"), {
    code: 1,
    stdout: "",
    stderr: `\
error: Cannot roll back "0002_b": this program does not carry it; run the version of the program that does
Failed in T: nothing was changed
`,
  });
});

scenario(
  "notices of the server are shown with --verbose, warnings always",
  {
    "0001_a": migration({
      up: [
        "do $$ begin raise notice 'a note'; raise warning e'beware\\x1b[31m'; end $$",
        "create table if not exists a ()",
      ],
    }),
  },
  async (s) => {
    assertEquals(
      (await s.run("up")).stderr,
      `\
${CONNECTED}Applying 0001_a (1 of 1)
WARNING: beware\\u001b[31m
`,
    );
    await s.db.query("drop table a, migration_history");
    const { code, stdout, stderr } = await s.run("up --verbose");
    assertEquals([code, stdout], [
      0,
      "Applied 0001_a (T)\nApplied 1 migration in T\n",
    ]);
    assertMatch(stderr, /^NOTICE: a note$/m);
    assertMatch(stderr, /^ +\d+ ms {2}create table if not exists a \(\)$/m);
    assertMatch(stderr, /^ +\d+ ms {2}commit$/m);

    await s.db.query("drop table a, migration_history");
    const { lines } = await s.json("up --verbose");
    const verbose = lines.filter(({ event, sql }) =>
      event === "notice" || sql === "create table if not exists a ()"
    );
    assertEquals(verbose, [
      { event: "notice", at: "TIME", severity: "NOTICE", message: "a note" },
      {
        event: "notice",
        at: "TIME",
        severity: "WARNING",
        message: "beware\u001b[31m",
      },
      {
        event: "statement",
        at: "TIME",
        sql: "create table if not exists a ()",
        durationMs: "MS",
      },
    ]);
  },
);

scenario(
  "NO_COLOR, --no-color, a pipe and JSON are without colours, a terminal is not",
  AB,
  async (s) => {
    const screen = async (command: string, env = {}) =>
      (await s.screen(command, { env })).stdout;
    const hasColour = (text: string) => text.includes("\u001b[");
    assert(hasColour(await screen("status")));
    for (
      const text of [
        await screen("status", { NO_COLOR: "1" }),
        await screen("status --no-color"),
        await screen("status --format json"),
        (await s.run("status")).stdout,
      ]
    ) {
      assert(!hasColour(text), text);
    }
    // An empty NO_COLOR does not count: https://no-color.org
    assert(hasColour(await screen("status", { NO_COLOR: "" })));
  },
);

scenario(
  "a password is hidden even where a migration or the server repeats it",
  {
    "0001_a": `import { type Kysely, sql } from "kysely";
export async function up(db: Kysely<unknown>): Promise<void> {
  const url = Deno.env.get("DATABASE_URL")!;
  console.log(url, { url });
  await sql.raw(\`do $$ begin raise warning '\${url}'; end $$\`).execute(db);
  throw new Error(\`Cannot reach \${url}\`);
}
`,
  },
  async (s) => {
    const role = await s.db.createRole((name) => [
      `grant usage, create on schema public to ${name}`,
    ]);
    for (const command of ["up", "up --verbose"]) {
      const { code, stderr } = await s.run(command, { as: role });
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /^error: Cannot apply "0001_a": Cannot reach postgres:\/\/ROLE:\*\*\*@/m,
      );
      assertMatch(stderr, /^WARNING: postgres:\/\/ROLE:\*\*\*@/m);
    }
    const { lines } = await s.json("up --verbose", { as: role });
    assertEquals(lines.at(-1), summary("up", { notRun: 1, failed: true }));
    assertEquals(
      await s.db.query(
        "select count(*)::int as n from migration_history where error like $1",
        [`%${role.password}%`],
      ),
      [{ n: 0 }],
    );
    assertEquals((await s.run("status", { as: role })).code, 0);
  },
);

scenario("a reader that goes away does not stop a migration", AB, async (s) => {
  for (const command of ["up", "down --all --yes --format json"]) {
    assertEquals(await s.intoClosedPipe(command), 0);
  }
  assertEquals(await s.history(), ["0001_a rolled_back", "0002_b rolled_back"]);
});

scenario(
  "what a migration prints goes to stderr, and the results stay whole",
  {
    "0001_a": `export function up(): Promise<void> {
  for (const name of Object.keys(console)) {
    const print = (console as Record<string, unknown>)[name];
    if (typeof print === "function" && name !== "clear") print("printed");
  }
  console.timeEnd("printed");
  return Promise.resolve();
}
`,
  },
  async (s) => {
    const { code, lines, stderr } = await s.json("up");
    assertEquals([code, lines.length], [0, 4]);
    assert(stderr.split("printed").length > 10, stderr);
  },
);
