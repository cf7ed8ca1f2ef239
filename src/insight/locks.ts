/**
 * Locks on tables: which is stronger, and what each keeps others from.
 *
 * @module
 */

/** The modes of a lock on a table, the weakest first (https://www.postgresql.org/docs/current/explicit-locking.html). */
export const LOCK_MODES = [
  "AccessShare",
  "RowShare",
  "RowExclusive",
  "ShareUpdateExclusive",
  "Share",
  "ShareRowExclusive",
  "Exclusive",
  "AccessExclusive",
] as const;

export type LockMode = typeof LOCK_MODES[number];

/** Whether one mode is stronger than another, or there is no other. */
export function isStronger(
  mode: LockMode,
  other: LockMode | undefined,
): boolean {
  return other === undefined ||
    LOCK_MODES.indexOf(mode) > LOCK_MODES.indexOf(other);
}

/** What others cannot do meanwhile. */
export type Blocks = "reads and writes" | "writes" | "definitions";

/** What nobody else can do while it is held; nothing for what stands in nobody's way but a definition's. */
export function blocksOf(mode: LockMode): Blocks | undefined {
  switch (mode) {
    case "AccessExclusive":
      return "reads and writes";
    case "Exclusive":
    case "ShareRowExclusive":
    case "Share":
      return "writes";
    case "ShareUpdateExclusive":
      return "definitions";
    default:
      return undefined;
  }
}

/** For each mode, from the weakest, the weakest that it conflicts with: with all that are stronger it does, too. */
const CONFLICTS_FROM: readonly number[] = [7, 6, 4, 3, 2, 2, 1, 0];

/** Whether two modes cannot be held together (https://www.postgresql.org/docs/current/explicit-locking.html). */
export function conflicts(one: LockMode, other: LockMode): boolean {
  // Share goes together with itself.
  if (one === "Share" && other === "Share") return false;
  return LOCK_MODES.indexOf(other) >= CONFLICTS_FROM[LOCK_MODES.indexOf(one)]!;
}
