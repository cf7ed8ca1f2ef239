import { type Kysely, sql } from "kysely";

/** Values of every kind, as SQL writes them. */
const VALUES = {
  integers: "row(1::int2, 2::int4, 9007199254740993::int8, 3::oid)",
  int2: "1::int2",
  int8: "9007199254740993::int8",
  numeric: "123.4500::numeric",
  float4: "1.1::float4",
  float8: "0.1::float8 + 0.2",
  nan: "'NaN'::float8",
  bool: "true",
  text: "'it''s \\'",
  name: "'x'::name",
  bytes: "'\\x00ff'::bytea",
  date: "'2024-02-29'::date",
  time: "'12:34:56.789'::time",
  timestamp: "'2024-02-29 12:34:56.789'::timestamp",
  timestamptz: "'2024-02-29 12:34:56.789+01'::timestamptz",
  infinity: "'infinity'::timestamptz",
  json: `'{"a": [1, null, "x"]}'::json`,
  jsonb: `'[1.50, {"b": true}]'::jsonb`,
  uuid: "'00000000-0000-4000-8000-000000000001'::uuid",
  inet: "'10.0.0.1/8'::inet",
  money: "1.5::numeric::money",
  box: "'(1,2),(3,4)'::box",
  range: "'[1,5)'::int4range",
  bits: "'101'::bit(3)",
  xid: "'7'::xid",
  nothing: "null::text",
  ints: "array[1, null, 3]",
  bigs: "array[9007199254740993::int8]",
  texts: `array['a', 'b "c"', null, '', '{}']`,
  nested: "array[[1, 2], [3, 4]]",
  dates: "array['2024-02-29'::date]",
  times: "array['2024-02-29 12:34:56+00'::timestamptz]",
  jsons: `array['{"a": 1}'::jsonb]`,
  bools: "array[true, false]",
  floats: "array[1.5::float8]",
  uuids: "array['00000000-0000-4000-8000-000000000001'::uuid]",
  status: "'new'::order_status",
};

/** What a value is to JavaScript, as text. */
function shown(value: unknown): string {
  const kind = value === null
    ? "null"
    : typeof value === "object"
    ? value.constructor.name
    : typeof value;
  return `${kind} ${
    value instanceof Date ? value.getTime() : JSON.stringify(value) ?? value
  }`;
}

// deno-lint-ignore no-explicit-any -- as in the folder of another project
export async function up(db: Kysely<any>): Promise<void> {
  await sql`create table seen (name text primary key, shown text not null, again jsonb)`
    .execute(db);
  for (const [name, text] of Object.entries(VALUES)) {
    const { rows: [row] } = await sql<{ value: unknown }>`select ${
      sql.raw(text)
    } as value`.execute(db);
    await db.insertInto("seen").values({
      name,
      shown: shown(row!.value),
      again: JSON.stringify(row!.value ?? null),
    }).execute();
  }

  // What is read is written again, by other types of columns.
  await sql`create table copies (id int, d date, iv interval, ts timestamp, tz timestamptz, j jsonb, n numeric, b bytea, txt text, a text[], i int[])`
    .execute(db);
  const { rows: [all] } = await sql<Record<string, unknown>>`select
    '2024-02-29'::date as d, '1 year -2 days 03:04:05.006'::interval as iv, '2024-02-29 12:34:56.789'::timestamp as ts,
    '2024-02-29 12:34:56.789+01'::timestamptz as tz, '{"a": 1}'::jsonb as j, 1.50 as n,
    '\\x00ff'::bytea as b, 'x' as txt, array['a', null] as a, array[1, 2] as i`
    .execute(db);
  await db.insertInto("copies").values({ id: 1, ...all }).execute();
  await db.insertInto("copies").values({
    id: "2",
    d: "2024-02-29",
    ts: new Date(Date.UTC(2024, 1, 29, 12)),
    tz: "2024-02-29T12:34:56.123456Z",
    j: '{"text": "is JSON"}',
    n: 12345678901234567890n,
    b: new Uint8Array([1, 2]),
    txt: 1.5,
    a: ["x", 'y "z"', "\\"],
    i: [1, "2"],
  }).execute();
  await db.insertInto("copies").values({
    id: 3,
    j: JSON.stringify([1, 2]),
    txt: true,
    n: "0.10",
    a: "{p,q}",
  }).execute();

  // Counts and flags decide what is written.
  const { numUpdatedRows } = await db.updateTable("copies")
    .set({ txt: sql`txt || '!'` }).where("id", "<", 3).executeTakeFirst();
  const { count } = await db.selectFrom("copies")
    .select(db.fn.countAll().as("count")).executeTakeFirstOrThrow();
  await db.insertInto("seen").values([
    { name: "updated", shown: shown(String(numUpdatedRows)) },
    { name: "count", shown: shown(count) },
  ]).execute();
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await db.schema.dropTable("copies").execute();
  await db.schema.dropTable("seen").execute();
}
