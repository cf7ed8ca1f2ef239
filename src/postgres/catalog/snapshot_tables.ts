/**
 * Tables, views and sequences of a schema, as JSON that the server makes.
 *
 * @module
 */
import {
  collation,
  columnNames,
  comment,
  EQ,
  flag,
  inSchema,
  isOwn,
  members,
  NE,
  object,
  relationName,
  sequenceOptions,
  type SnapshotScope,
  texts,
  word,
} from "./snapshot_parts.ts";

const ACTIONS = {
  r: "restrict",
  c: "cascade",
  n: "set null",
  d: "set default",
};
const PERSISTENCE = { u: "unlogged", t: "temporary" };
const STORAGE = { p: "plain", e: "external", m: "main", x: "extended" };
const RELATION_KINDS = {
  r: "table",
  p: "table",
  f: "table",
  v: "view",
  m: "materialized view",
};

/** The tables, views and materialized views. */
export function relations(scope: SnapshotScope): string {
  return `select ${
    word("c.relkind", RELATION_KINDS)
  } as type, c.relname::pg_catalog.text as name,
    case when c.relispartition then ${
    parents("c.oid", scope)
  } operator(pg_catalog.->>) 0 end as parent,
    c.relacl as acl, c.relowner as owner, 'r'::"char" as acltype, c.oid as relation, ${
    body(scope)
  } as body
  from pg_catalog.pg_class c
  where ${
    inSchema("c.relnamespace", scope)
  } and c.relkind ${EQ} any (array['r', 'p', 'f', 'v', 'm']::"char"[])
    and c.relname ${NE} all (${texts(scope.without)}) and ${
    isOwn("pg_class", "c.oid")
  }`;
}

function body(scope: SnapshotScope): string {
  const isView = `c.relkind ${EQ} any (array['v', 'm']::"char"[])`;
  return object({
    kind: word("c.relkind", { p: "partitioned", f: "foreign" }),
    persistence: word("c.relpersistence", PERSISTENCE),
    method: `(select m.amname::pg_catalog.text from pg_catalog.pg_am m
      where m.oid ${EQ} c.relam and m.amname ${NE} 'heap')`,
    order:
      `case when not (${isView}) then (select pg_catalog.jsonb_agg(a.attname order by a.attnum)
      from pg_catalog.pg_attribute a where a.attrelid ${EQ} c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped) end`,
    columns: columns(scope),
    definition: `case when ${isView} then pg_catalog.pg_get_viewdef(c.oid) end`,
    constraints: constraints(scope),
    indexes: indexes(),
    triggers: triggers(),
    rules: rules(),
    policies: policies(),
    rowSecurity:
      `case when c.relforcerowsecurity and c.relrowsecurity then 'forced'
      when c.relrowsecurity then 'enabled' when c.relforcerowsecurity then 'disabled, forced' end`,
    options: sortedTexts("c.reloptions"),
    toastOptions: `(select ${
      sortedTexts("t.reloptions")
    } from pg_catalog.pg_class t where t.oid ${EQ} c.reltoastrelid)`,
    replicaIdentity: word("c.relreplident", {
      n: "nothing",
      f: "full",
      i: "index",
    }),
    partitionKey:
      `case when c.relkind ${EQ} 'p' then pg_catalog.pg_get_partkeydef(c.oid) end`,
    bound: "pg_catalog.pg_get_expr(c.relpartbound, c.oid)",
    parents: parents("c.oid", scope),
    ofType:
      `case when c.reloftype ${NE} 0 then pg_catalog.format_type(c.reloftype, null) end`,
    server:
      `(select s.srvname::pg_catalog.text from pg_catalog.pg_foreign_table f
      join pg_catalog.pg_foreign_server s on s.oid ${EQ} f.ftserver where f.ftrelid ${EQ} c.oid)`,
    serverOptions: `(select ${
      sortedTexts("f.ftoptions")
    } from pg_catalog.pg_foreign_table f where f.ftrelid ${EQ} c.oid)`,
    comment: comment("pg_class", "c.oid"),
  });
}

function sortedTexts(array: string): string {
  return `(select pg_catalog.jsonb_agg(u.text order by u.text collate pg_catalog."C")
    from pg_catalog.unnest(${array}) as u(text))`;
}

function parents(oid: string, scope: SnapshotScope): string {
  return `(select pg_catalog.jsonb_agg(${
    relationName("i.inhparent", scope)
  } order by i.inhseqno) from pg_catalog.pg_inherits i where i.inhrelid ${EQ} ${oid})`;
}

function columns({ versionNumber }: SnapshotScope): string {
  const value = "pg_catalog.pg_get_expr(d.adbin, d.adrelid)";
  // From 18 on a column may be NOT NULL without a proof for the rows that are there.
  const notNull = versionNumber < 180_000 ? "'true'::pg_catalog.jsonb" : `
    case when exists (select from pg_catalog.pg_constraint k where k.conrelid ${EQ} a.attrelid and k.contype ${EQ} 'n'
      and not k.convalidated and k.conkey[1] ${EQ} a.attnum) then '"not valid"' else 'true' end::pg_catalog.jsonb`;
  return members(
    "a.attname",
    object({
      type: "pg_catalog.format_type(a.atttypid, a.atttypmod)",
      notNull: `case when a.attnotnull then ${notNull} end`,
      default: `case when a.attgenerated ${EQ} '' then ${value} end`,
      generated: `case when a.attgenerated ${NE} '' then ${value} end`,
      virtual: flag(`a.attgenerated ${EQ} 'v'`),
      identity: word("a.attidentity", { a: "always", d: "by default" }),
      sequence: `case when a.attidentity ${NE} '' then (select ${
        sequenceOptions("s")
      } from pg_catalog.pg_depend e join pg_catalog.pg_sequence s on s.seqrelid ${EQ} e.objid
        where e.refclassid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass and e.refobjid ${EQ} a.attrelid
          and e.refobjsubid ${EQ} a.attnum and e.classid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass
          and e.deptype ${EQ} 'i') end`,
      collation: collation("a.attcollation", "t.typcollation"),
      storage: `case when a.attstorage ${NE} t.typstorage then ${
        word("a.attstorage", STORAGE)
      } end`,
      compression: word("a.attcompression", { p: "pglz", l: "lz4" }),
      options: sortedTexts("a.attfdwoptions"),
      comment: comment("pg_class", "a.attrelid", "a.attnum"),
    }),
    `pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid ${EQ} a.atttypid
      left join pg_catalog.pg_attrdef d on d.adrelid ${EQ} a.attrelid and d.adnum ${EQ} a.attnum
    where a.attrelid ${EQ} c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped`,
  );
}

/** Those of its own: what a partition or a child has from its parent is told there. */
function constraints(scope: SnapshotScope): string {
  const newer = scope.versionNumber < 180_000 ? {} : {
    enforced: "case when not k.conenforced then false end",
    period: flag("k.conperiod"),
  };
  const setColumns = columnNames("k.conrelid", "k.confdelsetcols");
  return members(
    "k.conname",
    object({
      type: word("k.contype", {
        p: "primary key",
        u: "unique",
        f: "foreign key",
        c: "check",
        x: "exclude",
      }),
      columns: columnNames("k.conrelid", "k.conkey"),
      references: `case when k.confrelid ${NE} 0 then ${
        relationName("k.confrelid", scope)
      } end`,
      referencedColumns: columnNames("k.confrelid", "k.confkey"),
      onUpdate: word("k.confupdtype", ACTIONS),
      onDelete: word("k.confdeltype", ACTIONS),
      setColumns,
      match: word("k.confmatchtype", { f: "full", p: "partial" }),
      deferrable: flag("k.condeferrable"),
      deferred: flag("k.condeferred"),
      notValid: flag("not k.convalidated"),
      noInherit: flag(
        `k.connoinherit and k.contype ${EQ} 'c'`,
      ),
      expression: "pg_catalog.pg_get_expr(k.conbin, k.conrelid)",
      operators:
        `(select pg_catalog.jsonb_agg(u.operator::pg_catalog.regoperator::pg_catalog.text order by u.n)
        from pg_catalog.unnest(k.conexclop) with ordinality as u(operator, n))`,
      index:
        `case when k.contype ${EQ} any (array['p', 'u', 'x']::"char"[]) then (select ${index()}
        from pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid ${EQ} i.indexrelid where i.indexrelid ${EQ} k.conindid) end`,
      comment: comment("pg_constraint", "k.oid"),
      ...newer,
    }),
    `pg_catalog.pg_constraint k where k.conrelid ${EQ} c.oid and k.conislocal and k.conparentid ${EQ} 0
      and k.contype ${EQ} any (array['p', 'u', 'f', 'c', 'x']::"char"[])`,
  );
}

function index(): string {
  return object({
    definition: "pg_catalog.pg_get_indexdef(i.indexrelid, 0, true)",
    invalid: flag("not i.indisvalid"),
    clustered: flag("i.indisclustered"),
    replicaIdentity: flag("i.indisreplident"),
    comment: comment("pg_class", "x.oid"),
  });
}

/** Those that no constraint is made of. */
function indexes(): string {
  return members(
    "x.relname",
    index(),
    `pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid ${EQ} i.indexrelid
    where i.indrelid ${EQ} c.oid and not x.relispartition and not exists (select from pg_catalog.pg_constraint k
      where k.conrelid ${EQ} c.oid and k.conindid ${EQ} x.oid and k.contype ${EQ} any (array['p', 'u', 'x']::"char"[]))`,
  );
}

function triggers(): string {
  return members(
    "g.tgname",
    object({
      definition: "pg_catalog.pg_get_triggerdef(g.oid, true)",
      enabled: word("g.tgenabled", {
        D: "disabled",
        R: "replica",
        A: "always",
      }),
      comment: comment("pg_trigger", "g.oid"),
    }),
    `pg_catalog.pg_trigger g where g.tgrelid ${EQ} c.oid and not g.tgisinternal and g.tgparentid ${EQ} 0`,
  );
}

function rules(): string {
  return members(
    "w.rulename",
    object({
      definition: "pg_catalog.pg_get_ruledef(w.oid, true)",
      enabled: word("w.ev_enabled", {
        D: "disabled",
        R: "replica",
        A: "always",
      }),
      comment: comment("pg_rewrite", "w.oid"),
    }),
    `pg_catalog.pg_rewrite w where w.ev_class ${EQ} c.oid and w.rulename ${NE} '_RETURN'`,
  );
}

function policies(): string {
  return members(
    "p.polname",
    object({
      command: word("p.polcmd", {
        "*": "all",
        r: "select",
        a: "insert",
        w: "update",
        d: "delete",
      }),
      restrictive: flag("not p.polpermissive"),
      roles:
        `(select pg_catalog.jsonb_agg(u.name order by u.name collate pg_catalog."C") from (
        select case when r.id ${EQ} 0 then 'public' else pg_catalog.pg_get_userbyid(r.id)::pg_catalog.text end as name
        from pg_catalog.unnest(p.polroles) as r(id)) u)`,
      using: "pg_catalog.pg_get_expr(p.polqual, p.polrelid)",
      check: "pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)",
      comment: comment("pg_policy", "p.oid"),
    }),
    `pg_catalog.pg_policy p where p.polrelid ${EQ} c.oid`,
  );
}

/** The sequences, without those of identity columns. */
export function sequences(scope: SnapshotScope): string {
  const owner = (relation: string, column: string) =>
    `(select pg_catalog.concat(r.relname, '.', a.attname) from pg_catalog.pg_class r
      join pg_catalog.pg_attribute a on a.attrelid ${EQ} r.oid where r.oid ${EQ} ${relation} and a.attnum ${EQ} ${column})`;
  return `select 'sequence' as type, c.relname::pg_catalog.text as name, null as parent,
    c.relacl as acl, c.relowner as owner, 's'::"char" as acltype, null as relation, ${
    object({
      persistence: word("c.relpersistence", PERSISTENCE),
      options: sequenceOptions("s"),
      ownedBy: owner("e.refobjid", "e.refobjsubid"),
      comment: comment("pg_class", "c.oid"),
    })
  } as body
  from pg_catalog.pg_class c join pg_catalog.pg_sequence s on s.seqrelid ${EQ} c.oid
    left join pg_catalog.pg_depend e on e.classid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass and e.objid ${EQ} c.oid
      and e.refclassid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass and e.deptype ${EQ} any (array['a', 'i']::"char"[])
  where ${inSchema("c.relnamespace", scope)} and ${isOwn("pg_class", "c.oid")}
    and (e.objid is null or (e.deptype ${EQ} 'a' and not exists (select from pg_catalog.pg_class r
      where r.oid ${EQ} e.refobjid and r.relname ${EQ} any (${
    texts(scope.without)
  }))))`;
}
