import { type Kysely, sql } from "kysely";

/** What an account can be given a role in. */
const FEATURES = [
  {
    key: "battle-reports",
    name: "Battle Reports",
    description: "View the reports of reconstructed battles",
  },
  {
    key: "battle-intel",
    name: "Battle Intel",
    description: "View intelligence derived from reconstructed battles",
  },
];

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  await createFeatures(db);
  await createFeatureSettings(db);
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable("feature_settings").execute();
  await db.schema.dropTable("features").execute();
}

// deno-lint-ignore no-explicit-any -- see up
async function createFeatures(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("features")
    .addColumn(
      "id",
      "uuid",
      (column) => column.notNull().defaultTo(sql`gen_random_uuid()`),
    )
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("description", "text", (column) => column.notNull())
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
    .addPrimaryKeyConstraint("features_id_pkey", ["id"])
    .addUniqueConstraint("features_key_key", ["key"])
    .execute();

  await sql`
    create trigger features_set_updated_at
    before update on features
    for each row execute function set_updated_at()
  `.execute(db);

  await db
    .insertInto("features")
    .values(FEATURES)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
async function createFeatureSettings(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("feature_settings")
    .addColumn(
      "id",
      "uuid",
      (column) => column.notNull().defaultTo(sql`gen_random_uuid()`),
    )
    .addColumn("feature_id", "uuid", (column) => column.notNull())
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn(
      "value",
      "jsonb",
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn("updated_by", "uuid")
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
    .addPrimaryKeyConstraint("feature_settings_id_pkey", ["id"])
    .addUniqueConstraint("feature_settings_feature_id_key_key", [
      "feature_id",
      "key",
    ])
    .addForeignKeyConstraint(
      "feature_settings_feature_id_fkey",
      ["feature_id"],
      "features",
      ["id"],
      (constraint) => constraint.onDelete("cascade"),
    )
    .addForeignKeyConstraint(
      "feature_settings_updated_by_fkey",
      ["updated_by"],
      "accounts",
      ["id"],
      (constraint) => constraint.onDelete("set null"),
    )
    .execute();

  await db.schema
    .createIndex("feature_settings_updated_by_idx")
    .on("feature_settings")
    .column("updated_by")
    .execute();

  await sql`
    create trigger feature_settings_set_updated_at
    before update on feature_settings
    for each row execute function set_updated_at()
  `.execute(db);
}
