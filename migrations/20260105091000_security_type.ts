import type { Kysely } from "kysely";

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createType("security_type")
    .asEnum(["highsec", "lowsec", "nullsec", "wormhole", "pochven"])
    .execute();
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  await db.schema.dropType("security_type").execute();
}
