/**
 * (What was seen before and after a statement, and what the server said meanwhile) → its footprint. No I/O.
 *
 * @module
 */
import {
  type Build,
  type ColumnChange,
  type DdlObject,
  type Dropped,
  type Footprint,
  type StatementFootprint,
  type WrittenRows,
} from "../../src/insight/footprint.ts";
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
interface Column {
  readonly table: number;
  readonly number: number;
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  /** New rows get a value by themselves; so do the old ones when it is added. */
  readonly filled: boolean;
}

/** A foreign key. */
interface ForeignKey {
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
interface Counts {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Reads of the whole table, and by an index. */
  readonly scans: number;
  readonly lookups: number;
}

/** What the server has said while a statement ran. */
export class Said {
  readonly messages: string[] = [];
  readonly commands: (DdlObject & { readonly tag: string })[] = [];
  readonly drops: (DdlObject & { readonly original: boolean })[] = [];
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

/** All that is known of a statement that has ended. */
export interface Observation {
  readonly head: Pick<StatementFootprint, "sql" | "parameters" | "verb">;
  /** It could not run in a transaction. */
  readonly outside: boolean;
  /** What there was before the migration. */
  readonly start: Relations;
  readonly before: Seen;
  readonly after: Seen;
  readonly said: Said;
  /** The schema that names are written without. */
  readonly schema: string;
}

const TABLES: readonly string[] = ["r", "p", "m"];

/**
 * What builds, drops or cleans outside a transaction lets others read and write; so the manual says ("Explicit Locking"), since
 * its locks are gone when it ends.
 */
const LOCK_OUTSIDE: LockMode = "ShareUpdateExclusive";

const READING: readonly string[] = [
  "select",
  "with",
  "table",
  "execute",
  "fetch",
];

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

/** The footprint of a statement, and the tables whose rows its migration has read with it. */
export function readFootprint(
  observation: Observation,
): {
  readonly footprint: StatementFootprint;
  readonly readsData: readonly string[];
} {
  const { head, outside, start, before, after, said } = observation;
  // A table is called as it was before the migration: so it is called where the migration will run.
  const known: Relations = new Map([
    ...after.relations,
    ...before.relations,
    ...start,
  ]);
  const nameOf = (id: number) => nameIn(known, id, observation.schema);
  const old = (ids: Iterable<number>) =>
    [...new Set(ids)].filter((id) => isTable(start.get(id))).map(nameOf)
      .sort();
  const counts = countsOf(before, after);
  const builds = buildsOf(observation);
  const locks = outside
    ? locksOutside(observation, builds)
    : newLocks(before, after, start);
  const object = (one: DdlObject) => shortened(one, observation.schema);
  const commands = said.commands.map(({ tag, ...rest }) => ({
    made: tag.startsWith("CREATE"),
    ...object(rest),
  }));
  const footprint: StatementFootprint = {
    ...head,
    ...(outside && { outside }),
    ...filled(
      "locks",
      record([...locks].map(([id, mode]) => [nameOf(id), mode])),
    ),
    ...filled(
      "verifies",
      old(idsSaid(observation, /^verifying table "(.*)"$/)),
    ),
    ...filled("rewrites", old(rewritten(observation))),
    ...filled(
      "builds",
      builds.map(({ index, table, unique }): Build => ({
        index,
        table: nameOf(table),
        ...(unique && { unique }),
      })).toSorted((a, b) => compare(a.index, b.index)),
    ),
    ...filled(
      "validates",
      textsSaid(said, /^validating foreign key constraint "(.*)"$/),
    ),
    ...filled(
      "proven",
      textsSaid(
        said,
        /^(.* (?:are sufficient to prove|is implied by existing constraints).*)$/,
      ),
    ),
    ...filled(
      "scans",
      old([...counts].flatMap(([id, { scans }]) => scans > 0 ? [id] : [])),
    ),
    ...filled(
      "rows",
      record([...counts].flatMap(([id, one]) => {
        const rows = writtenRows(one);
        return known.has(id) && Object.keys(rows).length > 0
          ? [[nameOf(id), rows]]
          : [];
      })),
    ),
    ...filled("changes", old(changedTables(observation, counts))),
    ...filled("columns", columnChanges(observation, nameOf)),
    ...filled(
      "enums",
      [...after.enums].flatMap(([name, count]) =>
        count > (before.enums.get(name) ?? count) ? [name] : []
      ).sort(),
    ),
    ...filled("renames", renamesOf(observation)),
    ...filled(
      "creates",
      commands.filter(({ made }) => made).map(object).sort(byObject),
    ),
    ...filled(
      "alters",
      commands.filter(({ made }) => !made).map(object).sort(byObject),
    ),
    ...filled(
      "drops",
      droppedOf(said).map((one): Dropped => ({
        ...object(one),
        ...(!one.original && { cascade: true }),
      })).sort(byObject),
    ),
  };
  const read = READING.includes(head.verb)
    ? [...counts].flatMap(([id, { scans, lookups }]) =>
      scans + lookups > 0 ? [id] : []
    )
    : [];
  return { footprint, readsData: old(read) };
}

/** What a migration has made, from what there was before it and after. */
export function madeBy(
  start: Seen,
  end: Seen,
  messages: readonly string[],
  schema: string,
): Pick<Footprint, "intKeys" | "zoneless" | "unindexed" | "cutNames"> {
  const nameOf = (id: number) => nameIn(end.relations, id, schema);
  const fresh = [...end.columns].filter(([at, { type }]) =>
    start.columns.get(at)?.type !== type
  ).map(([, column]) => column);
  const indexes = [...end.relations.values()].filter(({ columns }) =>
    columns !== null
  );
  const isKey = ({ table, number }: Column) =>
    indexes.some((index) =>
      index.table === table && index.primary === true &&
      index.columns!.length === 1 && index.columns![0] === number
    );
  const isIndexed = ({ table, columns }: ForeignKey) =>
    indexes.some((index) =>
      index.table === table &&
      columns.every((column) =>
        index.columns!.slice(0, columns.length).includes(column)
      )
    );
  const had = new Set(start.keys.map(({ table, name }) => `${table} ${name}`));
  const place = ({ table, name }: { table: number; name: string }) =>
    `${nameOf(table)}.${name}`;
  return {
    ...filled(
      "intKeys",
      fresh.filter((one) => INTS.includes(one.type) && isKey(one)).map(place)
        .sort(),
    ),
    ...filled(
      "zoneless",
      fresh.filter(({ type }) =>
        /^timestamp(\(\d\))? without time zone$/.test(type)
      )
        .map(place).sort(),
    ),
    ...filled(
      "unindexed",
      end.keys.filter((key) =>
        !had.has(`${key.table} ${key.name}`) && !isIndexed(key)
      )
        .map(place).sort(),
    ),
    ...filled(
      "cutNames",
      messages.flatMap((message) =>
        /^identifier "(.*)" will be truncated to ".*"$/.exec(message)?.slice(
          1,
        ) ?? []
      ).sort(),
    ),
  };
}

const INTS: readonly string[] = ["integer", "smallint"];

/** Statements that change rows. */
const CHANGING: readonly string[] = [
  "update",
  "delete",
  "merge",
  "with",
  "do",
  "call",
];

/** Tables whose rows it changes, as far as the tables of a recording have none: locked to be written, and read. */
function changedTables(
  { head, before, after, start }: Observation,
  counts: ReadonlyMap<number, Counts>,
): number[] {
  if (!CHANGING.includes(head.verb)) return [];
  const held = locksOf(before, start);
  return [...locksOf(after, start)].flatMap(([id, mode]) => {
    const { scans = 0, lookups = 0, updated = 0, deleted = 0 } =
      counts.get(id) ?? {};
    const isNew = mode === "RowExclusive" && isStronger(mode, held.get(id));
    const isVerb = head.verb !== "with" && head.verb !== "do" &&
      head.verb !== "call";
    const mayWrite = isStronger(mode, "RowShare") && (isNew || isVerb);
    return mayWrite && scans + lookups + updated + deleted > 0 ? [id] : [];
  });
}

function columnChanges(
  { before, after, start }: Observation,
  nameOf: (id: number) => string,
): ColumnChange[] {
  return [...after.columns].flatMap(([at, now]): ColumnChange[] => {
    const { table, name, type } = now;
    if (!isTable(start.get(table))) return [];
    const was = before.columns.get(at);
    const place = { table: nameOf(table), column: was?.name ?? name };
    if (was === undefined) {
      const unfilled = now.required && !now.filled;
      return [{
        ...place,
        change: "added",
        to: type,
        ...(unfilled && { unfilled }),
      }];
    }
    return [
      ...(was.name !== name
        ? [{ ...place, change: "renamed" as const, to: name }]
        : []),
      ...(was.type !== type
        ? [{ ...place, change: "retyped" as const, to: type }]
        : []),
      ...(now.required && !was.required
        ? [{ ...place, change: "required" as const, to: type }]
        : []),
    ];
  }).sort((a, b) => compare(a.table, b.table) || compare(a.column, b.column));
}

function isTable(relation: Relation | undefined): boolean {
  return relation !== undefined && TABLES.includes(relation.kind);
}

function nameIn(relations: Relations, id: number, home: string): string {
  const { schema, name } = relations.get(id)!;
  return schema === home ? name : `${schema}.${name}`;
}

function newLocks(
  before: Seen,
  after: Seen,
  start: Relations,
): Map<number, LockMode> {
  const held = locksOf(before, start);
  return new Map(
    [...locksOf(after, start)].filter(([id, mode]) =>
      isStronger(mode, held.get(id))
    ),
  );
}

/** The tables whose indexes were built or dropped while nobody was held up. */
function locksOutside(
  { start, before, said }: Observation,
  builds: readonly { readonly table: number }[],
): Map<number, LockMode> {
  const dropped = [...before.relations.values()].flatMap((one) =>
    one.table !== null &&
      said.drops.some(({ object }) => object === `${one.schema}.${one.name}`)
      ? [one.table]
      : []
  );
  return new Map(
    [...builds.map(({ table }) => table), ...dropped]
      .filter((id) => isTable(start.get(id)))
      .map((id) => [id, LOCK_OUTSIDE]),
  );
}

/** Indexes that were built on tables that were there before. */
function buildsOf(
  { said, start, after, before }: Observation,
): { index: string; table: number; unique: boolean }[] {
  return said.messages.flatMap((message) => {
    const [, index, table] =
      /^building index "(.*)" on table "(.*)" (?:serially|with request for)/
        .exec(message) ?? [];
    if (index === undefined || table === undefined) return [];
    const built = [...after.relations.values()].find(({ name, table: of }) =>
      name === index && of !== null &&
      (before.relations.get(of) ?? after.relations.get(of))?.name === table
    );
    // The index of a table that is written anew has a passing name.
    const id = built?.table ?? idOf(before.relations, table);
    return id !== undefined && id !== null && isTable(start.get(id))
      ? [{ index, table: id, unique: built?.unique === true }]
      : [];
  });
}

/** What was dropped; the parts of what goes are no news. */
function droppedOf({ drops }: Said): Said["drops"] {
  return drops.filter(({ object }) =>
    !drops.some((whole) => object.endsWith(` on ${whole.object}`))
  );
}

/** Tables that have another file: TRUNCATE, CLUSTER and the like say nothing. */
function rewritten(observation: Observation): number[] {
  const { before, after, said } = observation;
  const changed = [...before.relations.values()].filter(({ id, file }) => {
    const now = after.relations.get(id);
    return now !== undefined && now.file !== file;
  });
  return [
    ...said.rewrites,
    ...idsSaid(observation, /^rewriting table "(.*)"$/),
    ...changed.map(({ id }) => id),
  ];
}

/** What tables are called now that were called differently before the statement. */
function renamesOf(
  { before, after, start, schema }: Observation,
): Record<string, string> {
  return record(
    [...before.relations.keys()].flatMap((id) => {
      if (!isTable(start.get(id)) || !after.relations.has(id)) return [];
      const [was, is] = [before, after].map(({ relations }) =>
        nameIn(relations, id, schema)
      );
      return was === is ? [] : [[was!, is!]];
    }),
  );
}

/** The tables that a message of the server names, without their schemas: the one that is locked is meant. */
function idsSaid(
  { said, before, after }: Observation,
  pattern: RegExp,
): number[] {
  const locked = new Map(
    after.locks.flatMap(([id]) => {
      const relation = before.relations.get(id) ?? after.relations.get(id);
      return relation === undefined ? [] : [[id, relation] as const];
    }),
  );
  return textsSaid(said, pattern).flatMap((name) =>
    idOf(locked, name) ?? idOf(before.relations, name) ?? []
  );
}

function idOf(relations: Relations, name: string): number | undefined {
  return [...relations.values()].find((one) =>
    one.name === name && isTable(one)
  )
    ?.id;
}

function textsSaid({ messages }: Said, pattern: RegExp): string[] {
  return messages.flatMap((message) => pattern.exec(message)?.slice(1, 2) ?? [])
    .sort();
}

function countsOf(before: Seen, after: Seen): Map<number, Counts> {
  const none: Counts = {
    inserted: 0,
    updated: 0,
    deleted: 0,
    scans: 0,
    lookups: 0,
  };
  return new Map([...after.counts].map(([id, now]) => {
    const then = before.counts.get(id) ?? none;
    return [id, {
      inserted: now.inserted - then.inserted,
      updated: now.updated - then.updated,
      deleted: now.deleted - then.deleted,
      scans: now.scans - then.scans,
      lookups: now.lookups - then.lookups,
    }];
  }));
}

function writtenRows({ inserted, updated, deleted }: Counts): WrittenRows {
  return {
    ...(inserted > 0 && { inserted }),
    ...(updated > 0 && { updated }),
    ...(deleted > 0 && { deleted }),
  };
}

function shortened({ type, object }: DdlObject, schema: string): DdlObject {
  const prefix = new RegExp(`(^|[ (,])${RegExp.escape(schema)}\\.`, "g");
  return { type, object: object.replaceAll(prefix, "$1") };
}

/** Nothing where it is empty, as most is of most statements. */
function filled<K extends string, T extends object>(
  key: K,
  value: T,
): { [P in K]?: T } {
  return Object.keys(value).length === 0
    ? {}
    : { [key]: value } as { [P in K]: T };
}

function record<T>(
  entries: readonly (readonly [string, T])[],
): Record<string, T> {
  return Object.fromEntries(entries.toSorted(([a], [b]) => compare(a, b)));
}

function byObject(a: DdlObject, b: DdlObject): number {
  return compare(a.type, b.type) || compare(a.object, b.object);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
