/**
 * What a probe saw of a database, and what the server said by itself.
 *
 * @module
 */
import type { DdlObject } from "../../src/insight/footprint.ts";
import { isStronger, type LockMode } from "../../src/insight/locks.ts";
import { MARK } from "./tracer_sql.ts";

/** A table or an index, as a probe saw it. */
export interface Relation {
  readonly id: number;
  readonly schema: string;
  readonly name: string;
  /** As `pg_class.relkind`. */
  readonly kind: string;
  readonly file: number | null;
  /** Of an index. */
  readonly table: number | null;
  readonly unique: boolean | null;
  readonly primary: boolean | null;
  /** Of an index: the numbers of its columns. */
  readonly columns: readonly number[] | null;
}

/** A column of a table. */
export interface Column {
  readonly table: number;
  readonly number: number;
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  /** New rows get a value by themselves; so do the old ones when it is added. */
  readonly filled: boolean;
}

/** A foreign key. */
export interface ForeignKey {
  readonly table: number;
  readonly name: string;
  readonly columns: readonly number[];
}

export type Relations = ReadonlyMap<number, Relation>;

/** What a probe saw. */
export interface Seen {
  readonly locks: readonly (readonly [id: number, mode: string])[];
  readonly relations: Relations;
  readonly counts: ReadonlyMap<number, Counts>;
  /** By `table number`. */
  readonly columns: ReadonlyMap<string, Column>;
  readonly keys: readonly ForeignKey[];
  /** Enum type → how many values it has. */
  readonly enums: ReadonlyMap<string, number>;
}

/** Of a table in the transaction so far. */
export interface Counts {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Reads of the whole table, and by an index. */
  readonly scans: number;
  readonly lookups: number;
}

/** An object as the event triggers have it: `object` as it is written in SQL. */
export interface SaidObject extends DdlObject {
  /** The schema and what follows it, unquoted; `null` where the name is more than that. */
  readonly parts: readonly string[] | null;
}

/** What the server has said while a statement ran. */
export class Said {
  readonly messages: string[] = [];
  readonly commands: (SaidObject & { readonly tag: string })[] = [];
  readonly drops: (SaidObject & { readonly original: boolean })[] = [];
  readonly rewrites: number[] = [];

  /** Takes a message of the server, or of the event triggers. */
  take(message: string): void {
    if (!message.startsWith(MARK)) {
      this.messages.push(message);
      return;
    }
    const { commands, drops, rewrites } = JSON.parse(
      message.slice(MARK.length),
    );
    this.commands.push(...commands ?? []);
    this.drops.push(...drops ?? []);
    if (rewrites !== undefined) this.rewrites.push(rewrites);
  }
}

/** Reads the answer to the probe. */
export function readSeen(text: string): Seen {
  const { locks, relations, counts, columns, keys, enums } = JSON.parse(text);
  return {
    locks: locks ?? [],
    relations: new Map((relations ?? []).map((one: Relation) => [one.id, one])),
    counts: new Map(
      (counts ?? []).map((
        [id, inserted, updated, deleted, scans, lookups]: number[],
      ) => [id, { inserted, updated, deleted, scans, lookups }]),
    ),
    columns: new Map(
      (columns ?? []).map((
        [table, number, name, type, required, filled]: [
          number,
          number,
          string,
          string,
          boolean,
          boolean,
        ],
      ) => [`${table} ${number}`, {
        table,
        number,
        name,
        type,
        required,
        filled,
      }]),
    ),
    keys: (keys ?? []).map((
      [table, name, columns]: [number, string, number[]],
    ) => ({ table, name, columns })),
    enums: new Map(enums ?? []),
  };
}

const TABLES: readonly string[] = ["r", "p", "m"];

export function isTable(relation: Relation | undefined): boolean {
  return relation !== undefined && TABLES.includes(relation.kind);
}

export function nameIn(relations: Relations, id: number, home: string): string {
  const { schema, name } = relations.get(id)!;
  return schema === home ? name : `${schema}.${name}`;
}

/** Of tables that were there before the migration, the strongest lock on each: by their ids. */
export function locksOf(
  { locks }: Seen,
  start: Relations,
): Map<number, LockMode> {
  const strongest = new Map<number, LockMode>();
  for (const [id, name] of locks) {
    const mode = name.replace(/Lock$/, "") as LockMode;
    if (!isTable(start.get(id))) continue;
    if (isStronger(mode, strongest.get(id))) strongest.set(id, mode);
  }
  return strongest;
}

/** Nothing where it is empty, as most is of most statements. */
export function filled<K extends string, T extends object>(
  key: K,
  value: T,
): { [P in K]?: T } {
  return Object.keys(value).length === 0
    ? {}
    : { [key]: value } as { [P in K]: T };
}

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
