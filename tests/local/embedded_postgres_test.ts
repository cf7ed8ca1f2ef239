import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "node:path";
import {
  startServer,
  stopServer,
} from "../../scripts/dev/embedded_postgres.ts";
import { queryUrl } from "../support/server/postgres.ts";

const VERSION = 18;

Deno.test("startServer() hands settings over as they are, also at the next start", async () => {
  await withFolder(async (folder) => {
    for (const name of [`it's \\n "quoted" #1`, "another"]) {
      const settings = { "app.name": name, work_mem: "5MB" };
      const server = await startServer({ version: VERSION, folder, settings });
      assertEquals(
        await queryUrl(
          server.url(),
          "select current_setting('app.name') as name, current_setting('work_mem') as memory",
        ),
        [{ name, memory: "5MB" }],
      );
      await server.stop();
    }
  });
});

Deno.test("startServer() joins the server that runs in the folder", async () => {
  await withFolder(async (folder) => {
    const first = await startServer({ version: VERSION, folder });
    const second = await startServer({ version: VERSION, folder });
    assertEquals(second.url("a b"), first.url("a b"));
    assertMatch(first.url("a b"), /:\d+\/a%20b$/);
    await first.stop();
    await second.stop();
    await assertRejects(() => queryUrl(second.url(), "select 1"));
  });
});

Deno.test("startServer() says what PostgreSQL has against a setting, and works again without it", async () => {
  await withFolder(async (folder) => {
    const data = join(folder, "data");
    const settings = { work_mem: "lots" };
    const error = await assertRejects(
      () => startServer({ version: VERSION, folder, settings }),
      Error,
    );
    assertEquals(
      error.message,
      `Cannot start PostgreSQL in "${data}": FATAL:  configuration file "${data}/server.conf" contains errors (see ${data}/server.log)`,
    );
    const server = await startServer({ version: VERSION, folder });
    assertEquals(await queryUrl(server.url(), "select 1 as one"), [{ one: 1 }]);
    await server.stop();
  });
});

async function withFolder(
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "server-" });
  try {
    await use(folder);
  } finally {
    await stopServer({ version: VERSION, folder });
    await Deno.remove(folder, { recursive: true });
  }
}
