import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- as Kysely's own documentation writes it
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createView("dogs")
    .orReplace()
    .as(
      db.selectFrom("pet")
        .innerJoin("person", "person.id", "pet.ownerId")
        .select(["pet.id", "pet.name", "person.firstName as owner"])
        .where("species", "=", sql.lit("dog")),
    )
    .execute();

  await db.schema
    .createView("totals")
    .materialized()
    .as(
      db.selectFrom("orders")
        .select(["status", (eb) => eb.fn.sum("total").as("total")])
        .groupBy("status"),
    )
    .execute();

  await sql`create unique index totals_status on totals (status)`.execute(db);

  await sql`
    create or replace function count_pets() returns trigger as $body$
    declare
      message text := 'a;b -- no comment $$ ''quoted''';
    begin
      if tg_op = 'INSERT' then
        update person set pets = pets + 1 where id = new."ownerId";
      end if;
      return new;
    end;
    $body$ language plpgsql
  `.execute(db);

  await db.schema
    .alterTable("person")
    .addColumn("pets", "integer", (col) => col.notNull().defaultTo(0))
    .execute();

  await sql`
    create trigger pets_counted after insert on pet
    for each row execute procedure count_pets()
  `.execute(db);
  await sql.raw(`
    do $$
    begin
      insert into pet (name, "ownerId", species) select 'Kitty', min(id), 'cat' from person;
      comment on table pet is 'Someone''s animal';
      comment on column pet."ownerId" is 'person.id';
    end $$;
  `).execute(db);
  await sql`refresh materialized view totals`.execute(db);
}

// deno-lint-ignore no-explicit-any -- as Kysely's own documentation writes it
export async function down(db: Kysely<any>): Promise<void> {
  await sql`comment on table pet is null`.execute(db);
  await sql`comment on column pet."ownerId" is null`.execute(db);
  await sql`drop trigger pets_counted on pet`.execute(db);
  await sql`drop function count_pets`.execute(db);
  await db.deleteFrom("pet").where("name", "=", "Kitty").execute();
  await db.schema.alterTable("person").dropColumn("pets").execute();
  await db.schema.dropView("totals").materialized().execute();
  await db.schema.dropView("dogs").execute();
}
