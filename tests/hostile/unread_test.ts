/** Readers that do not read, and files that do not end: nothing waits for them for ever, and signals are obeyed all the while. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import {
  closeGate,
  GATE,
  waitForStatement,
  waitUntilGone,
} from "../support/program/gate.ts";
import { fullPipe, makePipe } from "../support/program/full_pipe.ts";
import { migration, table, upCode } from "../support/program/migrations.ts";
import {
  CONNECTED,
  scenario,
  withoutProgress,
} from "../support/program/scenario.ts";
import { delay } from "../support/program/wait.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

const UNREAD = "error: Cannot write to standard output: nobody reads it";

scenario(
  "a standard output that nobody reads does not hold up the work, and the exit code tells",
  AB,
  async (s) => {
    await using pipe = await fullPipe();
    const { code, stderr } = await s.inShell(
      `exec "$@" > ${pipe.path}`,
      "up",
    );
    assertEquals([code, withoutProgress({ stderr }).stderr], [
      1,
      `${CONNECTED}${UNREAD}; what was done is in the history\n`,
    ]);
    assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
  },
);

scenario(
  "a standard error that nobody reads does not hold up the work",
  AB,
  async (s) => {
    await using pipe = await fullPipe();
    const { code, stdout } = await s.inShell(`exec "$@" 2> ${pipe.path}`, "up");
    assertEquals([code, stdout], [
      0,
      "Applied 0001_a (T)\nApplied 0002_b (T)\nApplied 2 migrations in T\n",
    ]);
  },
);

scenario(
  "a migration that prints more than is kept for a reader who does not read is applied all the same",
  {
    "0001_a": upCode(`
  for (let i = 0; i < 200; i++) {
    console.log("x".repeat(100_000));
    await sql\`select 1\`.execute(db);
  }
  await sql\`create table a ()\`.execute(db);`),
  },
  async (s) => {
    await using pipe = await fullPipe();
    const { code, stdout } = await s.inShell(`exec "$@" 2> ${pipe.path}`, "up");
    assertEquals([code, stdout], [
      0,
      "Applied 0001_a (T)\nApplied 1 migration in T\n",
    ]);
    assertEquals(await s.tables(), ["a"]);
  },
);

for (const [signal, exitCode] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
  scenario(
    `${signal} is obeyed while nobody reads either output`,
    { "0001_a": table("a"), "0002_wait": migration({ up: GATE }) },
    async (s) => {
      await closeGate(s.db);
      await using pipe = await fullPipe();
      await using up = s.startInShell(
        `exec "$@" > ${pipe.path} 2> ${pipe.path}`,
        "up --format json --verbose",
      );
      await waitForStatement(s.db, /gate\.opened/);
      up.kill(signal);
      assertEquals((await up.result).code, exitCode);
      await waitUntilGone(s.db);
      assertEquals(await s.tables(), []);
      assertEquals(await s.history(), ["0002_wait failed"]);
    },
  );
}

scenario(
  "SIGTERM ends the wait for a reader of results",
  AB,
  async (s) => {
    for (const command of ["help", "version", "status"]) {
      await using pipe = await fullPipe();
      await using running = s.startInShell(
        `"$@" > ${pipe.path} & echo started >&2; trap "kill -TERM $!" TERM; wait $!; wait $!; exit $?`,
        command,
      );
      await running.waitFor("started");
      if (command === "status") await running.waitFor("Connected");
      await delay(1_000);
      running.kill("SIGTERM");
      const { code, stderr } = await running.result;
      assertEquals([code, stderr.replace(/^.*\n(?=error)/s, "")], [
        143,
        `${UNREAD}\n`,
      ], command);
    }
  },
);

scenario(
  "a slow reader gets everything, line by line, though both outputs lead to it",
  {
    "0001_a": upCode(
      "for (let i = 0; i < 3000; i++) console.log(`${i} ${'x'.repeat(i)}`);\n" +
        "await sql`create table a ()`.execute(db);",
    ),
    "0002_b": table("b"),
  },
  async (s) => {
    const { stdout } = await s.inShell(
      `{ "$@"; echo "exit $?"; } 2>&1 | { sleep 2; cat; }`,
      "up --transaction each",
    );
    const lines = stdout.trimEnd().split("\n");
    assertEquals(lines.filter((line) => !/^\d+ x*$/.test(line)).toSorted(), [
      "Applied 0001_a (T)",
      "Applied 0002_b (T)",
      "Applied 2 migrations in T",
      "Applying 0001_a (1 of 2)",
      "Applying 0002_b (2 of 2)",
      CONNECTED.trim(),
      "exit 0",
    ]);
    assertEquals(
      lines.filter((line) => /^\d+ x*$/.test(line)),
      Array.from({ length: 3000 }, (_, i) => `${i} ${"x".repeat(i)}`),
    );
  },
);

scenario(
  "where both outputs lead into one pipe, lines come in the order of what happened",
  Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => {
      const name = `t${String(i).padStart(2, "0")}`;
      return [name, table(name)];
    }),
  ),
  async (s) => {
    const { stdout } = await s.inShell(
      `"$@" 2>&1 | cat`,
      "up --transaction each --no-pipeline",
    );
    const numbers = Array.from({ length: 30 }, (_, i) => i);
    assertEquals(
      stdout,
      CONNECTED + numbers.map((i) => {
        const name = `t${String(i).padStart(2, "0")}`;
        return `Applying ${name} (${i + 1} of 30)\nApplied ${name} (T)\n`;
      }).join("") + "Applied 30 migrations in T\n",
    );
  },
);

scenario("a secret may come out of a named pipe", AB, async (s) => {
  const { code, stderr } = await s.inShell(
    `folder=$(mktemp -d); mkfifo $folder/pipe; url=$DATABASE_URL; unset DATABASE_URL
     { sleep 1; printf %s "$url" > $folder/pipe; } &
     DATABASE_URL_FILE=$folder/pipe "$@"; code=$?; rm -r $folder; exit $code`,
    "up",
  );
  assertEquals(code, 0, stderr);
});

scenario(
  "files that do not end are given up with the reason",
  AB,
  async (s) => {
    const folder = await Deno.makeTempDir();
    try {
      const pipe = join(folder, "pipe");
      await makePipe(pipe);
      const large = join(folder, "large");
      await Deno.writeFile(large, new Uint8Array(50 * 1_024 * 1_024));
      const binary = join(folder, "binary");
      await Deno.writeFile(binary, new Uint8Array([0xff, 0xfe, 0xfd]));
      const secret = (path: string) =>
        s.inShell(
          `unset DATABASE_URL; DATABASE_URL_FILE=${path} exec "$@"`,
          "status",
        );
      const cases = {
        [pipe]: "nothing more came from it within 10 s",
        "/dev/zero": "it is larger than 4 MB",
        [large]: "it is larger than 4 MB",
        "/dev/stdin": "it is none that this program may read",
        [binary]: "it is no text in UTF-8",
      };
      for (const [path, reason] of Object.entries(cases)) {
        const { code, stdout, stderr } = await secret(path);
        assertEquals([code, stdout, stderr], [
          2,
          "",
          `error: DATABASE_URL_FILE: cannot read the file "${path}": ${reason}\n`,
        ]);
      }
      const certificates = await s.inShell(
        `unset DATABASE_URL; export POSTGRES_USER=u POSTGRES_PASSWORD_FILE=${pipe}
       POSTGRES_SSL=true POSTGRES_SSL_CA=${large} exec "$@"`,
        "up",
      );
      assertEquals(certificates.code, 2);
      assertMatch(
        certificates.stderr,
        /POSTGRES_PASSWORD_FILE: .* within 10 s/,
      );
      assertMatch(certificates.stderr, /POSTGRES_SSL_CA: .* larger than 4 MB/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

scenario("SIGTERM ends the wait for a secret", AB, async (s) => {
  const folder = await Deno.makeTempDir();
  try {
    const pipe = join(folder, "pipe");
    await makePipe(pipe);
    // A writer that writes nothing: when it is there, the program waits.
    await using running = s.startInShell(
      `unset DATABASE_URL; DATABASE_URL_FILE=${pipe} exec "$@"`,
      "status",
    );
    using writer = await Deno.open(pipe, { write: true });
    await delay(200);
    running.kill("SIGTERM");
    const { code, stdout, stderr } = await running.result;
    assertEquals([code, stdout, stderr], [
      143,
      "",
      "error: Stopped by SIGTERM\n",
    ]);
    assert(writer !== undefined);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
