/**
 * What the catalog says of the table of a backfill.
 *
 * @module
 */
import type { TableFacts, UniqueIndex } from "../../plan/backfill.ts";
import { quoteIdentifier, quoteLiteral } from "../../sql/quote.ts";
import type { Row } from "../wire/protocol.ts";

const EQ = "operator(pg_catalog.=)";

/** Asks for the table that a statement of a batch would find under this name; no row when there is none. */
export function tableQuery(table: string): string {
  const name = quoteLiteral(table.split(".").map(quoteIdentifier).join("."));
  return `select n.nspname::pg_catalog.text as schema, c.relname::pg_catalog.text as name, c.relkind::pg_catalog.text as kind,
    (case when c.relkind ${EQ} 'p' then (select coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(t.relid)), 0)
        from pg_catalog.pg_partition_tree(c.oid) t where t.isleaf)
      else pg_catalog.pg_relation_size(c.oid) end)::double precision as bytes,
    coalesce((select pg_catalog.json_agg(pg_catalog.json_build_object('primary', x.indisprimary,
        'columns', k.columns, 'notNull', k.filled, 'operators', k.operators))
      from pg_catalog.pg_index x, lateral (
        select pg_catalog.json_agg(a.attname order by i.n) as columns, pg_catalog.bool_and(a.attnotnull) as filled,
          pg_catalog.json_agg(distinct o.nspname) as operators
        from pg_catalog.generate_series(0, x.indnkeyatts operator(pg_catalog.-) 1) i(n)
          join pg_catalog.pg_attribute a on a.attrelid ${EQ} x.indrelid and a.attnum ${EQ} x.indkey[i.n]
          join pg_catalog.pg_opclass q on q.oid ${EQ} x.indclass[i.n]
          join pg_catalog.pg_amop m on m.amopfamily ${EQ} q.opcfamily and m.amoplefttype ${EQ} q.opcintype
            and m.amoprighttype ${EQ} q.opcintype and m.amopstrategy ${EQ} 5
          join pg_catalog.pg_operator g on g.oid ${EQ} m.amopopr
          join pg_catalog.pg_namespace o on o.oid ${EQ} g.oprnamespace) k
      where x.indrelid ${EQ} c.oid and x.indisunique and x.indisvalid and x.indimmediate
        and x.indpred is null and x.indexprs is null), '[]'::pg_catalog.json)::pg_catalog.text as indexes
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid ${EQ} c.relnamespace
    where c.oid ${EQ} pg_catalog.to_regclass(${name})::pg_catalog.oid`;
}

/** Reads the answer to {@link tableQuery}. */
export function readTable(row: Row): TableFacts {
  return {
    schema: String(row.schema),
    name: String(row.name),
    kind: String(row.kind),
    bytes: Number(row.bytes),
    indexes: JSON.parse(String(row.indexes)) as UniqueIndex[],
  };
}
