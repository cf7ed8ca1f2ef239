import type { Kysely } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("battle_participants")
    .addColumn("battle_id", "uuid", (column) => column.notNull())
    .addColumn("character_id", "bigint", (column) => column.notNull())
    .addColumn("alliance_id", "bigint")
    .addColumn("corp_id", "bigint")
    .addColumn("ship_type_id", "bigint")
    .addColumn("side_id", "smallint")
    .addColumn(
      "is_victim",
      "boolean",
      (column) => column.notNull().defaultTo(false),
    )
    .addPrimaryKeyConstraint(
      "battle_participants_battle_id_character_id_pkey",
      ["battle_id", "character_id"],
    )
    .addForeignKeyConstraint(
      "battle_participants_battle_id_fkey",
      ["battle_id"],
      "battles",
      ["id"],
      (constraint) => constraint.onDelete("cascade"),
    )
    .execute();

  await db.schema
    .createIndex("battle_participants_character_id_battle_id_idx")
    .on("battle_participants")
    .columns(["character_id", "battle_id"])
    .execute();

  await db.schema
    .createIndex("battle_participants_alliance_id_idx")
    .on("battle_participants")
    .column("alliance_id")
    .execute();

  await db.schema
    .createIndex("battle_participants_corp_id_idx")
    .on("battle_participants")
    .column("corp_id")
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable("battle_participants").execute();
}
