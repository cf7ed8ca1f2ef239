import { assertEquals } from "@std/assert";
import type { HistoryChange, HistoryRow } from "../../src/plan/history.ts";
import {
  changedIds,
  isUndoneSince,
  outcomeOf,
  type TracedRow,
} from "../../src/plan/outcome.ts";
import { row } from "../support/program/planning.ts";

function traced(
  id: number,
  name: string,
  options: Partial<TracedRow> = {},
): TracedRow {
  return { ...row(id, name), isOurs: false, isUndoneByUs: false, ...options };
}

function insert(
  name: string,
  status: "applied" | "baseline" | "failed" | "running" = "applied",
): HistoryChange {
  return {
    kind: "insert",
    name,
    checksum: name,
    status,
    startedAgoMs: 0,
    durationMs: null,
    error: null,
  };
}

/** The outcome of a change of row 1, which was like `before`, when it is like `now`. */
function changed(
  change: HistoryChange,
  before: Partial<HistoryRow>,
  now: Partial<TracedRow>,
): string {
  return outcomeOf([change], [row(1, "a", before)], [traced(1, "a", now)]);
}

Deno.test("outcomeOf() knows an application by the run that wrote its row", () => {
  const outcome = (...rows: TracedRow[]) => outcomeOf([insert("a")], [], rows);

  assertEquals(outcome(traced(1, "a", { isOurs: true })), "committed");
  assertEquals(outcome(), "rolled_back");
  // Another migrator has applied it meanwhile.
  assertEquals(outcome(traced(1, "a")), "rolled_back");
  assertEquals(outcome(traced(1, "b", { isOurs: true })), "rolled_back");
  // It was applied, and another migrator has rolled it back.
  assertEquals(
    outcome(traced(1, "a", { isOurs: true, status: "rolled_back" })),
    "committed",
  );
  // The row of a conversion that the first half of a redo has rolled back.
  assertEquals(
    outcome(traced(1, "a", {
      isOurs: true,
      isUndoneByUs: true,
      status: "rolled_back",
    })),
    "rolled_back",
  );
  assertEquals(
    outcome(traced(1, "a", { isOurs: true, status: "failed" })),
    "rolled_back",
  );
});

Deno.test("outcomeOf() knows a journal row whatever became of it, and a failure from an application", () => {
  const rows = [traced(1, "a", { isOurs: true, status: "failed" })];

  assertEquals(outcomeOf([insert("a", "running")], [], rows), "committed");
  assertEquals(outcomeOf([insert("a", "failed")], [], rows), "committed");
  assertEquals(outcomeOf([insert("a", "baseline")], [], rows), "rolled_back");
  assertEquals(
    outcomeOf([insert("a", "failed")], [], [traced(1, "a", { isOurs: true })]),
    "rolled_back",
  );
});

Deno.test("outcomeOf() knows a rollback by the run that rolled back", () => {
  const change = { kind: "roll_back", id: 1 } as const;

  assertEquals(
    changed(change, {}, { status: "rolled_back", isUndoneByUs: true }),
    "committed",
  );
  assertEquals(changed(change, {}, {}), "rolled_back");
  assertEquals(changed(change, {}, { status: "rolled_back" }), "rolled_back");
  // Outside a transaction it has begun.
  const running = { status: "running", isUndoneByUs: true } as const;
  assertEquals(changed(change, running, running), "rolled_back");
  assertEquals(
    changed({ kind: "start_rollback", id: 1 }, {}, running),
    "committed",
  );
  assertEquals(
    changed({ kind: "start_rollback", id: 1 }, {}, {}),
    "rolled_back",
  );
  assertEquals(outcomeOf([change], [row(1, "a")], []), "unknown");
});

Deno.test("outcomeOf() compares with what a row said before where a row does not say who changed it", () => {
  const mark = { kind: "mark_applied", id: 1, checksum: "new" } as const;
  const failed = { status: "failed" } as const;
  assertEquals(changed(mark, failed, {}), "committed");
  assertEquals(changed(mark, failed, failed), "rolled_back");
  assertEquals(changed(mark, failed, { status: "rolled_back" }), "unknown");

  const accept = { kind: "accept_checksum", id: 1, checksum: "new" } as const;
  const old = { checksum: "old" };
  assertEquals(changed(accept, old, { checksum: "new" }), "committed");
  assertEquals(changed(accept, old, old), "rolled_back");
  assertEquals(changed(accept, old, { checksum: "newer" }), "unknown");

  const note = { kind: "note_error", id: 1, error: "why" } as const;
  assertEquals(changed(note, {}, { error: "why" }), "committed");
  assertEquals(
    changed(note, { error: "old" }, { error: "old" }),
    "rolled_back",
  );
});

Deno.test("outcomeOf() follows the journal of a step outside a transaction", () => {
  const running = { status: "running" } as const;
  const finish = { kind: "finish", id: 1, durationMs: 1 } as const;
  assertEquals(changed(finish, running, {}), "committed");
  assertEquals(changed(finish, running, running), "rolled_back");
  // Another run has taken the step for interrupted, or repair has settled it.
  assertEquals(changed(finish, running, { status: "failed" }), "unknown");
  assertEquals(changed(finish, running, { status: "rolled_back" }), "unknown");

  const fail = {
    kind: "fail",
    id: 1,
    durationMs: null,
    error: "why",
  } as const;
  assertEquals(changed(fail, running, { status: "failed" }), "committed");
  assertEquals(changed(fail, running, running), "rolled_back");
  assertEquals(changed(fail, running, {}), "unknown");

  const cancel = {
    kind: "cancel_rollback",
    id: 1,
    status: "baseline",
  } as const;
  assertEquals(changed(cancel, running, { status: "baseline" }), "committed");
  assertEquals(changed(cancel, running, running), "rolled_back");
  assertEquals(changed(cancel, running, { status: "failed" }), "unknown");
});

Deno.test("outcomeOf() says what holds for all the changes of a transaction, and nothing when they differ", () => {
  const changes = [{ kind: "roll_back", id: 1 } as const, insert("a")];
  const before = [row(1, "a")];
  const undone = traced(1, "a", { status: "rolled_back", isUndoneByUs: true });
  const again = traced(2, "a", { isOurs: true });

  assertEquals(outcomeOf(changes, before, [undone, again]), "committed");
  assertEquals(outcomeOf(changes, before, [traced(1, "a")]), "rolled_back");
  assertEquals(outcomeOf(changes, before, [undone]), "unknown");
  assertEquals(outcomeOf([], [], []), "unknown");
});

Deno.test("isUndoneSince() tells an application that another run has rolled back", () => {
  const rows = [traced(1, "a", { isOurs: true, status: "rolled_back" })];

  assertEquals(isUndoneSince([insert("a")], rows), true);
  assertEquals(isUndoneSince([insert("b")], rows), false);
  assertEquals(
    isUndoneSince([insert("a")], [traced(1, "a", { isOurs: true })]),
    false,
  );
});

Deno.test("changedIds() names the rows that were there before", () => {
  assertEquals(
    changedIds([insert("a"), { kind: "roll_back", id: 7 }, insert("b")]),
    [7],
  );
});
