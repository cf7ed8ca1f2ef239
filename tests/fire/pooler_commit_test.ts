/** The answer to a commit is lost before or behind a pooler: what became of it is looked up, through the pooler. */
import { assertEquals, assertMatch } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { type Proxy, startProxy } from "../support/net/proxy.ts";
import { type Scenario, scenario } from "../support/program/scenario.ts";
import { waitUntilGone } from "../support/program/gate.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import { waitFor } from "../support/program/wait.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };
const NAMES = Object.keys(AB);

/** Leads the program through a proxy on one side of a pooler. */
async function withProxy(
  s: Scenario,
  side: "client" | "server",
  use: (proxy: Proxy, url: string) => Promise<void>,
): Promise<void> {
  if (side === "server") {
    await using proxy = await startProxy(s.db);
    await withPgBouncer(
      { adminUrl: proxy.url(s.db.adminUrl) },
      (pooler) => use(proxy, pooler.url(s.db.url)),
    );
    return;
  }
  await withPgBouncer(s.db, async (pooler) => {
    const { hostname: host, port } = new URL(pooler.url(s.db.url));
    await using proxy = await startProxy({ host, port: Number(port) });
    await use(proxy, proxy.url(s.db.url));
  });
}

for (const side of ["client", "server"] as const) {
  for (const command of ["up", "down --all --yes"]) {
    for (const lost of ["answer to", "request for"] as const) {
      scenario(
        `the ${lost} the commit of ${command} is lost on the ${side}'s side of a pooler: what is said is so`,
        AB,
        async (s) => {
          const isUp = command === "up";
          const takesEffect = lost === "answer to";
          if (!isUp) assertEquals((await s.run("up")).code, 0);
          const before = isUp ? [] : ["a", "b"];
          const after = isUp ? ["a", "b"] : [];
          await withProxy(s, side, async (proxy, url) => {
            const commit = proxy.hold(/^commit/);
            await using running = s.start(command, { url });
            await commit.held;
            if (takesEffect) {
              proxy.mute();
              commit.release();
              await waitFor(
                "it is committed",
                async () =>
                  (await s.tables()).join() === after.join() || undefined,
              );
            }
            proxy.drop();
            const { code, stdout, stderr } = await running.result;
            const done = isUp ? "Applied" : "Rolled back";
            const names = isUp ? NAMES : NAMES.toReversed();
            if (takesEffect) {
              assertEquals(code, 0, stderr);
              assertEquals(
                stdout,
                names.map((name) => `${done} ${name} (T)\n`).join("") +
                  `${done} 2 migrations in T\n`,
              );
              assertMatch(
                stderr,
                /^warning: The connection was lost during the commit; the history says that the commit took effect$/m,
              );
            } else {
              assertEquals([code, stdout], [1, ""], stderr);
              assertMatch(
                stderr,
                /^Failed in T: nothing was changed, 2 not run$/m,
              );
            }
            assertEquals(await s.tables(), takesEffect ? after : before);
          });
          await waitUntilGone(s.db);
          const end = takesEffect ? after : before;
          const status = await s.run("status");
          assertEquals(
            status.stdout.trimEnd().split("\n").at(-1),
            `${end.length} applied, ${2 - end.length} pending`,
          );
        },
        { needs: ["pgbouncer"] },
      );
    }
  }
}
