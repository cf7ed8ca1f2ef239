/**
 * What the catalog says of the objects of one schema, so that two servers say the same of the same schema: one row an object.
 *
 * The texts of expressions depend on the settings of the session and on its search path, so they are set in the same message.
 * Names of the schema itself are not printed: another schema of the same build gives the same rows.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral } from "../../sql/quote.ts";
import { EQ, NE, type SnapshotScope, texts } from "./snapshot_parts.ts";
import { relations, sequences } from "./snapshot_tables.ts";
import { functions, types } from "./snapshot_types.ts";

/** What is told of each object. */
export interface SnapshotRequest extends SnapshotScope {
  /** Only these, by identity. @default {all of them} */
  readonly only?: readonly string[];
  /** Whether the bodies are told, too. */
  readonly bodies: boolean;
  /** Whether it is told who else than the owner may do what. */
  readonly grants: boolean;
  /** How long to wait for a lock, in milliseconds. */
  readonly lockTimeoutMs: number;
  /** Whether it is asked in a transaction that goes on; otherwise it is one of its own, and only reads. @default {false} */
  readonly inTransaction?: boolean;
}

/** Which of its statements has the rows. */
export const SNAPSHOT_ROWS = 2;

/** What decides how the server prints an expression, as PostgreSQL has it by itself, and how it runs the question. */
const SETTINGS: Readonly<Record<string, string>> = {
  TimeZone: "UTC",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  bytea_output: "hex",
  extra_float_digits: "1",
  xmlbinary: "base64",
  quote_all_identifiers: "off",
  standard_conforming_strings: "on",
  // It takes longer to compile than to run.
  jit: "off",
  // A statement that a role's defaults would end is none of the program's.
  row_security: "on",
};

/**
 * The question, for the simple protocol: settings and rows in one message. In a transaction that goes on it is asked under a
 * savepoint: with that the settings are what they were.
 *
 * A row has `identity` (its type and name), `hash` (SHA-256 of the body's text), `parent` (of a partition), and what else
 * was asked for: `body` and `grants`, both texts of JSON.
 */
export function snapshotQuery(request: SnapshotRequest): string {
  const { schema, only, bodies, grants, lockTimeoutMs, inTransaction = false } =
    request;
  const settings = Object.entries({
    ...SETTINGS,
    lock_timeout: String(lockTimeoutMs),
    search_path: `${quoteIdentifier(schema)}, pg_temp`,
  }).map(([name, value]) =>
    `pg_catalog.set_config('${name}', ${quoteLiteral(value)}, true)`
  );
  const sources = [relations, sequences, types, functions].map((source) =>
    source(request)
  );
  const identity = "pg_catalog.concat(u.type, ' ', u.name)";
  const [begin, end] = inTransaction
    ? [
      "savepoint battlescope_migrate_schema",
      "; rollback to savepoint battlescope_migrate_schema; release savepoint battlescope_migrate_schema",
    ]
    : ["set transaction read only", ""];
  return `${begin}; select ${settings.join(", ")};
select o.identity, o.parent, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(o.body::pg_catalog.text, 'UTF8')), 'hex') as hash${
    bodies ? ", o.body::pg_catalog.text as body" : ""
  }${grants ? `, ${GRANTS} as grants` : ""}
from (select ${identity} as identity, u.parent, u.body, u.acl, u.owner, u.acltype, u.relation from (
${sources.join("\nunion all\n")}
) u${
    only === undefined ? "" : ` where ${identity} ${EQ} any (${texts(only)})`
  } offset 0) o order by o.identity collate pg_catalog."C"${end}`;
}

/** Who may do what, without the owner: an object of JSON by role. What is granted on a column has its name behind it. */
const GRANTS =
  `(select pg_catalog.jsonb_object_agg(g.grantee, g.privileges)::pg_catalog.text from (
    select case when a.grantee ${EQ} 0 then 'public' else pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text end as grantee,
      pg_catalog.jsonb_agg(pg_catalog.concat(pg_catalog.lower(a.privilege_type), a.place, case when a.is_grantable then ' with grant option' end)
        order by a.place collate pg_catalog."C", a.privilege_type collate pg_catalog."C") as privileges
    from (
      select w.grantee, w.privilege_type, w.is_grantable, '' as place
      from pg_catalog.aclexplode(coalesce(o.acl, pg_catalog.acldefault(o.acltype, o.owner))) w
      union all
      select w.grantee, w.privilege_type, w.is_grantable, pg_catalog.concat(' (', t.attname, ')')
      from pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) w
      where t.attrelid ${EQ} o.relation and not t.attisdropped
    ) a where a.grantee ${NE} o.owner group by a.grantee) g)`;
