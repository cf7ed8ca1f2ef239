import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  // The pinned search_path keeps a now() that a caller may have in its own schemas out of the function.
  await sql`
    create function set_updated_at() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
    begin
      new.updated_at := now();
      return new;
    end
    $$
  `.execute(db);
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await sql`drop function set_updated_at()`.execute(db);
}
