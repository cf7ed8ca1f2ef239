/** Somebody at a terminal is shown what `down` and `redo` will undo, and asked. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";
import { delay } from "../support/program/wait.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

scenario(
  "down on a terminal lists what it will undo, asks, and goes on with y",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.answer("down --all", "y\n"), {
      code: 0,
      stdout: `\
Would roll back 0002_b
Would roll back 0001_a
Rolled back 0002_b (T)
Rolled back 0001_a (T)
Rolled back 2 migrations in T
`,
      stderr: `\
${CONNECTED}Roll back these 2 migrations? [y/N] Rolling back 0002_b (1 of 2)
Rolling back 0001_a (2 of 2)
`,
    });
    assertEquals(await s.tables(), []);
  },
);

scenario(
  "redo on a terminal asks too, and takes yes for a yes",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.answer("redo", "YES\n"), {
      code: 0,
      stdout: `\
Would roll back 0002_b
Would apply 0002_b
Rolled back 0002_b (T)
Applied 0002_b (T)
Rolled back 1 migration and applied 1 again in T
`,
      stderr: `\
${CONNECTED}Roll back this migration and apply it again? [y/N] Rolling back 0002_b (1 of 2)
Applying 0002_b (2 of 2)
`,
    });
  },
);

scenario(
  "anything but a yes changes nothing, also the end of the input",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    for (const input of ["n\n", "\n", "yesterday\n", ""]) {
      assertEquals(await s.answer("down", input), {
        code: 1,
        stdout: "Would roll back 0002_b\n",
        stderr: `\
${CONNECTED}Roll back this migration? [y/N] error: Cannot go on without a yes: nothing was changed
Failed in T: nothing was changed
`,
      });
    }
    assertEquals(await s.tables(), ["a", "b"]);
    assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
  },
);

scenario(
  "Ctrl-C at the question changes nothing and exits 130",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const { code, stdout } = await s.screen("down", {
      type: { after: "[y/N]", text: "\x03" },
    });
    assertEquals(code, 130, stdout);
    assertMatch(stdout, /Stopped by SIGINT\r\n/);
    assertEquals(await s.tables(), ["a", "b"]);
  },
);

scenario(
  "nothing is asked when there is nothing to undo, or with --yes or --dry-run",
  AB,
  async (s) => {
    assertEquals(await s.answer("down", ""), {
      code: 0,
      stdout: "Nothing to roll back\n",
      stderr: CONNECTED,
    });
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.answer("down --dry-run", ""), {
      code: 0,
      stdout:
        "Would roll back 0002_b\nDry run: 1 migration would run, nothing was changed\n",
      stderr: CONNECTED,
    });
    assertEquals(await s.answer("down --yes", ""), {
      code: 0,
      stdout: "Rolled back 0002_b (T)\nRolled back 1 migration in T\n",
      stderr: `${CONNECTED}Rolling back 0002_b (1 of 1)\n`,
    });
  },
);

scenario(
  "the time that somebody takes to answer is no part of how long it took",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const started = performance.now();
    let askedMs = 0;
    const { code, stdout } = await s.screen("down --format=json", {
      type: {
        after: "[y/N]",
        text: "y\n",
        meanwhile: async () => {
          const asked = performance.now();
          await delay(4_000);
          askedMs = performance.now() - asked;
        },
      },
    });
    const tookMs = performance.now() - started;
    assertEquals(code, 0, stdout);
    const [, saidMs] = /"event":"summary",.*"durationMs":(\d+)/.exec(stdout) ??
      [];
    assert(
      Number(saidMs) <= tookMs - askedMs,
      `${saidMs} ms of ${tookMs}, of which somebody took ${askedMs}`,
    );
  },
);

scenario("a yes to what has changed meanwhile is refused", AB, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  const { code, stdout } = await s.screen("down", {
    env: { NO_COLOR: "1" },
    type: {
      after: "[y/N]",
      meanwhile: () => s.run("down --yes"),
      text: "y\n",
    },
  });
  assertEquals(code, 1);
  assertMatch(
    stdout,
    /error: Cannot go on: the history has changed since the plan was shown; look at status and start again\r\n/,
  );
  assertEquals(await s.tables(), ["a"]);
});
