// deno-lint-ignore-file explicit-module-boundary-types -- other projects leave it to inference
import { type Kysely, sql } from "kysely";

interface Order {
  id: string;
  status: string;
  total: string;
  lines: unknown;
}

export async function up(
  db: Kysely<{ orders: Order & { note: string | null } }>,
) {
  // The usual way round "unsafe use of new value": another type takes the name.
  await sql`alter type order_status rename to order_status_old`.execute(db);
  await sql`create type order_status as enum ('draft', 'new', 'paid', 'refunded')`
    .execute(db);
  await sql`drop index orders_open_idx`.execute(db);
  await sql`drop materialized view totals`.execute(db);
  await sql`alter table orders alter column status drop default`.execute(db);
  await sql`alter table orders alter column history drop default`.execute(db);
  await sql`
    alter table orders
      alter column status type order_status
        using (case status::text when 'lost' then 'draft' else status::text end)::order_status,
      alter column history type order_status[]
        using array_remove(history::text[], 'lost')::order_status[]
  `.execute(db);
  await sql`alter table orders alter column status set default 'draft'`.execute(
    db,
  );
  await sql`drop type order_status_old`.execute(db);

  await db.schema.alterTable("orders").addColumn("note", "text").execute();
  // Row by row, as data migrations often are.
  const orders = await db.selectFrom("orders").select(["id", "total"])
    .orderBy("id").execute();
  await Promise.all(
    orders.map(({ id, total }) =>
      db.updateTable("orders").set({ note: `${typeof id} ${id}: ${total}` })
        .where("id", "=", id).execute()
    ),
  );
  await sql`alter type order_status add value if not exists 'archived' after 'refunded'`
    .execute(db);
}
