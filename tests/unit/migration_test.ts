import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  checksumOf,
  compareNames,
  NAME_PATTERN,
  normaliseSource,
  readRegistry,
} from "../../src/plan/migration.ts";

const up = () => Promise.resolve();
const down = () => Promise.resolve();

Deno.test("NAME_PATTERN accepts the names of this and of other Kysely projects", () => {
  const names = [
    "20260105090000_set_updated_at",
    "20230309T045948368Z-init",
    "_20240108T220751294Z",
    "0001_init",
    '2024-01-08T22:07:51 crews\' "own" table.',
    "añadir tabla",
    "..",
    "-a",
    "a\\b",
    "%20#?$",
    " ",
    "🚀",
    "x".repeat(255),
  ];

  assertEquals(names.filter((name) => !NAME_PATTERN.test(name)), []);
});

Deno.test("NAME_PATTERN refuses what is no name of a file, or more than one line", () => {
  const names = [
    ...["", "../a", "a/b", "a\n", "a\u2028b", "\u001b[31m", "\ud800"],
    "x".repeat(256),
  ];

  assertEquals(names.filter((name) => NAME_PATTERN.test(name)), []);
});

Deno.test("compareNames() orders by code unit, not by language", () => {
  assertEquals(
    ["a_b", "b", "a-b", "B", "10", "9", "a"].sort(compareNames),
    ["10", "9", "B", "a", "a-b", "a_b", "b"],
  );
});

Deno.test("compareNames() is a total order", () => {
  fc.assert(fc.property(fc.string(), fc.string(), fc.string(), (a, b, c) => {
    assertEquals(compareNames(a, b) === 0, a === b);
    assertEquals(compareNames(a, b) + compareNames(b, a), 0);
    if (compareNames(a, b) <= 0 && compareNames(b, c) <= 0) {
      assertEquals(compareNames(a, c) <= 0, true);
    }
  }));
});

Deno.test("normaliseSource() removes the byte order mark and every carriage return that ends a line", () => {
  assertEquals(normaliseSource("\uFEFFa\r\nb\rc\n"), "a\nb\nc\n");
});

Deno.test("checksumOf() is the SHA-256 of the source in hexadecimal", async () => {
  assertEquals(
    await checksumOf("abc"),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

Deno.test("checksumOf() is blind to line endings and to nothing else", async () => {
  const unix = await checksumOf("a\nb\n");

  assertEquals(await checksumOf("\uFEFFa\r\nb\r\n"), unix);
  assertEquals(await checksumOf("a\nb\n ") === unix, false);
  assertEquals(await checksumOf("a\n\nb\n") === unix, false);
});

Deno.test("readRegistry() sorts the migrations and fills in the options", () => {
  const migrations = readRegistry([
    { name: "a_b", checksum: "2", module: { up, down } },
    {
      name: "a-b",
      checksum: "1",
      module: { up, options: { transaction: false, idempotent: true } },
    },
  ]);

  assertEquals(
    migrations.map(({ up, down, ...rest }) => [typeof up, typeof down, rest]),
    [
      [
        "function",
        "undefined",
        {
          name: "a-b",
          checksum: "1",
          transaction: false,
          idempotent: true,
          phase: "pre",
        },
      ],
      [
        "function",
        "function",
        {
          name: "a_b",
          checksum: "2",
          transaction: true,
          idempotent: false,
          phase: "pre",
        },
      ],
    ],
  );
});

Deno.test("readRegistry() calls up and down as methods of what exports them", async () => {
  class Table {
    readonly #calls: string[] = [];
    get calls() {
      return this.#calls;
    }
    up(db: unknown) {
      this.#calls.push(`up ${db}`);
    }
    down(db: unknown) {
      this.#calls.push(`down ${db}`);
    }
  }
  class Crews extends Table {}
  const crews = new Crews();
  const named = {
    calls: [] as string[],
    up(db: unknown) {
      this.calls.push(`up ${db}`);
    },
  };
  const [a, b] = readRegistry([
    { name: "a", checksum: "1", module: { default: crews, up } },
    { name: "b", checksum: "2", module: named },
  ]);

  await a!.up("1" as never);
  await a!.down!("2" as never);
  await b!.up("3" as never);
  assertEquals([crews.calls, named.calls], [["up 1", "down 2"], ["up 3"]]);
});

Deno.test("readRegistry() takes the default export for the migration only if it has an up function, as Kysely does", () => {
  const names = (module: object) => {
    const [one] = readRegistry([{ name: "a", checksum: "1", module }]);
    return one!.down === undefined ? "the module" : "the default export";
  };

  assertEquals(
    [
      names({ default: { up, down } }),
      names({ default: { up, down }, up }),
      names({ default: { down }, up }),
      names({ default: up, up }),
      names({ default: null, up }),
    ],
    [
      "the default export",
      "the default export",
      "the module",
      "the module",
      "the module",
    ],
  );
});

Deno.test("readRegistry() finds the options in the default export, or else beside it", () => {
  const [a, b] = readRegistry([
    {
      name: "a",
      checksum: "1",
      module: { default: { up }, options: { transaction: false } },
    },
    {
      name: "b",
      checksum: "2",
      module: {
        default: { up, options: { transaction: false } },
        options: { transaction: true },
      },
    },
  ]);

  assertEquals([a!.transaction, b!.transaction], [false, false]);
});

Deno.test("readRegistry() accepts an empty registry", () => {
  assertEquals(readRegistry([]), []);
});

Deno.test("readRegistry() names every fault at once", () => {
  const error = assertThrows(
    () =>
      readRegistry([
        { name: "a/b", checksum: "1", module: { up } },
        { name: "b", checksum: "2", module: { down } },
        { name: "c", checksum: "3", module: { up, down: 1 } },
        {
          name: "d",
          checksum: "4",
          module: { up, options: { transactional: false, idempotent: 1 } },
        },
        { name: "e", checksum: "5", module: { up, options: null } },
        { name: "e", checksum: "6", module: { up } },
        {
          name: "f",
          checksum: "7",
          module: { up, backfill: { key: [], where: "a", size: 1 } },
        },
        {
          name: "g",
          checksum: "8",
          module: {
            backfill: { table: "t", batch: up },
            options: { phase: "pre", transaction: false },
          },
        },
        { name: "h", checksum: "9", module: { up, options: { phase: "x" } } },
        { name: "i", checksum: "0", module: { backfill: null } },
        {
          name: "j",
          checksum: "0",
          module: { up, options: { accept: { "loses-data": " " } } },
        },
      ]),
    TypeError,
  );
  assertEquals(
    error.message,
    `\
Cannot use the migration "a/b": its name must have 1 to 255 characters, and no / or control character
Cannot use the migration "b": it exports no up function; if it is no migration, move it into a folder in migrations/, such as migrations/lib/
Cannot use the migration "c": its down is not a function
Cannot use the migration "d": its options have an unknown key "transactional" (known: transaction, idempotent, phase, accept)
Cannot use the migration "d": its option "idempotent" is not true or false
Cannot use the migration "e": its options are not an object
Cannot use the migration "e": its name is used twice
Cannot use the migration "f": its backfill names no "table"
Cannot use the migration "f": the "key" of its backfill is not a list of columns
Cannot use the migration "f": the "where" of its backfill is not an expression of Kysely
Cannot use the migration "f": its backfill has no "batch" function
Cannot use the migration "f": its backfill has an unknown key "size" (known: table, key, where, batch)
Cannot use the migration "f": it exports up and backfill: one of them
Cannot use the migration "g": its phase can only be "post": it is a backfill
Cannot use the migration "g": its option "transaction" means nothing for a backfill: leave it out
Cannot use the migration "h": its option "phase" is not "pre" or "post"
Cannot use the migration "i": its backfill is not an object
Cannot use the migration "j": its option "accept" is no object of reasons, such as { "loses-data": "unused since 2.3" }`,
  );
});
