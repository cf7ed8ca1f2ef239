import { assertEquals, assertThrows } from "@std/assert";
import {
  CamelCasePlugin,
  type Kysely,
  type KyselyPlugin,
  sql,
  type SqlBool,
} from "kysely";
import { readRegistry } from "../../src/plan/migration.ts";
import { setupFaults } from "../../src/plan/setup.ts";

Deno.test("setupFaults() accepts plugins and names of variables", () => {
  assertEquals(setupFaults({}), []);
  assertEquals(
    setupFaults({
      plugins: [new CamelCasePlugin()],
      environment: ["APP_ROLE", "_x1"],
    }),
    [],
  );
});

Deno.test("setupFaults() names all that is wrong", () => {
  assertEquals(
    setupFaults({ plugin: [], plugins: [{}], environment: ["A,B"] }),
    [
      'Cannot use migrations/setup.ts: it exports "plugin", and may export plugins and environment only',
      "Cannot use migrations/setup.ts: its plugins are no array of Kysely's plugins",
      "Cannot use migrations/setup.ts: its environment is no array of names of variables",
    ],
  );
});

Deno.test("readRegistry() gives every migration a Kysely with the plugins, in their order", async () => {
  const given: unknown[] = [];
  const db = (plugins: readonly KyselyPlugin[]): Kysely<unknown> =>
    ({
      plugins,
      withPlugin: (one: KyselyPlugin) => db([...plugins, one]),
    }) as unknown as Kysely<unknown>;
  const keep = (on: unknown) =>
    void given.push((on as { plugins: unknown }).plugins);
  const plugins = [new CamelCasePlugin(), new CamelCasePlugin()];
  const [migration] = readRegistry(
    [{ name: "a", checksum: "", module: { up: keep, down: keep } }],
    { plugins },
  );

  const [backfill] = readRegistry(
    [{
      name: "b",
      checksum: "",
      module: { backfill: { table: "t", batch: keep } },
    }],
    { plugins },
  );

  await migration!.up(db([]));
  await migration!.down!(db([]));
  await backfill!.backfill!.batch(db([]), sql<SqlBool>`true`);

  assertEquals(given, [plugins, plugins, plugins]);
});

Deno.test("readRegistry() says what is wrong with the setup beside what is wrong with migrations", () => {
  assertThrows(
    () =>
      readRegistry(
        [{ name: "a", checksum: "", module: { init: { up: () => {} } } }],
        { plugins: 1 } as never,
      ),
    TypeError,
    `\
Cannot use migrations/setup.ts: its plugins are no array of Kysely's plugins
Cannot use the migration "a": it exports no up function; its "init" has one: export that as the default (export default init)`,
  );
});

Deno.test("readRegistry() tells a setup under another name where setups are", () => {
  assertThrows(
    () =>
      readRegistry([
        { name: "setup", checksum: "", module: { plugins: [] } },
        { name: "vars", checksum: "", module: { environment: ["A"] } },
      ]),
    TypeError,
    `\
Cannot use the migration "setup": it exports no up function; what all migrations need is exported by migrations/setup.ts: move that there, or rename the file to it
Cannot use the migration "vars": it exports no up function; what all migrations need is exported by migrations/setup.ts: move that there, or rename the file to it`,
  );
});
