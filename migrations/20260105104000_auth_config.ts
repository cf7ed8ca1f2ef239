import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  // The key is true by default and may be nothing else, so there is at most one row.
  await db.schema
    .createTable("auth_config")
    .addColumn("id", "boolean", (column) => column.notNull().defaultTo(true))
    .addColumn(
      "require_membership",
      "boolean",
      (column) => column.notNull().defaultTo(true),
    )
    .addColumn(
      "allowed_corp_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "allowed_alliance_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "denied_corp_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "denied_alliance_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "updated_at",
      "timestamptz",
      (column) => column.notNull().defaultTo(sql`now()`),
    )
    .addPrimaryKeyConstraint("auth_config_id_pkey", ["id"])
    .addCheckConstraint("auth_config_id_check", sql`id`)
    .execute();

  await sql`
    create trigger auth_config_set_updated_at
    before update on auth_config
    for each row execute function set_updated_at()
  `.execute(db);

  await db
    .insertInto("auth_config")
    .values({ id: true })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable("auth_config").execute();
}
