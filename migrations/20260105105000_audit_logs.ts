import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("audit_logs")
    .addColumn(
      "id",
      "uuid",
      (column) => column.notNull().defaultTo(sql`gen_random_uuid()`),
    )
    .addColumn("actor_account_id", "uuid")
    .addColumn("action", "text", (column) => column.notNull())
    .addColumn("target_type", "text", (column) => column.notNull())
    .addColumn("target_id", "text", (column) => column.notNull())
    .addColumn(
      "metadata",
      "jsonb",
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "created_at",
      "timestamptz",
      (column) => column.notNull().defaultTo(sql`now()`),
    )
    .addPrimaryKeyConstraint("audit_logs_id_pkey", ["id"])
    .addForeignKeyConstraint(
      "audit_logs_actor_account_id_fkey",
      ["actor_account_id"],
      "accounts",
      ["id"],
      (constraint) => constraint.onDelete("set null"),
    )
    .execute();

  await db.schema
    .createIndex("audit_logs_actor_account_id_idx")
    .on("audit_logs")
    .column("actor_account_id")
    .execute();

  await db.schema
    .createIndex("audit_logs_target_type_target_id_idx")
    .on("audit_logs")
    .columns(["target_type", "target_id"])
    .execute();

  await db.schema
    .createIndex("audit_logs_created_at_idx")
    .on("audit_logs")
    .column("created_at desc")
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable("audit_logs").execute();
}
