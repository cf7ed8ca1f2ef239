import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("killmails")
    .addColumn("killmail_id", "bigint", (column) => column.notNull())
    .addColumn("system_id", "bigint", (column) => column.notNull())
    .addColumn("occurred_at", "timestamptz", (column) => column.notNull())
    .addColumn("victim_alliance_id", "bigint")
    .addColumn("victim_corp_id", "bigint")
    .addColumn("victim_character_id", "bigint")
    .addColumn(
      "attacker_alliance_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "attacker_corp_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn(
      "attacker_character_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn("isk_value", "numeric")
    .addColumn("zkb_url", "text", (column) => column.notNull())
    .addColumn(
      "fetched_at",
      "timestamptz",
      (column) => column.notNull().defaultTo(sql`now()`),
    )
    .addColumn("processed_at", "timestamptz")
    .addColumn("battle_id", "uuid")
    .addPrimaryKeyConstraint("killmails_killmail_id_pkey", ["killmail_id"])
    .addForeignKeyConstraint(
      "killmails_battle_id_fkey",
      ["battle_id"],
      "battles",
      ["id"],
      (constraint) => constraint.onDelete("set null"),
    )
    .execute();

  // The worker takes the oldest ones first; killmail_id makes that order total.
  await db.schema
    .createIndex("killmails_occurred_at_killmail_id_idx")
    .on("killmails")
    .columns(["occurred_at", "killmail_id"])
    .where(sql.ref("processed_at"), "is", null)
    .execute();

  await db.schema
    .createIndex("killmails_system_id_occurred_at_idx")
    .on("killmails")
    .columns(["system_id", "occurred_at"])
    .execute();

  // The daily retention job deletes by age.
  await db.schema
    .createIndex("killmails_occurred_at_idx")
    .on("killmails")
    .column("occurred_at")
    .execute();

  await db.schema
    .createIndex("killmails_battle_id_idx")
    .on("killmails")
    .column("battle_id")
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable("killmails").execute();
}
