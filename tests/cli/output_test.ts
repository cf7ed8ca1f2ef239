/** What is shown, where and how: `--quiet`, `--verbose`, `--format json`, colours. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { migration, table, upCode } from "../support/program/migrations.ts";
import {
  CONNECTED,
  scenario,
  withoutProgress,
} from "../support/program/scenario.ts";

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

/** A shell's command that makes an output of the shell's own non-blocking. */
function nonblocking(fd: 1 | 2): string {
  const main = new URL(
    "../support/program/nonblocking_main.ts",
    import.meta.url,
  );
  return `'${Deno.execPath()}' run -A --quiet '${fileURLToPath(main)}' ${fd}`;
}

const FULL = "Cannot write to standard output: No space left on device";

scenario(
  "a full disk under standard output does not stop the work, and the exit code tells",
  AB,
  async (s) => {
    for (const options of ["", "--format json", "--transaction each"]) {
      const up = await s.inShell('exec "$@" > /dev/full', `up ${options}`);
      assertEquals([up.code, up.stdout], [1, ""]);
      assertEquals(
        up.stderr,
        `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_b (2 of 2)
error: ${FULL} (os error 28); what was done is in the history
`,
      );
      assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
      await s.db.query("drop table a, b, migration_history");
    }
    for (const command of ["status", "help", "version"]) {
      const { code, stderr } = await s.inShell(
        'exec "$@" > /dev/full',
        command,
      );
      assertEquals([code, stderr.replace(CONNECTED, "")], [
        1,
        `error: ${FULL} (os error 28)\n`,
      ]);
    }
  },
);

scenario(
  "an exit code that says more than a full disk stays what it is",
  { "0001_a": migration({ up: "select nothing" }) },
  async (s) => {
    const full = (command: string) =>
      s.inShell('exec "$@" > /dev/full', command);
    assertEquals((await full("status --check")).code, 3);
    const up = await full("up");
    assertEquals(up.code, 1);
    assertMatch(up.stderr, /^error: Cannot apply "0001_a": column "nothing"/m);
    assertEquals(await s.history(), ["0001_a failed"]);
  },
);

scenario(
  "a full disk under standard error does not stop the work",
  AB,
  async (s) => {
    const { code, stdout } = await s.inShell('exec "$@" 2> /dev/full', "up");
    assertEquals([code, stdout], [
      0,
      "Applied 0001_a (T)\nApplied 0002_b (T)\nApplied 2 migrations in T\n",
    ]);
  },
);

scenario(
  "a reader that is slow gets everything through a pipe that does not block",
  {
    "0001_a": upCode(
      "for (let i = 0; i < 3000; i++) console.log(`${i} ${'x'.repeat(100)}`);\n" +
        "await sql`create table a ()`.execute(db);",
    ),
  },
  async (s) => {
    const { code, stdout } = await s.inShell(
      `{ ${nonblocking(2)}; "$@"; echo "exit $?" >&2; } 2>&1 >/dev/null |
       { sleep 1; cat; }`,
      "up",
    );
    assertEquals(code, 0);
    const lines = stdout.trimEnd().split("\n");
    assertEquals(lines.at(-1), "exit 0");
    assertEquals(
      lines.slice(2, -1).map((line) => line.split(" ")[0]),
      Array.from({ length: 3000 }, (_, i) => `${i}`),
    );
  },
);

scenario(
  "a pipe that does not block and that nobody reads does not hold up the work",
  {
    "0001_a": table("a"),
    "0002_b": upCode("console.log('x'.repeat(1000));"),
  },
  async (s) => {
    const { code, stdout, stderr } = await s.inShell(
      `{ ${nonblocking(1)} full; "$@"; echo "exit $?" >&2; } | sleep 8`,
      "up",
    );
    assertEquals([code, stdout], [0, ""]);
    assertMatch(
      stderr,
      /\nerror: Cannot write to standard output: nobody reads it; what was done is in the history\nexit 1\n$/,
    );
    assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
  },
);

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

scenario(
  "what a migration writes to the streams goes to stderr, in whole lines, and the results stay pure",
  {
    "0001_a": upCode(`
  const bytes = (text: string) => new TextEncoder().encode(text);
  process.stdout.write("50% ");
  process.stdout.write("done\\nrest ");
  Deno.stdout.writeSync(bytes("of it\\r\\n"));
  await Deno.stdout.write(bytes("é\\n").subarray(0, 1));
  await Deno.stdout.write(bytes("é\\n").subarray(1));
  process.stdout.end("ended\\n");
  await Deno.stdout.writable.getWriter().write(bytes("writable\\n"));
  await new Blob(["piped\\n"]).stream().pipeTo(Deno.stdout.writable);
  await new Blob(["again\\n"]).stream().pipeTo(Deno.stdout.writable);
  process.stdout.destroy();
  Deno.stdout.close();
  process.stdout.write("after the end\\n");
  process.stderr.write("to stderr\\n");
  process.stderr.end();
  Deno.stderr.close();
  process.stdout.write("open");
  console.log("printed");
  process.stdout.write("open again");`),
    "0002_b": upCode(
      'alert("!"); process.stdout.write(`${confirm("?")} ${prompt("?")}`);',
    ),
  },
  async (s) => {
    const { code, lines, stderr } = await s.json("up");
    assertEquals([code, lines.map(({ event }) => event)], [0, [
      ...["connected", "started", "started", "applied", "applied", "summary"],
    ]]);
    assertEquals(
      withoutProgress({ stderr }).stderr,
      `\
${CONNECTED}50% done
rest of it
é
ended
writable
piped
again
after the end
to stderr
open
printed
open again
!
false null
`,
    );
  },
);

scenario(
  "a secret that a migration writes in two pieces, or without an end of line, is hidden",
  {
    "0001_a": upCode(`
  const url = Deno.env.get("DATABASE_URL")!;
  const half = url.indexOf("@") - 5;
  process.stdout.write(url.slice(0, half));
  process.stdout.write(url.slice(half));
  await new Promise((resolve) => setTimeout(resolve, 10));`),
  },
  async (s) => {
    const role = await s.db.createRole((name) => [
      `grant usage, create on schema public to ${name}`,
    ]);
    const { code, stderr } = await s.run("up", { as: role });
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /^postgres:\/\/ROLE:\*\*\*@\S+$/m);
  },
);

scenario(
  "what a migration writes to a terminal is hidden and whole, too",
  {
    "0001_a": upCode(`
  process.stdout.write(Deno.env.get("DATABASE_URL") + "\\n");
  process.stdout.end("ended\\n");
  process.stderr.write("not\\n");`),
    "0002_b": upCode('process.stdout.write("later\\n");'),
  },
  async (s) => {
    const { code, stdout } = await s.screen("up");
    assertEquals(code, 0, stdout);
    assertMatch(
      stdout,
      /Applying 0001_a \(1 of 2\)\r\n\S+:\*\*\*@\S+\r\nended\r\nnot\r\n(?:Applying 0002_b \(2 of 2\)\r\n)?later\r\n/,
    );
  },
);

scenario(
  "what a migration does to the globals does not reach the output or the engine",
  {
    "0001_a": upCode(`
  Object.assign(console, { log: () => {}, error: () => {} });
  Object.assign(globalThis, {
    setTimeout: () => 0,
    setInterval: () => 0,
    clearTimeout: () => {},
    queueMicrotask: () => {},
    TextEncoder: undefined,
    TextDecoder: undefined,
    Promise: class Other<T> extends Promise<T> {},
  });
  JSON.stringify = () => "patched";
  JSON.parse = () => "patched";
  Date.prototype.toISOString = () => "patched";
  Object.assign(BigInt.prototype, { toJSON: () => "patched" });
  Object.assign(Array.prototype, { last: () => "patched" });
  Object.assign(Object.prototype, { also: "patched" });
  await sql\`create table a ()\`.execute(db);`),
    "0002_b":
      `${"Object.assign(globalThis, { setTimeout: null, console: null });\n"}export const options = { transaction: false };\n${
        table("b")
      }`,
    "0003_c": upCode('throw new Error("no");'),
  },
  async (s) => {
    for (const options of ["", "--transaction each", "--no-pipeline"]) {
      const { code, lines, stderr } = await s.json(`up ${options}`);
      assertEquals([code, lines.map(({ event }) => event)], [1, [
        ...["connected", "started", "applied", "started", "applied"],
        ...["started", "outcome", "failed", "summary"],
      ]], stderr);
      assertEquals(lines.at(-2), {
        event: "failed",
        at: "TIME",
        message: 'Cannot apply "0003_c": no',
        migration: "0003_c",
        direction: "up",
        location: "migrations/0003_c.ts:4:7",
        outcome: "rolled_back",
      });
      assertEquals(await s.tables(), ["a", "b"]);
      await s.db.query("drop table a, b, migration_history");
    }
  },
);
