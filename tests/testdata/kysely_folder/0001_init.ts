import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("person")
    .addColumn("id", "serial", (col) => col.primaryKey())
    .addColumn("firstName", "varchar(255)", (col) => col.notNull())
    .addColumn("lastName", "varchar(255)")
    .addColumn("gender", "varchar(50)", (col) => col.notNull())
    .addColumn(
      "createdAt",
      "timestamp",
      (col) => col.defaultTo(sql`now()`).notNull(),
    )
    .execute();

  await db.schema
    .createTable("pet")
    .ifNotExists()
    .addColumn(
      "id",
      "integer",
      (col) => col.primaryKey().generatedAlwaysAsIdentity(),
    )
    .addColumn("name", "varchar", (col) => col.notNull().unique())
    .addColumn(
      "ownerId",
      "integer",
      (col) => col.references("person.id").onDelete("cascade").notNull(),
    )
    .addColumn(
      "species",
      "varchar",
      (col) => col.check(sql`species in ('dog', 'cat', 'hamster')`),
    )
    .execute();

  await db.schema
    .createIndex("pet_ownerId_index")
    .on("pet")
    .column("ownerId")
    .execute();
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await db.schema.dropTable("pet").execute();
  await db.schema.dropTable("person").execute();
}
