import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  await createAccounts(db);
  await createCharacters(db);

  // The two tables point at each other, so this key can only be added once both exist.
  await db.schema
    .alterTable("accounts")
    .addForeignKeyConstraint(
      "accounts_primary_character_id_fkey",
      ["primary_character_id"],
      "characters",
      ["id"],
    )
    .onDelete("set null")
    .execute();

  await db.schema
    .createIndex("accounts_primary_character_id_idx")
    .on("accounts")
    .column("primary_character_id")
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema
    .alterTable("accounts")
    .dropConstraint("accounts_primary_character_id_fkey")
    .execute();
  await db.schema.dropTable("characters").execute();
  await db.schema.dropTable("accounts").execute();
}

// deno-lint-ignore no-explicit-any -- see up
async function createAccounts(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("accounts")
    .addColumn(
      "id",
      "uuid",
      (column) => column.notNull().defaultTo(sql`gen_random_uuid()`),
    )
    .addColumn("email", "text")
    .addColumn("display_name", "text", (column) => column.notNull())
    .addColumn("primary_character_id", "uuid")
    .addColumn(
      "is_blocked",
      "boolean",
      (column) => column.notNull().defaultTo(false),
    )
    .addColumn(
      "is_deleted",
      "boolean",
      (column) => column.notNull().defaultTo(false),
    )
    .addColumn(
      "is_super_admin",
      "boolean",
      (column) => column.notNull().defaultTo(false),
    )
    .addColumn("last_login_at", "timestamptz")
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
    .addPrimaryKeyConstraint("accounts_id_pkey", ["id"])
    .addUniqueConstraint("accounts_email_key", ["email"])
    .execute();

  await sql`
    create trigger accounts_set_updated_at
    before update on accounts
    for each row execute function set_updated_at()
  `.execute(db);
}

// deno-lint-ignore no-explicit-any -- see up
async function createCharacters(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("characters")
    .addColumn(
      "id",
      "uuid",
      (column) => column.notNull().defaultTo(sql`gen_random_uuid()`),
    )
    .addColumn("account_id", "uuid", (column) => column.notNull())
    .addColumn("eve_character_id", "bigint", (column) => column.notNull())
    .addColumn("eve_character_name", "text", (column) => column.notNull())
    .addColumn("corp_id", "bigint", (column) => column.notNull())
    .addColumn("corp_name", "text", (column) => column.notNull())
    .addColumn("alliance_id", "bigint")
    .addColumn("alliance_name", "text")
    .addColumn("portrait_url", "text")
    // The tokens arrive encrypted: the application holds the key, the database never does.
    .addColumn("esi_access_token", "bytea")
    .addColumn("esi_refresh_token", "bytea")
    .addColumn("esi_token_expires_at", "timestamptz")
    .addColumn(
      "scopes",
      sql`text[]`,
      (column) => column.notNull().defaultTo(sql`'{}'`),
    )
    .addColumn("last_verified_at", "timestamptz")
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
    .addPrimaryKeyConstraint("characters_id_pkey", ["id"])
    .addUniqueConstraint("characters_eve_character_id_key", [
      "eve_character_id",
    ])
    .addForeignKeyConstraint(
      "characters_account_id_fkey",
      ["account_id"],
      "accounts",
      ["id"],
      (constraint) => constraint.onDelete("cascade"),
    )
    .execute();

  for (const column of ["account_id", "corp_id", "alliance_id"]) {
    await db.schema
      .createIndex(`characters_${column}_idx`)
      .on("characters")
      .column(column)
      .execute();
  }

  await sql`
    create trigger characters_set_updated_at
    before update on characters
    for each row execute function set_updated_at()
  `.execute(db);
}
