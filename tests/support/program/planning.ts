/**
 * Migrations and history rows as values, for the tests of the planner.
 *
 * @module
 */
import type { HistoryRow } from "../../../src/plan/history.ts";
import type { Migration } from "../../../src/plan/migration.ts";
import type { Step } from "../../../src/plan/plan.ts";

/** A transactional migration with a `down`, whose checksum is made from its name. */
export function migration(
  name: string,
  options: Partial<Omit<Migration, "down">> & { irreversible?: boolean } = {},
): Migration {
  const { irreversible = false, ...rest } = options;
  return {
    name,
    checksum: checksumOf(name),
    transaction: true,
    idempotent: false,
    phase: "pre",
    up: () => Promise.resolve(),
    ...(!irreversible && { down: () => Promise.resolve() }),
    ...rest,
  };
}

/** The row of a migration that is applied as {@link migration} makes it. */
export function row(
  id: number,
  name: string,
  options: Partial<HistoryRow> = {},
): HistoryRow {
  return {
    id,
    name,
    checksum: checksumOf(name),
    status: "applied",
    finishedAt: "2026-01-05T09:00:00+00:00",
    durationMs: 12,
    appliedBy: "migrator",
    error: null,
    rollingBack: false,
    ...options,
  };
}

/** The history after the steps have run and were written to it. */
export function play(
  history: readonly HistoryRow[],
  steps: readonly Step[],
): readonly HistoryRow[] {
  let rows = [...history];
  for (const { direction, migration } of steps) {
    const { name, checksum } = migration;
    if (direction === "up") {
      const id = Math.max(0, ...rows.map((row) => row.id)) + 1;
      rows.push(row(id, name, { checksum }));
      continue;
    }
    rows = rows.map((row) =>
      row.name === name &&
        (row.status === "applied" || row.status === "baseline")
        ? { ...row, status: "rolled_back" }
        : row
    );
  }
  return rows;
}

function checksumOf(name: string): string {
  return `${name}-checksum-of-the-source`;
}
