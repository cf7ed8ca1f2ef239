import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- as Kysely's own documentation writes it
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema.createSchema("audit").ifNotExists().execute();
  const audit = db.withSchema("audit");
  await audit.schema
    .createTable("entries")
    .addColumn("id", "bigserial")
    .addColumn("at", "timestamptz", (col) => col.notNull())
    .addColumn("what", "json")
    .addPrimaryKeyConstraint("entries_pk", ["id", "at"])
    .modifyEnd(sql`partition by range (at)`)
    .execute();
  for (const year of [2023, 2024]) {
    await sql`
      create table ${
      sql.table(`audit.entries_${year}`)
    } partition of audit.entries
      for values from (${sql.lit(`${year}-01-01`)}) to (${
      sql.lit(`${year + 1}-01-01`)
    })
    `.execute(db);
  }
  await audit.insertInto("entries").values({
    at: new Date("2023-12-24T23:59:59.999Z"),
    what: JSON.stringify({ migrated: true }),
  }).execute();

  await sql`create domain year as int check (value between 1900 and 2100)`
    .execute(db);
  await sql`create sequence invoice_seq as int start 5 increment 5 cycle maxvalue 500`
    .execute(db);
  await sql`select nextval('invoice_seq')`.execute(db);

  await db.schema.alterTable("person").addColumn("born", sql`year`).execute();
  await db.schema.alterTable("person").renameTo("human").execute();
  await db.schema.alterTable("human").renameColumn("gender", "sex").execute();
  const entries = [];
  for await (
    const { id } of db.selectFrom("human").select("id").orderBy("id").stream(1)
  ) {
    entries.push({ at: new Date(Date.UTC(2024, 0, id)), what: { human: id } });
  }
  await db.insertInto("audit.entries").values(entries).execute();
}

// deno-lint-ignore no-explicit-any -- as Kysely's own documentation writes it
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.alterTable("human").renameColumn("sex", "gender").execute();
  await db.schema.alterTable("human").renameTo("person").execute();
  await db.schema.alterTable("person").dropColumn("born").execute();
  await sql`drop sequence invoice_seq`.execute(db);
  await sql`drop domain year`.execute(db);
  await db.schema.dropSchema("audit").cascade().execute();
}
