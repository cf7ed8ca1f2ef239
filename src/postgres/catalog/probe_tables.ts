/**
 * The tables that a probe reads, as they are here: whether this role may read them, and what can be said of them with PostgreSQL's own
 * functions alone.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral } from "../../sql/quote.ts";

/** How long a probe may take, and wait for a lock within that; milliseconds. */
const TIME_MS = 2_000;
const LOCK_MS = 1_000;

/** How a message of a probe begins: it only reads, and finds PostgreSQL's own alone. */
export const PROBE_BEGIN =
  `set transaction read only; select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
  pg_catalog.set_config('lock_timeout', '${LOCK_MS}', true), pg_catalog.set_config('statement_timeout', '${TIME_MS}', true),
  pg_catalog.set_config('row_security', 'off', true), pg_catalog.set_config('jit', 'off', true)`;

/** Which statement of a probe's message has the row. */
export const PROBE_ROW = 2;

interface ProbedColumn {
  readonly name: string;
  /** Whether its type is PostgreSQL's own, or an enum. */
  readonly plain: boolean;
  readonly select: boolean;
}

/** A table of this database. */
export interface ProbedTable {
  /** As a recording has it. */
  readonly name: string;
  readonly schema: string;
  readonly relation: string;
  /** As `relkind`. */
  readonly kind: string;
  /** Whether the role has `usage` on the schema. */
  readonly usage: boolean;
  /** Whether policies may hide rows from the role. */
  readonly rowSecurity: boolean;
  readonly columns: readonly ProbedColumn[];
}

/** The table as SQL, with its partitions and, unless it is `alone`, with what inherits from it. */
export function placeOf(
  { schema, relation, kind }: ProbedTable,
  alone: boolean,
): string {
  const name = `${quoteIdentifier(schema)}.${quoteIdentifier(relation)}`;
  return alone && kind !== "p" ? `only ${name}` : name;
}

/**
 * Why its rows cannot be asked.
 *
 * @param names of columns that are used
 * @param options.compares whether their values are compared, which takes operators of their types
 * @param options.mixed whether some of the names may be those of functions
 */
export function refusalOf(
  { name, kind, usage, rowSecurity, schema, columns }: ProbedTable,
  names: ReadonlySet<string>,
  options: { readonly compares: boolean; readonly mixed: boolean },
): string | undefined {
  if (kind !== "r" && kind !== "p") return `${name} is no table`;
  if (!usage) return `not allowed: it takes usage on schema ${schema}`;
  const used = columns.filter((one) => names.has(one.name));
  const missing = [...names].find((one) =>
    !used.some(({ name }) => name === one)
  );
  if (!options.mixed && missing !== undefined) {
    return `there is no column ${missing} in ${name} yet`;
  }
  const denied = used.filter(({ select }) => !select).map(({ name }) => name);
  if (denied.length > 0) {
    return `not allowed: it takes select on ${name} (${denied.join(", ")})`;
  }
  if (rowSecurity) {
    return `row level security may hide rows of ${name} from this role`;
  }
  const odd = options.compares ? used.find(({ plain }) => !plain) : undefined;
  return odd === undefined
    ? undefined
    : `the type of ${name}.${odd.name} is none of PostgreSQL's own`;
}

/** Reads the answer to {@link tablesQuery}. */
export function readTables(text: string): ReadonlyMap<string, ProbedTable> {
  const rows: [string, Omit<ProbedTable, "name">][] = JSON.parse(text);
  return new Map(rows.map(([name, table]) => [name, { ...table, name }]));
}

/** Asks for the tables, with nothing that waits for a lock. */
export function tablesQuery(schema: string, names: readonly string[]): string {
  return `${PROBE_BEGIN};
select coalesce(json_agg(json_build_array(w.name, json_build_object('schema', w.nspname, 'relation', w.relname, 'kind', w.relkind,
    'usage', has_schema_privilege(w.relnamespace, 'usage'), 'rowSecurity', row_security_active(w.oid),
    'columns', (select coalesce(json_agg(json_build_object('name', a.attname,
        'plain', t.typtype = 'e' or coalesce(b.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace,
        'select', has_column_privilege(w.oid, a.attnum, 'select'))), '[]')
      from pg_attribute a join pg_type t on t.oid = a.atttypid
        left join pg_type b on b.oid = t.typbasetype and t.typtype = 'd'
      where a.attrelid = w.oid and a.attnum > 0 and not a.attisdropped)))), '[]')::text as tables
from (select c.*, n.nspname, case when n.nspname = ${
    quoteLiteral(schema)
  } then c.relname::text else n.nspname || '.' || c.relname end as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace) w
where w.name = any (array[${names.map(quoteLiteral).join(", ")}]::text[])`;
}
