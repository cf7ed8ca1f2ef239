/** A network that falls silent in a statement while nobody can be reached any more: the run ends, and says what is known. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  closeGate,
  GATE,
  openGate,
  waitForStatement,
} from "../support/program/gate.ts";
import { migration, table } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { scenario } from "../support/program/scenario.ts";

const LOST =
  "The connection to the database was lost: the server does not answer any more, and no other connection to it can be made";

for (const way of ["refuses", "closes"] as const) {
  scenario(
    `up ends when the network falls silent in a statement and whoever connects is refused: it ${way}`,
    {
      "0001_a": table("a"),
      "0002_wait": migration({ up: ["create table b ()", GATE] }),
    },
    async (s) => {
      await closeGate(s.db);
      await using proxy = await startProxy(s.db);
      await using up = s.start("up --wait-for-db 5s", {
        url: proxy.url(s.db.url),
      });
      await waitForStatement(s.db, /gate\.opened/);
      proxy.stall();
      if (way === "refuses") proxy.refuse();
      else proxy.front("accepts and closes");
      const { code, stdout, stderr } = await up.result;
      assertEquals([code, stdout], [1, ""], stderr);
      assertMatch(
        stderr,
        new RegExp(`^error: Cannot apply "0002_wait": ${LOST}$`, "m"),
      );
      await openGate(s.db);
      assertEquals(await s.tables(), []);
    },
  );
}
