/**
 * Which tables of this database the tables of a recording are.
 *
 * @module
 */
import type { DatabaseFacts, TableFacts } from "./facts.ts";
import type { Footprint, StatementFootprint } from "./footprint.ts";
import type { RecordedStep } from "./forecast_values.ts";

/** The tables of a recorded run as this database has them: the migrations of the run rename them, and make new ones. */
export class Tables {
  readonly #facts: DatabaseFacts;
  /** What a table is called during the run → what it is called in this database. */
  readonly #names = new Map<string, string>();
  readonly #fresh = new Set<string>();
  readonly #gone = new Set<string>();

  constructor(facts: DatabaseFacts) {
    this.#facts = facts;
  }

  /** As it is in this database; nothing where the run makes it, or it is not there. */
  find(name: string): TableFacts | undefined {
    return this.#fresh.has(name)
      ? undefined
      : this.#facts.tables.get(this.nameOf(name));
  }

  nameOf(name: string): string {
    return this.#names.get(name) ?? name;
  }

  isFresh(name: string): boolean {
    return this.#fresh.has(name);
  }

  /** Whether the run has dropped or renamed what had this name. */
  isGone(name: string): boolean {
    return this.#gone.has(name);
  }

  /** Goes on behind a migration. */
  pass({ statements }: Footprint): void {
    for (const { renames = {}, creates = [], drops = [] } of statements) {
      for (const { object } of drops) {
        this.#fresh.delete(object);
        this.#gone.add(object);
      }
      for (const { type, object } of creates) {
        if (/^(?:table|materialized view|foreign table)$/.test(type)) {
          this.#fresh.add(object);
        }
      }
      for (const [was, is] of Object.entries(renames)) {
        this.#gone.add(was);
        if (this.#fresh.delete(was)) this.#fresh.add(is);
        else {
          this.#names.set(is, this.nameOf(was));
          this.#names.delete(was);
        }
      }
    }
  }
}

/** The names that are asked for before the run can be forecast. */
export function namesToAsk(
  steps: readonly RecordedStep[],
): { readonly tables: readonly string[]; readonly made: readonly string[] } {
  const tables = new Set<string>();
  const made = new Set<string>();
  for (const { footprint, backfill } of steps) {
    if (backfill !== undefined) tables.add(backfill);
    if (typeof footprint === "string") continue;
    for (const one of footprint.statements) {
      for (const name of namesIn(one)) tables.add(name);
      for (const { object } of one.creates ?? []) made.add(object);
    }
  }
  return { tables: [...tables].sort(), made: [...made].sort() };
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
