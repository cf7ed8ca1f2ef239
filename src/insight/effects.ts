/**
 * What a statement does to the tables of this database, and how long that takes.
 *
 * @module
 */
import { AT_ONCE, type Basis, sumOf, workRange } from "./estimate.ts";
import type { StatementFootprint } from "./footprint.ts";
import type { Effect, StatementForecast, Work } from "./forecast_values.ts";
import { blocksOf } from "./locks.ts";
import type { Tables } from "./tables.ts";

/** How it works on tables that this database has; what is made in the same run has no rows and no readers. */
export function effectsOf(
  statement: StatementFootprint,
  tables: Tables,
): Effect[] {
  const there = (names: readonly string[] | undefined) =>
    (names ?? []).flatMap((name) => {
      const facts = tables.find(name);
      return facts === undefined ? [] : [{ table: tables.nameOf(name), facts }];
    });
  const {
    locks = {},
    rewrites = [],
    builds = [],
    changes = [],
    verifies = [],
    scans = [],
  } = statement;
  const works = new Map<string, Effect>();
  const add = (kind: Work, names: readonly string[]) => {
    for (const { table, facts } of there([...new Set(names)])) {
      // A table is read to be written anew, or to build an index: that is one work.
      if (works.has(table) || facts.empty) continue;
      const times = kind === "builds"
        ? names.filter((name) => tables.nameOf(name) === table).length
        : 1;
      const withIndexes = kind === "rewrites" || kind === "changes";
      const bytes = times *
        (facts.bytes + (withIndexes ? facts.indexBytes : 0));
      const range = workRange(BASES[kind], bytes, tables.rates);
      // How many of the rows are changed nobody knows before.
      works.set(table, {
        kind,
        table,
        bytes,
        range: kind === "changes" ? { ...range, fromMs: 0 } : range,
      });
    }
  };
  // TRUNCATE makes a new file at once.
  if (statement.verb !== "truncate") {
    add("rewrites", rewrites);
    add("builds", builds.map(({ table }) => table));
    add("changes", changes);
    add("reads", [...verifies, ...scans]);
  }
  return [
    ...Object.entries(locks).flatMap(([name, mode]): Effect[] => {
      const blocks = blocksOf(mode);
      return blocks === undefined ? [] : there([name]).map(({ table }) => ({
        kind: "lock",
        table,
        mode,
        blocks,
      }));
    }),
    ...works.values(),
  ];
}

const BASES: Readonly<Record<Work, Basis>> = {
  rewrites: "rewrite",
  builds: "build",
  changes: "change",
  reads: "scan",
};

/** The sum of it. */
export function estimateOf(
  effects: readonly Effect[],
): StatementForecast["estimate"] {
  const works = effects.flatMap((effect) =>
    effect.kind === "lock" ? [] : [effect]
  );
  const range = sumOf([AT_ONCE, ...works.map(({ range }) => range)]);
  return {
    ...range,
    bytes: works.reduce((sum, { bytes }) => sum + bytes, 0),
    basis: [...new Set(works.map(({ kind }) => BASES[kind]))],
  };
}
