import { type Generated, type Kysely, sql } from "kysely";

interface Database {
  person: {
    id: Generated<number>;
    firstName: string;
    lastName: string | null;
    gender: string;
  };
  pet: { name: string; ownerId: number; species: "dog" | "cat" };
  orders: {
    id: Generated<bigint | number>;
    person_id: number;
    status: string;
    history: unknown;
    tags: string[] | null;
    lines: unknown;
    total: string | number;
    placed: Date;
    receipt: Uint8Array;
  };
}

export const up = async (db: Kysely<Database>): Promise<void> => {
  const people = await db
    .insertInto("person")
    .values([
      { firstName: "Jennifer", lastName: "O'Neill", gender: "female" },
      { firstName: 'Änne "x" \\', lastName: null, gender: "other" },
    ])
    .returning(["id", "firstName"])
    .execute();

  for (const { id, firstName } of people) {
    await db
      .insertInto("pet")
      .values({ name: `${firstName}'s 🐶`, ownerId: id, species: "dog" })
      .execute();
  }

  await db
    .insertInto("orders")
    .values({
      id: 9007199254740993n,
      person_id: people[0]!.id,
      status: "paid",
      history: sql`array['new', 'paid']::order_status[]`,
      tags: ["a", 'b "c"', "d,e", "{}", "", "null"],
      lines: sql`${{ sku: "x", n: [1, 2.5, null], nested: { ok: true } }}`,
      total: "123.45",
      placed: new Date("2023-03-09T04:59:48.368Z"),
      receipt: new Uint8Array([0, 1, 254, 255]),
    })
    .execute();
  await db
    .insertInto("orders")
    .values({
      id: 7,
      person_id: people[1]!.id,
      status: sql<string>`${"lost"}::order_status`,
      history: sql`${["new", "lost"]}::text[]::order_status[]`,
      tags: null,
      lines: JSON.stringify([{ sku: "y" }]),
      total: 0.1 + 0.2,
      placed: new Date(0),
      receipt: new Uint8Array(),
    })
    .execute();
  await sql`
    insert into orders (person_id, total, tags)
    select id, ${10}, ${["z"]} from person where "firstName" = any(${[
    "Jennifer",
    "nobody",
  ]})
  `.execute(db);
};

export const down = async (db: Kysely<Database>): Promise<void> => {
  await db.deleteFrom("orders").execute();
  await db.deleteFrom("pet").execute();
  await sql`truncate person restart identity cascade`.execute(db);
};
