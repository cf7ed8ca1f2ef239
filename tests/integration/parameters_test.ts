/** Parameters reach the server as they are and mean the same in every mode; values come back as they went. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  DATE_BY_ZONE,
  EVERY_KIND,
  EXPECTED,
  EXPECTED_COPIES,
  kindsQuery,
  LATE_DATE,
} from "../support/program/kinds.ts";
import {
  closeGate,
  GATE,
  openGate,
  waitForStatement,
} from "../support/program/gate.ts";
import { upCode } from "../support/program/migrations.ts";
import { queryUrl } from "../support/server/postgres.ts";
import { startProxy } from "../support/net/proxy.ts";
import {
  type Migrations,
  type Scenario,
  scenario,
  withoutProgress,
} from "../support/program/scenario.ts";

/** Outside a transaction, too. */
const NO_TRANSACTION = "export const options = { transaction: false };\n";

const UTC = { settings: { timezone: "UTC" } };

const MODES: Readonly<
  Record<string, { readonly command: string; readonly prefix?: string }>
> = {
  "in a transaction": { command: "up" },
  "with every statement awaited": { command: "up --no-pipeline" },
  "in a transaction each": { command: "up --transaction=each" },
  "outside a transaction": { command: "up", prefix: NO_TRANSACTION },
};

for (const [mode, { command, prefix = "" }] of Object.entries(MODES)) {
  scenario(
    `values of every kind arrive as node-postgres writes them, and come back, ${mode}`,
    outside(EVERY_KIND, prefix),
    async (s) => {
      const { code, stderr } = await s.run(command, { env: { TZ: "UTC" } });

      assertEquals(code, 0, stderr);
      assertEquals(await kinds(s, "kinds"), EXPECTED);
      assertEquals(await kinds(s, "copies"), EXPECTED_COPIES);
    },
    UTC,
  );
}

for (const [zone, texts] of Object.entries(DATE_BY_ZONE)) {
  scenario(
    `a Date is an instant, told by the clock of a process in ${zone}, and comes back as it went`,
    {
      "0001_dates": upCode(
        `  const db2 = db as Kysely<any>;
  await sql\`create table dates (timestamptz timestamptz, timestamp timestamp, date date, text text)\`.execute(db);
  await sql\`create table copies (like dates)\`.execute(db);
  const late = ${LATE_DATE};
  await db2.insertInto("dates").values({ timestamptz: late, timestamp: late, date: late, text: late }).execute();
  const row = await db2.selectFrom("dates").selectAll().executeTakeFirstOrThrow();
  await db2.insertInto("copies").values(row).execute();`,
      ),
    },
    async (s) => {
      const { code, stderr } = await s.run("up", { env: { TZ: zone } });

      assertEquals(code, 0, stderr);
      for (const table of ["dates", "copies"]) {
        const rows = await s.db.query(
          `select timestamptz::text, timestamp::text, date::text, text from ${table}`,
        );
        assertEquals(rows, [texts]);
      }
    },
    UTC,
  );
}

scenario(
  "what is read is what the types have: texts where a number would lose digits",
  {
    "0001_read": upCode(
      `  const { rows } = await sql\`select 1::int2 as int2, 2::int4 as int4, 3::int8 as int8, 4.50::numeric as exact, 0.1::float8 as double,
    true as yes, 'x'::text as text, '{"a":[1]}'::jsonb as document, '\\\\x0061'::bytea as bytes, '(1,2)'::point as point, interval '1 day' as span,
    array[1,2]::int4[] as ints, array[1,2]::int8[] as bigs, array['a',null] as texts, array[true] as yeses, array['{"a":1}'::jsonb] as documents,
    null::int4 as nothing, 'b'::text as twice, array[5]::int4[] as twice, oid(7) as oid, array['infinity'::timestamptz] as moments\`.execute(db);
  await sql\`create table read as select \${JSON.stringify(rows)} as rows\`.execute(db);`,
    ),
  },
  async (s) => {
    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);
    const [row] = await s.db.query<{ rows: string }>("select rows from read");

    assertEquals(JSON.parse(row!.rows), [{
      int2: 1,
      int4: 2,
      int8: "3",
      exact: "4.50",
      double: 0.1,
      yes: true,
      text: "x",
      document: { a: [1] },
      bytes: { type: "Buffer", data: [0, 97] },
      point: "(1,2)",
      span: "1 day",
      ints: [1, 2],
      bigs: ["1", "2"],
      texts: ["a", null],
      yeses: [true],
      documents: [{ a: 1 }],
      nothing: null,
      twice: [5],
      oid: 7,
      moments: [null], // JSON has no infinity
    }]);
  },
);

scenario(
  "the types of PostgreSQL are those that the program knows",
  {},
  async (s) => {
    const { builtInType } = await import(
      "../../src/postgres/values/value_type.ts"
    );
    const rows = await s.db.query<
      { oid: number; element: number; delimiter: string }
    >(
      `select a.oid, a.typelem as element, e.typdelim::text as delimiter from pg_type a join pg_type e on e.oid = a.typelem
       where a.typoutput = 'array_out'::regproc and a.oid < 10000`,
    );

    for (const { oid, element, delimiter } of rows) {
      const { elements } = builtInType(oid)!;
      assertEquals([elements?.type.oid, elements?.delimiter], [
        element,
        delimiter,
      ]);
    }
    const plain = await s.db.query<{ oid: number }>(
      "select oid from pg_type where typoutput <> 'array_out'::regproc and oid < 10000",
    );
    assertEquals(
      plain.filter(({ oid }) => builtInType(oid)?.elements !== undefined),
      [],
    );
  },
);

scenario(
  "a parameter stands wherever the server can tell its type",
  {
    "0001_places": upCode(
      `  const one = async (query: any) => Object.values((await query.execute(db)).rows[0])[0];
  const values = [
    await one(sql\`select \${"x"}\`),
    await one(sql\`select \${{ a: 1 }}::jsonb\`),
    await one(sql\`select \${[1, { b: 2 }]}::jsonb\`),
    await one(sql\`select coalesce(\${7}, 5)\`),
    await one(sql\`select count(*)::int from (select 1 union select 2 limit \${1}) x\`),
    await one(sql\`select \${"1 day"}::interval = interval '24 hours'\`),
    await one(sql\`select 2 = any(\${[1, 2]})\`),
    await one(sql\`select 2 in (\${1}, \${2})\`),
    await one(sql\`select jsonb_build_object('a', \${"t"}::text, 'b', \${true}::boolean)\`),
    await one(sql\`select array_agg(x) from unnest(\${["b", "a"]}::text[]) x\`),
    await one(sql\`select \${["b"]}\`),
    await one(sql\`select \${new Uint8Array([97])}\`),
    await one(sql\`select \${null}::int is null\`),
  ];
  await sql\`create table seen as select \${JSON.stringify(values)}::jsonb as \${sql.ref("values")}\`.execute(db);`,
    ),
  },
  async (s) => {
    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);

    assertEquals(await s.db.query('select "values" from seen'), [{
      values: [
        "x",
        { a: 1 },
        [1, { b: 2 }],
        7,
        1,
        true,
        true,
        true,
        { a: "t", b: true },
        ["b", "a"],
        '{"b"}',
        "a",
        true,
      ],
    }]);
  },
);

/** What a server refuses, by SQLSTATE. */
const FAULTS: Readonly<Record<string, string>> = {
  "22P02": "sql`insert into numbers values (${'many'})`",
  "22007": "sql`select ${new Date(NaN)}::timestamptz`",
  "22021": "sql`select ${'a\\0b'}::text`",
  "23505": "sql`insert into numbers values (${0})`",
  "42601": "sql`comment on table numbers is ${'x'}`",
  "42725": "sql`select ${1} + ${2}`",
  "42P01": "sql`select * from missing where a = any(${[1]})`",
  "42P18": "sql`select jsonb_build_object('a', ${1})`",
  "08P01":
    "({ execute: () => db.executeQuery(CompiledQuery.raw('select $1, $2', [1])) })",
};

const TRIED = `  const codes: string[] = [];
  const numbers: unknown[] = [];
  for (const make of [${
  Object.values(FAULTS).map((make) => `() => ${make}`).join(", ")
}]) {
    await inSavepoint(async () => {
      await (make() as any).execute(db).catch((error: any) => {
        codes.push(error.server.code);
        throw error;
      });
    });
    const { rows } = await sql<{ n: number }>\`select \${codes.length}::int as n, \${[1]}::int[]\`.execute(db);
    numbers.push(rows[0]!.n);
  }
  await sql\`create table seen as select \${JSON.stringify({ codes, numbers })}::jsonb as seen\`.execute(db);`;

for (
  const [where, prefix, inSavepoint] of [
    [
      "in a transaction",
      "",
      `async (work: () => Promise<void>) => {
    await sql\`savepoint s\`.execute(db);
    await work().catch(() => sql\`rollback to savepoint s\`.execute(db));
  }`,
    ],
    [
      "outside a transaction",
      NO_TRANSACTION,
      "(work: () => Promise<void>) => work().catch(() => {})",
    ],
  ]
) {
  scenario(
    `what the server refuses of a parameter leaves the connection in order, ${where}`,
    {
      "0001_faults": upCode(
        `  await sql\`create table numbers (n integer primary key)\`.execute(db);
  await sql\`insert into numbers values (0)\`.execute(db);
  const inSavepoint = ${inSavepoint};
${TRIED}`,
      ).replace("{ type Kysely", "{ CompiledQuery, type Kysely")
        .replace("export async", `${prefix}export async`),
    },
    async (s) => {
      const { code, stderr } = await s.run("up");
      assertEquals(code, 0, stderr);

      const codes = Object.keys(FAULTS);
      const [row] = await s.db.query("select seen from seen");
      assertEquals(row, {
        seen: { codes, numbers: codes.map((_, i) => i + 1) },
      });
    },
  );
}

/** What is refused before it is sent: the statement, and why. */
const REFUSED: Readonly<Record<string, readonly [string, string]>> = {
  "an undefined value": [
    "await sql`insert into n values (${1}, ${undefined})`.execute(db)",
    'Cannot run "insert into n values ($1, $2)": parameter $2 is undefined; to write NULL pass null',
  ],
  "an undefined value in the first statement": [
    "await sql`select ${undefined}::int`.execute(db)",
    'Cannot run "select $1::int": parameter $1 is undefined; to write NULL pass null',
  ],
  "half of a surrogate pair": [
    "await sql`select ${'\\ud83d'}::text`.execute(db)",
    'Cannot run "select $1::text": parameter $1 holds half of a surrogate pair, which is no character and has no form in UTF-8',
  ],
  "an object that leads back to itself": [
    "const circle: any = {}; circle.self = circle; await sql`select ${circle}::jsonb`.execute(db)",
    `Cannot run "select $1::jsonb": parameter $1 cannot be written as JSON: TypeError: Converting circular structure to JSON
      --> starting at object with constructor 'Object'
      --- property 'self' closes the circle`,
  ],
  "more parameters than PostgreSQL takes": [
    `await (db as Kysely<any>).insertInto("n").values(Array.from({ length: 70_000 }, (_, v) => ({ v }))).execute()`,
    `Cannot run "insert into "n" ("v") values ${
      Array.from({ length: 30 }, (_, i) => `($${i + 1})`).join(", ")
    }`.slice(0, 'Cannot run "'.length + 100) +
    '…": it has 70000 parameters, and PostgreSQL takes at most 65535; make several statements of it',
  ],
};

for (const [what, [code, reason]] of Object.entries(REFUSED)) {
  scenario(
    `${what} is refused in the same words in every mode, before it is sent`,
    {},
    async (s) => {
      for (const { command, prefix = "" } of Object.values(MODES)) {
        await s.release(outside({
          "0001_n": upCode(
            "  await sql`create table if not exists n (v int, w int)`.execute(db);",
          ),
          "0002_refused": upCode(`  ${code};`),
        }, prefix));
        const { url } = await s.db.createDatabase();
        await using proxy = await startProxy(s.db);

        const result = await s.run(command, { url: proxy.url(url) });

        assertEquals(result.code, 1, result.stderr);
        assertStringIncludes(
          withoutProgress(result).stderr,
          `error: Cannot apply "0002_refused": ${reason}\n`,
        );
        const statement = /"(.*?)…?":/.exec(reason)![1]!;
        const sent = proxy.sessions.flatMap(({ requests }) => requests);
        assertEquals(sent.filter((text) => text.startsWith(statement)), []);
      }
    },
  );
}

scenario(
  "an undefined value among statements that run together is named",
  {
    "0001_together": upCode(
      `  await sql\`create table n (v int)\`.execute(db);
  await Promise.all([1, undefined, 3].map((v) => sql\`insert into n values (\${v})\`.execute(db)));`,
    ),
  },
  async (s) => {
    for (const option of ["", " --no-pipeline"]) {
      const { url } = await s.db.createDatabase();
      const { code, stderr } = await s.run(`up${option}`, { url });

      assertEquals(code, 1);
      assertStringIncludes(
        stderr,
        'error: Cannot apply "0001_together": Cannot run "insert into n values ($1)": parameter $1 is undefined; to write NULL pass null\n',
      );
    }
  },
);

scenario(
  "a migration that catches the refusal of a parameter goes on, with as many as PostgreSQL takes",
  {
    "0001_many": upCode(
      `  const db2 = db as Kysely<any>;
  await sql\`create table n (v int)\`.execute(db);
  const insert = (length: number) => db2.insertInto("n").values(Array.from({ length }, (_, v) => ({ v }))).execute();
  await insert(65_536).catch(() => {});
  await insert(65_533);
  await insert(65_534);
  await insert(65_535);
  await sql\`insert into n values (\${undefined})\`.execute(db).catch(() => {});
  await sql\`insert into n values (\${7})\`.execute(db);`,
    ),
  },
  async (s) => {
    for (const option of ["", " --no-pipeline"]) {
      const { url } = await s.db.createDatabase();
      const { code, stderr } = await s.run(`up${option}`, { url });

      assertEquals(code, 0, stderr);
      const rows = await queryUrl(url, "select count(*)::int, max(v) from n");
      assertEquals(rows, [{
        count: 65_533 + 65_534 + 65_535 + 1,
        max: 65_534,
      }]);
    }
  },
);

scenario(
  "a parameter in a definition meets the same error, pipelined or not",
  {
    "0001_default": upCode(
      "  await sql`create table t (id int, note text default ${'n/a'})`.execute(db);",
    ),
  },
  async (s) => {
    const other = await s.db.createDatabase();
    const ahead = withoutProgress(await s.run("up"));
    const awaited = withoutProgress(
      await s.run("up --no-pipeline", { url: other.url }),
    );

    assertEquals([ahead.code, awaited.code], [1, 1]);
    const error = (stderr: string) =>
      stderr.slice(stderr.indexOf("error:"), stderr.indexOf("Failed in"));
    assertEquals(
      error(ahead.stderr),
      `error: Cannot apply "0001_default": could not determine data type of parameter $1 (SQLSTATE 42P18)
  statement: create table t (id int, note text default $1)
  hint: Write the type of the value behind it, as in sql\`\${value}::text\`; a definition takes no parameters: write the value into it with sql.lit(value)
`,
    );
    assertEquals(error(awaited.stderr), error(ahead.stderr));
  },
);

scenario(
  "a type that another session has created meanwhile is known when it comes",
  {
    "0001_wait": upCode(
      `  await sql.raw(${JSON.stringify(GATE)}).execute(db);
  await sql\`create table days (moods public.mood[])\`.execute(db);
  await sql\`insert into days values (\${["sad", "happy"]})\`.execute(db);
  const { rows } = await sql<any>\`select moods, moods[1] as first from days\`.execute(db);
  await sql\`insert into days values (\${[...rows[0].moods, rows[0].first]})\`.execute(db);`,
    ),
  },
  async (s) => {
    await closeGate(s.db);
    await using up = s.start("up");
    await waitForStatement(s.db, /pg_sleep/);
    await s.db.query("create type mood as enum ('happy', 'sad')");
    await openGate(s.db);

    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
    assertEquals(await s.db.query("select moods::text from days"), [
      { moods: "{sad,happy}" },
      { moods: "{sad,happy,sad}" },
    ]);
  },
);

scenario(
  "the types of an extension that the run itself has created are known when they come",
  {
    "0001_extension": upCode(
      `  await sql\`create extension citext\`.execute(db);
  await sql\`create table words (word citext, words citext[])\`.execute(db);
  await sql\`insert into words values (\${new Uint8Array([97])}, \${["A", null]})\`.execute(db);
  const { rows } = await sql<any>\`select word, words from words\`.execute(db);
  await sql\`insert into words values (\${rows[0].word + "b"}, \${[...rows[0].words, "c"]})\`.execute(db);`,
    ),
  },
  async (s) => {
    const { code, stderr } = await s.run("up");

    assertEquals(code, 0, stderr);
    assertEquals(
      await s.db.query("select word::text, words::text from words"),
      [
        { word: "a", words: "{A,NULL}" },
        { word: "ab", words: "{A,NULL,c}" },
      ],
    );
  },
);

for (
  const [what, value] of [
    ["a value", "1"],
    ["an array", "[1]"],
    ["an undefined value", "undefined"],
  ]
) {
  scenario(
    `the error of a statement that was sent ahead is told, and not what becomes of ${what} behind it`,
    {
      "0001_ahead": upCode(
        `  await sql\`create table n (v integr)\`.execute(db);
  await sql\`insert into n values (\${${value}})\`.execute(db);`,
      ),
    },
    async (s) => {
      for (const option of ["", " --no-pipeline"]) {
        const { url } = await s.db.createDatabase();
        const { code, stderr } = await s.run(`up${option}`, { url });

        assertEquals(code, 1);
        assertStringIncludes(
          stderr,
          'error: Cannot apply "0001_ahead": type "integr" does not exist (SQLSTATE 42704)\n',
        );
      }
    },
  );
}

scenario(
  "what an operator or a type in the search path is called does not decide how a type is looked up",
  {
    "0001_types": upCode(
      `  await sql\`create schema evil; create table evil.seen (n int);
    create function evil.same(oid, oid) returns boolean language sql as 'insert into evil.seen values (1) returning true';
    create operator evil.= (leftarg = oid, rightarg = oid, function = evil.same);
    create type mood as enum ('happy', 'sad');
    create table days (moods mood[])\`.execute(db);
  await sql\`set local search_path = evil, public, pg_catalog\`.execute(db);
  await sql\`insert into days values (\${["sad"]})\`.execute(db);
  const { rows } = await sql<any>\`select moods from days\`.execute(db);
  await sql\`insert into days values (\${[...rows[0].moods, "happy"]})\`.execute(db);`,
    ),
  },
  async (s) => {
    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);

    assertEquals(await s.db.query("select moods::text from days"), [
      { moods: "{sad}" },
      { moods: "{sad,happy}" },
    ]);
    assertEquals(await s.db.query("select * from evil.seen"), []);
  },
);

/** The same migrations with a line before their function. */
function outside(migrations: Migrations, prefix: string): Migrations {
  return Object.fromEntries(
    Object.entries(migrations).map(([name, source]) => [
      name,
      source.replace("export async", `${prefix}export async`),
    ]),
  );
}

async function kinds(
  s: Scenario,
  table: "kinds" | "copies",
): Promise<[string, string | null][]> {
  const rows = await s.db.query<{ kind: string; text: string | null }>(
    kindsQuery(table),
  );
  return rows.map(({ kind, text }) => [kind, text]);
}
