import { type Kysely, sql } from "kysely";

/** A higher rank includes every lower one; the gaps leave room for roles between them. */
const ROLES = [
  { key: "user", name: "User", rank: 10 },
  { key: "fc", name: "Fleet Commander", rank: 20 },
  { key: "director", name: "Director", rank: 30 },
  { key: "admin", name: "Admin", rank: 40 },
];

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  await createRoles(db);
  await createAccountFeatureRoles(db);
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropTable("account_feature_roles").execute();
  await db.schema.dropTable("roles").execute();
}

// deno-lint-ignore no-explicit-any -- see up
async function createRoles(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("roles")
    .addColumn(
      "id",
      "uuid",
      (column) => column.notNull().defaultTo(sql`gen_random_uuid()`),
    )
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("rank", "integer", (column) => column.notNull())
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
    .addPrimaryKeyConstraint("roles_id_pkey", ["id"])
    .addUniqueConstraint("roles_key_key", ["key"])
    .addUniqueConstraint("roles_rank_key", ["rank"])
    .execute();

  await sql`
    create trigger roles_set_updated_at
    before update on roles
    for each row execute function set_updated_at()
  `.execute(db);

  await db
    .insertInto("roles")
    .values(ROLES)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
async function createAccountFeatureRoles(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("account_feature_roles")
    .addColumn(
      "id",
      "uuid",
      (column) => column.notNull().defaultTo(sql`gen_random_uuid()`),
    )
    .addColumn("account_id", "uuid", (column) => column.notNull())
    .addColumn("feature_id", "uuid", (column) => column.notNull())
    .addColumn("role_id", "uuid", (column) => column.notNull())
    .addColumn("granted_by", "uuid")
    .addColumn(
      "created_at",
      "timestamptz",
      (column) => column.notNull().defaultTo(sql`now()`),
    )
    .addPrimaryKeyConstraint("account_feature_roles_id_pkey", ["id"])
    .addUniqueConstraint("account_feature_roles_account_id_feature_id_key", [
      "account_id",
      "feature_id",
    ])
    .addForeignKeyConstraint(
      "account_feature_roles_account_id_fkey",
      ["account_id"],
      "accounts",
      ["id"],
      (constraint) => constraint.onDelete("cascade"),
    )
    .addForeignKeyConstraint(
      "account_feature_roles_feature_id_fkey",
      ["feature_id"],
      "features",
      ["id"],
      (constraint) => constraint.onDelete("cascade"),
    )
    .addForeignKeyConstraint(
      "account_feature_roles_role_id_fkey",
      ["role_id"],
      "roles",
      ["id"],
      (constraint) => constraint.onDelete("restrict"),
    )
    .addForeignKeyConstraint(
      "account_feature_roles_granted_by_fkey",
      ["granted_by"],
      "accounts",
      ["id"],
      (constraint) => constraint.onDelete("set null"),
    )
    .execute();

  for (const column of ["feature_id", "role_id", "granted_by"]) {
    await db.schema
      .createIndex(`account_feature_roles_${column}_idx`)
      .on("account_feature_roles")
      .column(column)
      .execute();
  }
}
