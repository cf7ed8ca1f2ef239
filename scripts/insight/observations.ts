/**
 * (What was seen before and after a statement, and what the server said meanwhile) → its footprint. No I/O.
 *
 * @module
 */
import type {
  Build,
  DdlObject,
  Dropped,
  StatementFootprint,
  WrittenRows,
} from "../../src/insight/footprint.ts";
import { isStronger, type LockMode } from "../../src/insight/locks.ts";
import { changedTables, columnChanges, type Observation } from "./changes.ts";
import {
  compare,
  type Counts,
  filled,
  isTable,
  locksOf,
  nameIn,
  type Relations,
  type Said,
  type SaidObject,
  type Seen,
} from "./seen.ts";

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
  const object = (one: SaidObject) => shortened(one, observation.schema);
  const commands = (isCreate: boolean) =>
    said.commands.filter(({ tag }) => tag.startsWith("CREATE") === isCreate)
      .map(object).sort(byObject);
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
    ...filled("creates", commands(true)),
    ...filled("alters", commands(false)),
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
      said.drops.some(({ parts }) =>
        parts?.join(".") === `${one.schema}.${one.name}`
      )
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

function shortened(
  { type, object, parts }: SaidObject,
  schema: string,
): DdlObject {
  if (parts !== null) {
    const [first, ...rest] = parts;
    return { type, object: (first === schema ? rest : parts).join(".") };
  }
  const prefix = new RegExp(`(^|[ (,])${RegExp.escape(schema)}\\.`, "g");
  return { type, object: object.replaceAll(prefix, "$1") };
}

function record<T>(
  entries: readonly (readonly [string, T])[],
): Record<string, T> {
  return Object.fromEntries(entries.toSorted(([a], [b]) => compare(a, b)));
}

function byObject(a: DdlObject, b: DdlObject): number {
  return compare(a.type, b.type) || compare(a.object, b.object);
}
