/**
 * Types and functions of a schema, as JSON that the server makes.
 *
 * @module
 */
import { quoteLiteral } from "../../sql/quote.ts";
import {
  collation,
  comment,
  EQ,
  filled,
  flag,
  inSchema,
  isOwn,
  members,
  NE,
  object,
  type SnapshotScope,
  word,
} from "./snapshot_parts.ts";

/** Enums, domains, composite types and ranges. */
export function types(scope: SnapshotScope): string {
  return `select ${
    word("t.typtype", { e: "enum", d: "domain", c: "type", r: "range" })
  } as type, t.typname::pg_catalog.text as name, null as parent,
    t.typacl as acl, t.typowner as owner, 'T'::"char" as acltype, null as relation, ${
    object({
      values:
        `(select pg_catalog.jsonb_agg(e.enumlabel order by e.enumsortorder) from pg_catalog.pg_enum e where e.enumtypid ${EQ} t.oid)`,
      base:
        `case when t.typbasetype ${NE} 0 then pg_catalog.format_type(t.typbasetype, t.typtypmod) end`,
      notNull: flag("t.typnotnull"),
      default: "t.typdefault",
      collation: `case when t.typtype ${EQ} 'd' then ${
        collation(
          "t.typcollation",
          `(select b.typcollation from pg_catalog.pg_type b where b.oid ${EQ} t.typbasetype)`,
        )
      } end`,
      constraints: members(
        "k.conname",
        object({
          expression: "pg_catalog.pg_get_expr(k.conbin, 0)",
          notValid: flag("not k.convalidated"),
          comment: comment("pg_constraint", "k.oid"),
        }),
        `pg_catalog.pg_constraint k where k.contypid ${EQ} t.oid and k.contype ${EQ} 'c'`,
      ),
      attributes:
        `case when t.typtype ${EQ} 'c' then (select pg_catalog.jsonb_agg(${
          object({
            name: "a.attname",
            type: "pg_catalog.format_type(a.atttypid, a.atttypmod)",
            collation: collation("a.attcollation", "y.typcollation"),
            comment: comment("pg_class", "a.attrelid", "a.attnum"),
          })
        } order by a.attnum) from pg_catalog.pg_attribute a join pg_catalog.pg_type y on y.oid ${EQ} a.atttypid
        where a.attrelid ${EQ} t.typrelid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped) end`,
      range: `(select ${
        object({
          subtype: "pg_catalog.format_type(r.rngsubtype, null)",
          collation:
            `(select l.collname::pg_catalog.text from pg_catalog.pg_collation l where l.oid ${EQ} r.rngcollation)`,
          operators:
            `(select o.opcname::pg_catalog.text from pg_catalog.pg_opclass o where o.oid ${EQ} r.rngsubopc)`,
          canonical: routine("r.rngcanonical"),
          difference: routine("r.rngsubdiff"),
          multirange: "pg_catalog.format_type(r.rngmultitypid, null)",
        })
      } from pg_catalog.pg_range r where r.rngtypid ${EQ} t.oid)`,
      comment: comment("pg_type", "t.oid"),
    })
  } as body
  from pg_catalog.pg_type t
  where ${inSchema("t.typnamespace", scope)} and ${isOwn("pg_type", "t.oid")}
    and (t.typtype ${EQ} any (array['e', 'd', 'r']::"char"[]) or (t.typtype ${EQ} 'c' and exists (
      select from pg_catalog.pg_class c where c.oid ${EQ} t.typrelid and c.relkind ${EQ} 'c')))`;
}

/** A function by name, or null when there is none. */
function routine(oid: string): string {
  return `case when ${oid}::pg_catalog.oid ${NE} 0 then ${oid}::pg_catalog.oid::pg_catalog.regprocedure::pg_catalog.text end`;
}

/** Functions, procedures, aggregates and window functions. */
export function functions(scope: SnapshotScope): string {
  const isAggregate = `p.prokind ${EQ} 'a'`;
  return `select ${
    word("p.prokind", {
      f: "function",
      w: "function",
      p: "procedure",
      a: "aggregate",
    })
  } as type,
    pg_catalog.concat(p.proname, '(', pg_catalog.oidvectortypes(p.proargtypes), ')') as name, null as parent,
    p.proacl as acl, p.proowner as owner, 'f'::"char" as acltype, null as relation, ${
    object({
      window: flag(`p.prokind ${EQ} 'w'`),
      arguments: filled("pg_catalog.pg_get_function_arguments(p.oid)"),
      returns: "pg_catalog.pg_get_function_result(p.oid)",
      language:
        `(select l.lanname::pg_catalog.text from pg_catalog.pg_language l where l.oid ${EQ} p.prolang)`,
      volatility: word("p.provolatile", { i: "immutable", s: "stable" }),
      parallel: word("p.proparallel", { s: "safe", r: "restricted" }),
      strict: flag("p.proisstrict"),
      securityDefiner: flag("p.prosecdef"),
      leakproof: flag("p.proleakproof"),
      cost: `case when not (${isAggregate}) then p.procost end`,
      rows: `case when p.proretset then p.prorows end`,
      support: routine("p.prosupport"),
      settings: settings(scope),
      library: "p.probin",
      body: `case when not (${isAggregate}) then
        coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) end`,
      aggregate: `(select ${
        object({
          kind: word("g.aggkind", { o: "ordered set", h: "hypothetical" }),
          transition: routine("g.aggtransfn"),
          state: "pg_catalog.format_type(g.aggtranstype, null)",
          initial: "g.agginitval",
          final: routine("g.aggfinalfn"),
          combine: routine("g.aggcombinefn"),
          serialize: routine("g.aggserialfn"),
          deserialize: routine("g.aggdeserialfn"),
          moving: routine("g.aggmtransfn"),
          sort:
            `case when g.aggsortop ${NE} 0 then g.aggsortop::pg_catalog.regoperator::pg_catalog.text end`,
        })
      } from pg_catalog.pg_aggregate g where g.aggfnoid::pg_catalog.oid ${EQ} p.oid)`,
      comment: comment("pg_proc", "p.oid"),
    })
  } as body
  from pg_catalog.pg_proc p
  where ${inSchema("p.pronamespace", scope)} and ${isOwn("pg_proc", "p.oid")}
    and not exists (select from pg_catalog.pg_depend i where i.classid ${EQ} 'pg_catalog.pg_proc'::pg_catalog.regclass
      and i.objid ${EQ} p.oid and i.deptype ${EQ} 'i')`;
}

/** The settings of a function. A search path that names the schema says so in whatever schema it is. */
function settings({ schema }: SnapshotScope): string {
  const name = `pg_catalog.quote_ident(${quoteLiteral(schema)})`;
  const path = "search_path=";
  const rest = `pg_catalog.substr(u.setting, ${path.length + 1})`;
  return `(select pg_catalog.jsonb_agg(case when pg_catalog.starts_with(u.setting, '${path}') then
      pg_catalog.concat('${path}', (select pg_catalog.string_agg(case when e.name ${EQ} ${name} then '$schema' else e.name end, ', ' order by e.n)
        from pg_catalog.unnest(pg_catalog.string_to_array(${rest}, ', ')) with ordinality as e(name, n)))
      else u.setting end order by u.n)
    from pg_catalog.unnest(p.proconfig) with ordinality as u(setting, n))`;
}
