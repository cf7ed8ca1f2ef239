/**
 * Pieces of SQL that the questions about a schema's objects are put together from. Nothing in them is found by the search path.
 *
 * @module
 */
import { quoteLiteral } from "../../sql/quote.ts";

export const EQ = "operator(pg_catalog.=)";
export const NE = "operator(pg_catalog.<>)";

/** What is asked for. */
export interface SnapshotScope {
  /** The schema whose objects are told. */
  readonly schema: string;
  /** As `server_version_num`. */
  readonly versionNumber: number;
  /** Tables that are left out, with all that belongs to them. */
  readonly without: readonly string[];
}

/**
 * One kind of object as rows of `type`, `name`, `parent`, `acl`, `owner`, `acltype` (see `acldefault`), `relation` (with
 * columns that may have grants) and `body`.
 */
export type Source = (scope: SnapshotScope) => string;

/** An object of JSON, without what is null. */
export function object(members: Readonly<Record<string, string>>): string {
  const list = Object.entries(members).map(([key, value]) =>
    `${quoteLiteral(key)}, ${value}`
  );
  return `pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(${
    list.join(", ")
  }))`;
}

/** What a letter of the catalog stands for; any other is null. */
export function word(
  letter: string,
  words: Readonly<Record<string, string>>,
): string {
  const cases = Object.entries(words).map(([from, to]) =>
    `when ${letter} ${EQ} ${quoteLiteral(from)} then ${quoteLiteral(to)}`
  );
  return `case ${cases.join(" ")} end`;
}

/** `true`, or null where it would say what is usual. */
export function flag(condition: string): string {
  return `case when ${condition} then true end`;
}

/** A text, or null when it is empty. */
export function filled(text: string): string {
  return `case when ${text} ${NE} '' then ${text} end`;
}

/** A literal of `text[]`. */
export function texts(values: readonly string[]): string {
  return `array[${values.map(quoteLiteral).join(", ")}]::pg_catalog.text[]`;
}

/** The comment on an object, or on a column of it. */
export function comment(
  catalog: string,
  oid: string,
  column: string = "0",
): string {
  return `(select d.description from pg_catalog.pg_description d
    where d.objoid ${EQ} ${oid} and d.classoid ${EQ} '${`pg_catalog.${catalog}`}'::pg_catalog.regclass and d.objsubid ${EQ} ${column})`;
}

/** Members of an object by name, or null when there are none. */
export function members(
  name: string,
  value: string,
  from: string,
): string {
  return `(select pg_catalog.jsonb_object_agg(${name}, ${value}) from ${from})`;
}

/** The name of a relation; with its schema, when that is another one. */
export function relationName(oid: string, scope: SnapshotScope): string {
  return `(select case when n.nspname ${EQ} ${
    quoteLiteral(scope.schema)
  } then c.relname::pg_catalog.text else pg_catalog.concat(n.nspname, '.', c.relname) end
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid ${EQ} c.relnamespace where c.oid ${EQ} ${oid})`;
}

/** The names of columns, in the order of their numbers in an array. */
export function columnNames(relation: string, numbers: string): string {
  return `(select pg_catalog.jsonb_agg(a.attname order by u.n)
    from pg_catalog.unnest(${numbers}) with ordinality as u(number, n)
      join pg_catalog.pg_attribute a on a.attrelid ${EQ} ${relation} and a.attnum ${EQ} u.number)`;
}

/** Whether the object is no member of an extension. */
export function isOwn(catalog: string, oid: string): string {
  return `not exists (select from pg_catalog.pg_depend e where e.classid ${EQ} 'pg_catalog.${catalog}'::pg_catalog.regclass
    and e.objid ${EQ} ${oid} and e.deptype ${EQ} 'e')`;
}

/** Whether it is in the schema. */
export function inSchema(namespace: string, { schema }: SnapshotScope): string {
  return `${namespace} ${EQ} (select n.oid from pg_catalog.pg_namespace n where n.nspname ${EQ} ${
    quoteLiteral(schema)
  })`;
}

/** The collation of a column or type, when it is not that of the type it is made of. */
export function collation(given: string, usual: string): string {
  return `case when ${given} ${NE} ${usual} then
    (select k.collname::pg_catalog.text from pg_catalog.pg_collation k where k.oid ${EQ} ${given}) end`;
}

/** The options of a sequence. */
export function sequenceOptions(row: string): string {
  return object({
    type: `pg_catalog.format_type(${row}.seqtypid, null)`,
    start: `${row}.seqstart`,
    increment: `${row}.seqincrement`,
    minimum: `${row}.seqmin`,
    maximum: `${row}.seqmax`,
    cache: `${row}.seqcache`,
    cycle: flag(`${row}.seqcycle`),
  });
}
