import { type Kysely, sql } from "kysely";

/** The one ruleset that the ingestion reads. */
const ACTIVE_RULESET = "00000000-0000-0000-0000-000000000001";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("rulesets")
    .addColumn(
      "id",
      "uuid",
      (column) => column.notNull().defaultTo(sql`gen_random_uuid()`),
    )
    .addColumn(
      "min_pilots",
      "integer",
      (column) => column.notNull().defaultTo(1),
    )
    .addColumn(
      "tracked_alliance_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "tracked_corp_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "tracked_system_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "tracked_security_types",
      sql`security_type[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "ignore_unlisted",
      "boolean",
      (column) => column.notNull().defaultTo(false),
    )
    .addColumn("updated_by", "text")
    .addColumn(
      "created_at",
      "timestamptz",
      (column) => column.notNull().defaultTo(sql`now()`),
    )
    .addColumn(
      "updated_at",
      "timestamptz",
      (column) => column.notNull().defaultTo(sql`now()`),
    )
    .addPrimaryKeyConstraint("rulesets_id_pkey", ["id"])
    .addCheckConstraint("rulesets_min_pilots_check", sql`min_pilots >= 1`)
    .execute();

  await sql`
    create trigger rulesets_set_updated_at
    before update on rulesets
    for each row execute function set_updated_at()
  `.execute(db);

  await db
    .insertInto("rulesets")
    .values({ id: ACTIVE_RULESET })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable("rulesets").execute();
}
