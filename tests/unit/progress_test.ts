import { assertEquals } from "@std/assert";
import { progressOf } from "../../src/postgres/progress.ts";

Deno.test("progressOf() reads what each view counts", () => {
  const read = (view: string, progress: Record<string, unknown>) => {
    const { phase, percent, tuplesDone } = progressOf({ view, progress })!;
    return [phase, percent, tuplesDone];
  };
  assertEquals(
    read("copy", {
      command: "COPY FROM",
      bytes_processed: 131_072,
      bytes_total: 400_000,
      tuples_processed: 12_000,
    }),
    ["COPY FROM", 32, 12_000],
  );
  const heap = { heap_blks_total: 200, heap_blks_scanned: 50 };
  assertEquals(
    read("cluster", {
      ...heap,
      phase: "seq scanning heap",
      heap_tuples_scanned: 900,
      heap_tuples_written: 890,
    }),
    ["seq scanning heap", 25, 900],
  );
  assertEquals(
    read("cluster", { ...heap, phase: "rebuilding index" }),
    ["rebuilding index", undefined, 0],
  );
  const vacuum = { ...heap, heap_blks_vacuumed: 150 };
  assertEquals(
    ["scanning heap", "vacuuming indexes", "vacuuming heap", "truncating heap"]
      .map((phase) => read("vacuum", { ...vacuum, phase })[1]),
    [25, undefined, 75, undefined],
  );
  assertEquals(
    read("vacuum", {
      phase: "vacuuming indexes",
      indexes_processed: 1,
      indexes_total: 3,
    }),
    ["vacuuming indexes", 33, 0],
  );
  assertEquals(
    read("analyze", {
      phase: "acquiring inherited sample rows",
      sample_blks_scanned: 300,
      sample_blks_total: 299,
    }),
    ["acquiring inherited sample rows", 100, 0],
  );
});

Deno.test("progressOf() says nothing where the server says nothing", () => {
  assertEquals(progressOf(undefined), undefined);
  assertEquals(progressOf({ view: null, progress: null }), undefined);
  assertEquals(
    progressOf({ view: "vacuum", progress: { pid: 1, phase: null } }),
    undefined,
  );
});
