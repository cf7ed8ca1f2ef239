import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  // No foreign key to killmails: retention may drop a reference while its battle stays.
  await db.schema
    .createTable("battle_killmails")
    .addColumn("battle_id", "uuid", (column) => column.notNull())
    .addColumn("killmail_id", "bigint", (column) => column.notNull())
    .addColumn("zkb_url", "text", (column) => column.notNull())
    .addColumn("occurred_at", "timestamptz", (column) => column.notNull())
    .addColumn("victim_alliance_id", "bigint")
    .addColumn("victim_corp_id", "bigint")
    .addColumn("victim_character_id", "bigint")
    .addColumn("victim_ship_type_id", "bigint")
    .addColumn(
      "attacker_alliance_ids",
      sql`bigint[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn("isk_value", "numeric")
    .addColumn("side_id", "smallint")
    .addColumn("payload", "jsonb")
    .addColumn("enriched_at", "timestamptz")
    .addPrimaryKeyConstraint("battle_killmails_battle_id_killmail_id_pkey", [
      "battle_id",
      "killmail_id",
    ])
    .addForeignKeyConstraint(
      "battle_killmails_battle_id_fkey",
      ["battle_id"],
      "battles",
      ["id"],
      (constraint) => constraint.onDelete("cascade"),
    )
    .execute();

  await db.schema
    .createIndex("battle_killmails_killmail_id_idx")
    .on("battle_killmails")
    .column("killmail_id")
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable("battle_killmails").execute();
}
