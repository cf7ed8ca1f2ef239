import { assertEquals } from "@std/assert";
import type { Json } from "../../src/insight/recording.ts";
import { markdownLines } from "../../src/report/schema/markdown.ts";
import { mermaidLines } from "../../src/report/schema/mermaid.ts";
import { schemaModel } from "../../src/report/schema/model.ts";
import { typeLines } from "../../src/report/schema/types.ts";

const OBJECTS: Readonly<Record<string, Json>> = {
  "enum security": { values: ["high", 'lo"w'], comment: "how *safe*" },
  "function low(text)": { returns: "text", language: "sql" },
  "table pilots": {
    order: ["id", "Odd | name", "seen", "twice", "areas"],
    comment: "who flies",
    columns: {
      "Odd | name": { type: "numeric(20,2)", comment: "a | b" },
      areas: { type: "security[]", default: "'{}'::security[]", notNull: true },
      id: { type: "bigint", notNull: true, identity: "always" },
      seen: {
        type: "timestamp(3) with time zone",
        notNull: true,
        default: "now()",
      },
      twice: { type: "integer", generated: "(1 * 2)" },
    },
    constraints: {
      pilots_pkey: { type: "primary key", columns: ["id"] },
      pilots_check: { type: "check", expression: "(id > 0)" },
    },
    indexes: {
      pilots_idx: { definition: "CREATE INDEX pilots_idx ON pilots" },
    },
  },
  "table ships": {
    order: ["pilot", "deputy"],
    columns: {
      pilot: { type: "bigint", notNull: true },
      deputy: { type: "bigint" },
    },
    constraints: {
      a: {
        type: "foreign key",
        columns: ["pilot"],
        references: "pilots",
        referencedColumns: ["id"],
        onDelete: "cascade",
      },
      b: {
        type: "foreign key",
        columns: ["deputy"],
        references: "pilots",
        referencedColumns: ["id"],
      },
      c: { type: "unique", columns: ["pilot"] },
    },
  },
  "table ships_1": { parents: ["ships"], bound: "DEFAULT", columns: {} },
  "view seen": {
    columns: { at: { type: "date" } },
    definition: " SELECT now() AS at;",
  },
};

const MODEL = schemaModel("0002_ships", new Map(Object.entries(OBJECTS)));

Deno.test("mermaidLines() draws tables and keys in words that Mermaid takes", () => {
  assertEquals(mermaidLines(MODEL), [
    "erDiagram",
    '  "pilots" {',
    "    bigint id PK",
    '    numeric(20,2) Odd_name "null"',
    "    timestamp(3)_with_time_zone seen",
    '    integer twice "null"',
    "    security[] areas",
    "  }",
    '  "ships" {',
    "    bigint pilot FK",
    '    bigint deputy FK "null"',
    "  }",
    '  "pilots" ||--o| "ships" : "pilot"',
    '  "pilots" |o--o{ "ships" : "deputy"',
  ]);
});

Deno.test("mermaidLines() writes nothing that Mermaid reads as something else", () => {
  const odd: Readonly<Record<string, Json>> = {
    'table 50%\\ of "all"': {
      order: ["pk", "FK-1", "µ", "日本", "1st"],
      columns: {
        pk: { type: '"Odd Domain"[]', notNull: true },
        "FK-1": { type: "interval day to second", notNull: true },
        "µ": { type: "integer", notNull: true },
        "日本": { type: "integer", notNull: true },
        "1st": { type: "integer", notNull: true },
      },
    },
  };
  assertEquals(
    mermaidLines(schemaModel(null, new Map(Object.entries(odd)))),
    [
      "erDiagram",
      `  "50__ of 'all'" {`,
      "    _Odd_Domain_[] _pk",
      "    interval_day_to_second _FK-1",
      "    integer _",
      "    integer 日本",
      "    integer _1st",
      "  }",
    ],
  );
});

Deno.test("typeLines() gives no two types one name, and none that means something else", () => {
  const columns = {
    columns: { at: { type: "interval day to second(3)", notNull: true } },
  };
  const lines = typeLines(schemaModel(
    null,
    new Map<string, Json>([
      ["enum json", { values: ["a"] }],
      ["table database", columns],
      ["table Order Items", columns],
      ["table order_items", {
        order: ["j", "x²"],
        columns: { j: { type: '"json"' }, "x²": { type: "integer" } },
      }],
    ]),
  ));
  assertEquals(lines.slice(lines.indexOf('export type Json2 = "a";')), [
    'export type Json2 = "a";',
    "",
    "export interface OrderItems {",
    "  at: Parsed;",
    "}",
    "",
    "export interface Database2 {",
    "  at: Parsed;",
    "}",
    "",
    "export interface OrderItems2 {",
    "  j: Json2 | null;",
    '  "x²": number | null;',
    "}",
    "",
    "export interface Database {",
    '  "Order Items": OrderItems;',
    "  database: Database2;",
    "  order_items: OrderItems2;",
    "}",
  ]);
});

Deno.test("typeLines() has every table and view as Kysely and pg have it", () => {
  const lines = typeLines(MODEL);
  assertEquals(
    lines.slice(lines.indexOf('export type Security = "high" | "lo\\"w";')),
    [
      'export type Security = "high" | "lo\\"w";',
      "",
      "export interface Pilots {",
      "  id: GeneratedAlways<Int8>;",
      '  "Odd | name": Numeric | null;',
      "  seen: Generated<Timestamp>;",
      "  twice: GeneratedAlways<number | null>;",
      "  areas: Generated<ArrayText<Security>>;",
      "}",
      "",
      "export interface Seen {",
      "  at: Timestamp | null;",
      "}",
      "",
      "export interface Ships {",
      "  pilot: Int8;",
      "  deputy: Int8 | null;",
      "}",
      "",
      "export interface Database {",
      "  pilots: Pilots;",
      "  seen: Seen;",
      "  ships: Ships;",
      "}",
    ],
  );
});

Deno.test("markdownLines() has every object, and text that is no markup", () => {
  const lines = markdownLines(MODEL);
  assertEquals(lines.slice(lines.indexOf("## Tables")), [
    "## Tables",
    "",
    "### pilots",
    "",
    "who flies",
    "",
    "| column | type | null | default | comment |",
    "| --- | --- | --- | --- | --- |",
    "| `id` | `bigint` |  | identity always |  |",
    "| `Odd \\| name` | `numeric(20,2)` | yes |  | a \\| b |",
    "| `seen` | `timestamp(3) with time zone` |  | `now()` |  |",
    "| `twice` | `integer` | yes | as `(1 * 2)` |  |",
    "| `areas` | `security[]` |  | `'{}'::security[]` |  |",
    "",
    "- `pilots_check`: check `(id > 0)`",
    "- `pilots_pkey`: primary key (`id`)",
    "- `CREATE INDEX pilots_idx ON pilots`",
    "",
    "### ships",
    "",
    "| column | type | null | default | comment |",
    "| --- | --- | --- | --- | --- |",
    "| `pilot` | `bigint` |  |  |  |",
    "| `deputy` | `bigint` | yes |  |  |",
    "",
    "- `a`: foreign key (`pilot`) → `pilots` (`id`), on delete cascade",
    "- `b`: foreign key (`deputy`) → `pilots` (`id`)",
    "- `c`: unique (`pilot`)",
    "",
    "### ships\\_1",
    "",
    "Of `ships`.",
    "",
    "| column | type | null | default | comment |",
    "| --- | --- | --- | --- | --- |",
    "",
    "## Views",
    "",
    "### seen",
    "",
    "```sql",
    " SELECT now() AS at;",
    "```",
    "",
    "## Other objects",
    "",
    "- function `low(text)`: returns `text`, in sql",
    "",
    '- enum `security`: `high`, `lo"w`. how \\*safe\\*',
  ]);
});

Deno.test("markdownLines() of an empty schema says so", () => {
  assertEquals(markdownLines(schemaModel(null, new Map())), [
    "# Schema",
    "",
    "No migration is in it.",
  ]);
});
