/**
 * The table with what was planned for migrations that are applied: a row for each whose work grew with a table. It is made when
 * there is something to keep, and whether it can be kept is found out before: it must not cost a run anything but a flight.
 *
 * All names are qualified: nobody who may create objects in a schema of the search path gets any of them run.
 *
 * @module
 */
import type { KeptPlan } from "../../engine/ports.ts";
import type { PlannedTime } from "../../insight/planned_times.ts";
import { quoteIdentifier, quoteLiteral } from "../../sql/quote.ts";
import type { Connection } from "../connection/connection.ts";
import { HISTORY_TABLE, historyTable, PLANS } from "./place.ts";
import { isTrusted } from "./place_query.ts";

const EQ = "operator(pg_catalog.=)";

function plansTable(schema: string): string {
  return `${quoteIdentifier(schema)}.${PLANS}`;
}

/** The history, and the table where it is there: `h`, `c`. */
function tablesIn(schema: string): string {
  return `pg_catalog.pg_namespace n join pg_catalog.pg_class h on h.relnamespace ${EQ} n.oid
      and h.relname ${EQ} '${HISTORY_TABLE}' and h.relkind ${EQ} 'r'
    left join pg_catalog.pg_class c on c.relnamespace ${EQ} n.oid and c.relname ${EQ} '${PLANS}'
    where n.nspname ${EQ} ${quoteLiteral(schema)}`;
}

/** It is of our shape, by the numbers of the types, and whoever could lay there something else would have it run with our rights. */
const SAFE = `c.relkind ${EQ} 'r' and c.relowner ${EQ} h.relowner
    and (select pg_catalog.string_agg(pg_catalog.format('%s %s', a.attname, a.atttypid), ', ' order by a.attnum)
      from pg_catalog.pg_attribute a where a.attrelid ${EQ} c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped)
    ${EQ} 'history_id 20, from_ms 20, to_ms 20, bytes 3802'`;

/**
 * Asks whether plans can be kept: `keeps`, or no row where there is no history. A table that another role would own is not made: it
 * would not be trusted.
 */
export function keepsQuery(schema: string): string {
  return `select case when c.oid is null
      then pg_catalog.pg_get_userbyid(h.relowner) ${EQ} current_user and pg_catalog.has_schema_privilege(n.oid, 'create')
      else ${SAFE} and pg_catalog.has_table_privilege(c.oid, 'insert') end
      and exists (select from pg_catalog.pg_language l where l.lanname ${EQ} 'plpgsql'
        and pg_catalog.has_language_privilege(l.oid, 'usage')) as keeps
    from ${tablesIn(schema)}`;
}

/** Whoever may read the history may read the plans, and nobody else has rights on them, whatever new tables are given. */
function createBody(schema: string): string {
  const table = plansTable(schema);
  const execute = (what: string) =>
    `execute pg_catalog.format('${what}', ${quoteLiteral(table)}, who.name)`;
  return `create table ${table} (
      history_id bigint primary key references ${historyTable(schema)},
      from_ms bigint not null,
      to_ms bigint not null,
      bytes pg_catalog.jsonb not null
    );
    for who in select case when a.grantee ${EQ} 0 then 'public'
          else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text) end as name,
        pg_catalog.bool_or(c.relname ${EQ} '${HISTORY_TABLE}' and a.privilege_type ${EQ} 'SELECT') as reads
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid ${EQ} c.relnamespace,
        lateral pg_catalog.aclexplode(c.relacl) a
      where n.nspname ${EQ} ${quoteLiteral(schema)}
        and c.relname ${EQ} any (array['${HISTORY_TABLE}', '${PLANS}'])
        and a.grantee operator(pg_catalog.<>) c.relowner
      group by a.grantee loop
      ${execute("revoke all on %s from %s")};
      if who.reads then ${execute("grant select on %s to %s")}; end if;
    end loop;`;
}

/**
 * Keeps plans of migrations that this run has recorded as applied. What goes wrong is undone, and is no error: it is sent with the
 * history, before a commit that must not fail of it.
 */
function keepStatement(
  schema: string,
  runId: string,
  plans: readonly KeptPlan[],
): string {
  const rows = plans.map(({ name, planned: { fromMs, toMs, bytes } }) => ({
    name,
    from_ms: fromMs,
    to_ms: toMs,
    bytes,
  }));
  return `do ${
    quoteLiteral(`declare who record; begin
    if exists (select from ${tablesIn(schema)} and c.oid is null) then
    ${createBody(schema)}
    end if;
    if exists (select from ${tablesIn(schema)} and ${SAFE}) then
      insert into ${plansTable(schema)} (history_id, from_ms, to_ms, bytes)
      select h.id, p.from_ms, p.to_ms, p.bytes
      from pg_catalog.jsonb_to_recordset(${
      quoteLiteral(JSON.stringify(rows))
    }::pg_catalog.jsonb)
          as p(name pg_catalog.text, from_ms bigint, to_ms bigint, bytes pg_catalog.jsonb)
        join only ${historyTable(schema)} h on h.name ${EQ} p.name
      where h.run_id ${EQ} ${quoteLiteral(runId)}::pg_catalog.uuid
        and h.status ${EQ} 'applied';
    end if;
  exception when others then null; end`)
  }`;
}

/** Sends {@link keepStatement}. */
export async function keepPlans(
  { connection, history }: {
    readonly connection: Connection;
    readonly history: { readonly schema: string };
  },
  runId: string,
  plans: readonly KeptPlan[],
): Promise<void> {
  await connection.sendAhead(keepStatement(history.schema, runId, plans));
}

/**
 * What was planned, by the id of the row of the history; nothing where it may not be read. Nothing of a stranger's either: to plan
 * the query runs functions that the owner of a table has built into an index of it.
 *
 * @param trustedOwner a role that is trusted because the user of the program says so
 */
export async function readPlans(
  connection: Connection,
  schema: string,
  trustedOwner: string | undefined,
): Promise<ReadonlyMap<number, PlannedTime>> {
  const [known] = await connection.query(
    `select true as readable from ${
      tablesIn(schema)
    } and ${SAFE} and pg_catalog.has_table_privilege(c.oid, 'select')
      and not pg_catalog.row_security_active(c.oid) and ${
      isTrusted(trustedOwner)
    }`,
  );
  if (known === undefined) return new Map();
  const rows = await connection.query(
    `select p.history_id::pg_catalog.int4 as id, p.from_ms::double precision as from_ms,
      p.to_ms::double precision as to_ms, p.bytes
    from only ${plansTable(schema)} p`,
  );
  return new Map(rows.map(({ id, from_ms, to_ms, bytes }) => [Number(id), {
    fromMs: Number(from_ms),
    toMs: Number(to_ms),
    bytes: bytes as PlannedTime["bytes"],
  }]));
}
