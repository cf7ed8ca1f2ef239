import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const extension of ["citext", "pg_trgm", "pgcrypto"]) {
    try {
      await sql`create extension if not exists ${sql.id(extension)}`.execute(
        db,
      );
    } catch (error) {
      throw new Error(`Ask an administrator to install ${extension}`, {
        cause: error,
      });
    }
  }

  await db.schema
    .alterTable("person")
    .addColumn("email", sql`citext`, (col) => col.unique())
    .execute();
  await sql`
    create index person_name_trgm on person using gin ("firstName" gin_trgm_ops)
  `.execute(db);

  // Older servers lack the option, so this may fail; the transaction must survive it.
  await sql`savepoint attempt`.execute(db);
  try {
    await sql`alter table person set (no_such_option = 1)`.execute(db);
  } catch {
    await sql`rollback to savepoint attempt`.execute(db);
  }
  await sql`release savepoint attempt`.execute(db);

  await sql`
    update person set email = encode(digest("firstName", 'sha256'), 'hex') || '@Example.org'
  `.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await db.schema.dropIndex("person_name_trgm").execute();
  await db.schema.alterTable("person").dropColumn("email").execute();
  for (const extension of ["citext", "pg_trgm", "pgcrypto"]) {
    await sql`drop extension ${sql.id(extension)}`.execute(db);
  }
}
