// deno-lint-ignore-file no-console -- a process of its own: its output is its answer
/**
 * Plans once, in a process that has done nothing before: `planning_main.ts COUNT` prints the milliseconds of processor time.
 *
 * Half of the migrations are applied, half are pending.
 *
 * @module
 */
import process from "node:process";
import type { HistoryRow } from "../../src/plan/history.ts";
import type { Migration } from "../../src/plan/migration.ts";
import { planUp } from "../../src/plan/plan.ts";

const count = Number(Deno.args[0]);
const checksum = "0".repeat(64);

const names: string[] = texts((i) => `${20240101000000 + i}_migration`);
const migrations = names.map((name): Migration => ({
  name,
  checksum,
  transaction: true,
  idempotent: false,
  phase: "pre",
  up: () => Promise.resolve(),
}));

const history = texts((i) => names[i]!).slice(0, count / 2).map((
  name,
  i,
): HistoryRow => ({
  id: i + 1,
  name,
  checksum,
  status: "applied",
  finishedAt: "2026-01-01T00:00:00+00:00",
  durationMs: 1,
  appliedBy: "migrator",
  error: null,
  rollingBack: false,
}));

const start = process.cpuUsage();
const planned = planUp(migrations, history);
const { user, system } = process.cpuUsage(start);
if (!planned.ok || planned.plan.steps.length !== count - history.length) {
  throw new Error("The plan is not what it should be");
}
console.log((user + system) / 1_000);

/** Texts as they are read from somewhere: each in one piece, none shared. */
function texts(make: (i: number) => string): string[] {
  return JSON.parse(
    JSON.stringify(Array.from({ length: count }, (_, i) => make(i))),
  );
}
