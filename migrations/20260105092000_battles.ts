import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("battles")
    .addColumn(
      "id",
      "uuid",
      (column) => column.notNull().defaultTo(sql`gen_random_uuid()`),
    )
    .addColumn("system_id", "bigint", (column) => column.notNull())
    .addColumn(
      "security_type",
      sql`security_type`,
      (column) => column.notNull(),
    )
    .addColumn("start_time", "timestamptz", (column) => column.notNull())
    .addColumn("end_time", "timestamptz", (column) => column.notNull())
    .addColumn(
      "total_kills",
      "bigint",
      (column) => column.notNull().defaultTo(0),
    )
    .addColumn(
      "total_isk_destroyed",
      "numeric",
      (column) => column.notNull().defaultTo(0),
    )
    .addColumn("zkill_related_url", "text", (column) => column.notNull())
    .addColumn(
      "created_at",
      "timestamptz",
      (column) => column.notNull().defaultTo(sql`now()`),
    )
    .addPrimaryKeyConstraint("battles_id_pkey", ["id"])
    .addCheckConstraint(
      "battles_end_time_start_time_check",
      sql`end_time >= start_time`,
    )
    .addCheckConstraint("battles_total_kills_check", sql`total_kills >= 0`)
    .addCheckConstraint(
      "battles_total_isk_destroyed_check",
      sql`total_isk_destroyed >= 0`,
    )
    .execute();

  await db.schema
    .createIndex("battles_system_id_start_time_end_time_idx")
    .on("battles")
    .columns(["system_id", "start_time", "end_time"])
    .execute();

  await db.schema
    .createIndex("battles_start_time_idx")
    .on("battles")
    .column("start_time desc")
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable("battles").execute();
}
