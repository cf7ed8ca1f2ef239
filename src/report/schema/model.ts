/**
 * The bodies of recorded objects by their parts, for those who print them.
 *
 * @module
 */
import type { Json } from "../../insight/recording.ts";
import { splitIdentity } from "../../insight/snapshot.ts";

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly notNull?: boolean | "not valid";
  readonly default?: string;
  readonly generated?: string;
  readonly identity?: "always" | "by default";
  readonly comment?: string;
}

export interface Constraint {
  readonly name: string;
  readonly type: "primary key" | "unique" | "foreign key" | "check" | "exclude";
  readonly columns?: readonly string[];
  readonly references?: string;
  readonly referencedColumns?: readonly string[];
  readonly onDelete?: string;
  readonly onUpdate?: string;
  readonly expression?: string;
  readonly index?: { readonly definition: string };
}

/** A table or a view. */
export interface Relation {
  readonly type: string;
  readonly name: string;
  readonly comment?: string;
  readonly columns: readonly Column[];
  readonly constraints: readonly Constraint[];
  readonly indexes: readonly Named[];
  readonly triggers: readonly Named[];
  readonly policies: readonly { readonly name: string }[];
  /** Of a view. */
  readonly definition?: string;
  /** The tables that it is a partition of, or inherits. */
  readonly parents: readonly string[];
  readonly partitionKey?: string;
}

export interface Named {
  readonly name: string;
  readonly definition: string;
}

/** An object that is no relation. */
export interface Other {
  readonly type: string;
  readonly name: string;
  readonly body: Readonly<Record<string, Json>>;
}

/** The objects of a schema, each kind by name. */
export interface SchemaModel {
  /** The migration that made the last of it; `null` for an empty schema. */
  readonly migration: string | null;
  readonly relations: readonly Relation[];
  readonly others: readonly Other[];
}

const RELATIONS = ["table", "view", "materialized view"];

/** Reads the bodies of a schema's objects, by identity. */
export function schemaModel(
  migration: string | null,
  objects: ReadonlyMap<string, Json>,
): SchemaModel {
  const all = [...objects].map(([identity, body]) => {
    const [type, name] = splitIdentity(identity);
    return { type, name, body: body as Readonly<Record<string, Json>> };
  }).sort((a, b) => a.name < b.name ? -1 : 1);
  return {
    migration,
    relations: all.filter(({ type }) => RELATIONS.includes(type)).map(
      relationOf,
    ),
    others: all.filter(({ type }) => !RELATIONS.includes(type)),
  };
}

function relationOf({ type, name, body }: Other): Relation {
  const { comment, definition, partitionKey, parents = [], order } = body;
  const columns = named<Column>(body.columns);
  const places = (order ?? []) as readonly string[];
  return {
    type,
    name,
    ...(typeof comment === "string" && { comment }),
    ...(typeof definition === "string" && { definition }),
    ...(typeof partitionKey === "string" && { partitionKey }),
    parents: parents as readonly string[],
    columns: columns.sort((a, b) =>
      places.indexOf(a.name) - places.indexOf(b.name)
    ),
    constraints: named<Constraint>(body.constraints),
    indexes: named<Named>(body.indexes),
    triggers: named<Named>(body.triggers),
    policies: named(body.policies),
  };
}

function named<T>(members: Json | undefined): T[] {
  return Object.entries(members ?? {}).sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, value]) => ({ name, ...value }) as T);
}
