/**
 * Which tables of this database the tables of a recording are.
 *
 * @module
 */
import type { OwnRates } from "./estimate.ts";
import type { DatabaseFacts, TableFacts } from "./facts.ts";
import type { DdlObject, Footprint, StatementFootprint } from "./footprint.ts";
import type { RecordedStep } from "./forecast_values.ts";

/** `fresh`: the run makes it; `old`: it was there before, under whatever name; `gone`: there is none of this name. */
export type ColumnState = "fresh" | "old" | "gone";

/** The tables of a recorded run as this database has them: the migrations of the run rename them, and make new ones. */
export class Tables {
  readonly #facts: DatabaseFacts;
  /** What a table is called during the run → what it is called in this database. */
  readonly #names = new Map<string, string>();
  readonly #fresh = new Set<string>();
  /** Relations and types that the run, so far, has made, or dropped or renamed. */
  readonly #there = new Map<string, boolean>();
  readonly #columns = new Map<string, ColumnState>();

  constructor(facts: DatabaseFacts) {
    this.#facts = facts;
  }

  /** As it is in this database; nothing where the run makes it, or it is not there. */
  find(name: string): TableFacts | undefined {
    return this.#fresh.has(name)
      ? undefined
      : this.#facts.tables.get(this.nameOf(name));
  }

  /** The rates of this server. */
  get rates(): OwnRates | undefined {
    return this.#facts.rates;
  }

  nameOf(name: string): string {
    return this.#names.get(name) ?? name;
  }

  isFresh(name: string): boolean {
    return this.#fresh.has(name);
  }

  /** Whether there is a relation or a type of this name by now. */
  has(name: string): boolean {
    return this.#there.get(name) ?? this.#facts.taken.has(name);
  }

  /** What has become of a column by now; nothing where its table is not one of this database. */
  columnOf(table: string, column: string): ColumnState | undefined {
    const changed = this.#columns.get(this.#columnKey(table, column));
    if (changed !== undefined) return changed;
    const columns = this.find(table)?.columns;
    return columns && (columns.has(column) ? "old" : "gone");
  }

  /** Goes on behind a statement, with the names of what it has made, dropped and renamed. */
  passStatement(statement: StatementFootprint): void {
    const { renames = {}, builds = [], columns = [] } = statement;
    for (const { object } of droppedNames(statement)) {
      this.#there.set(object, false);
    }
    // What was altered is called by the name that it has afterwards.
    const made = [...statement.creates ?? [], ...statement.alters ?? []];
    for (const { object } of made) this.#there.set(object, true);
    for (const { index } of builds) this.#there.set(index, true);
    for (const [was, is] of Object.entries(renames)) {
      this.#there.set(was, false).set(is, true);
    }
    for (const { table, column, change, to } of columns) {
      const key = this.#columnKey(table, column);
      if (change === "added") this.#columns.set(key, "fresh");
      else if (change === "dropped") this.#columns.set(key, "gone");
      else if (change === "renamed") {
        const state = this.columnOf(table, column) ?? "old";
        this.#columns.set(key, "gone");
        this.#columns.set(this.#columnKey(table, to), state);
      }
    }
  }

  /** Goes on behind a migration: its statements call tables as they were called before it. */
  pass({ statements }: Footprint): void {
    for (const { renames = {}, creates = [], drops = [] } of statements) {
      for (const { object } of drops) this.#fresh.delete(object);
      for (const { type, object } of creates) {
        if (/^(?:table|materialized view|foreign table)$/.test(type)) {
          this.#fresh.add(object);
        }
      }
      for (const [was, is] of Object.entries(renames)) {
        if (this.#fresh.delete(was)) this.#fresh.add(is);
        else {
          this.#names.set(is, this.nameOf(was));
          this.#names.delete(was);
        }
      }
    }
  }

  #columnKey(table: string, column: string): string {
    return JSON.stringify([this.nameOf(table), column]);
  }
}

/** Names that a run works on: what this database has of them decides the forecast. */
export interface AskedNames {
  readonly tables: readonly string[];
  /** Of columns, whatever their table. */
  readonly columns: readonly string[];
  /** Of relations and types that it makes or drops. */
  readonly objects: readonly string[];
}

/** The names that are asked for before the run can be forecast. */
export function namesToAsk(steps: readonly RecordedStep[]): AskedNames {
  const tables = new Set<string>();
  const columns = new Set<string>();
  const objects = new Set<string>();
  for (const { footprint, backfill } of steps) {
    if (backfill !== undefined) tables.add(backfill);
    if (typeof footprint === "string") continue;
    for (const one of footprint.statements) {
      for (const name of namesIn(one)) tables.add(name);
      for (const { object } of [...one.creates ?? [], ...droppedNames(one)]) {
        objects.add(object);
      }
      for (const { column } of one.columns ?? []) columns.add(column);
    }
  }
  const sorted = (names: Set<string>) => [...names].sort();
  return {
    tables: sorted(tables),
    columns: sorted(columns),
    objects: sorted(objects),
  };
}

/** The relations and types that a statement names to drop them. */
export function droppedNames({ drops = [] }: StatementFootprint): DdlObject[] {
  return drops.filter(({ type, cascade }) =>
    !cascade &&
    /^(?:table|index|view|materialized view|foreign table|sequence|type)$/
      .test(type)
  );
}

function namesIn(one: StatementFootprint): string[] {
  return [
    ...Object.keys(one.locks ?? {}),
    ...one.verifies ?? [],
    ...one.rewrites ?? [],
    ...one.scans ?? [],
    ...one.changes ?? [],
    ...(one.builds ?? []).map(({ table }) => table),
    ...(one.columns ?? []).map(({ table }) => table),
    ...(one.drops ?? []).map(({ object }) => object),
  ];
}
