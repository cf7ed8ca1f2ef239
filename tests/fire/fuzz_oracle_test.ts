/** The judge of the random faults at work: it finds what is planted. */
import { assertRejects } from "@std/assert";
import {
  type FuzzRun,
  fuzzStage,
  type Tamper,
} from "../support/program/fuzz.ts";
import { queryUrl, testServers } from "../support/server/postgres.ts";

const UP: FuzzRun = {
  number: 0,
  start: "two are applied",
  command: ["up"],
  json: false,
  fault: { kind: "none" },
};

const DOWN: FuzzRun = { ...UP, command: ["down", "--yes"] };

const REPAIR: FuzzRun = {
  ...UP,
  start: "one is edited",
  command: ["repair", "--accept-checksum=0002_b"],
};

/** Changes the database behind the program's back. */
const sql = (text: string): Tamper => async (url, result) => {
  await queryUrl(url, text);
  return result;
};

/** Changes what the program has said. */
const said = (
  change: (text: string) => string,
  stream: "stdout" | "stderr" = "stdout",
): Tamper =>
(_, result) => Promise.resolve({ ...result, [stream]: change(result[stream]) });

const PLANTED: readonly [string, FuzzRun, Tamper][] = [
  [
    "a row that is gone",
    UP,
    sql("delete from migration_history where name = '0004_d'"),
  ],
  [
    "a row too many",
    DOWN,
    sql(
      "update migration_history set status = 'applied', rolled_back_at = null where name = '0002_b'",
    ),
  ],
  ["a table that is gone", UP, sql("drop table d")],
  ["a table that is left", DOWN, sql("create table b ()")],
  [
    "half of a transaction",
    UP,
    sql("drop table d; delete from migration_history where name = '0004_d'"),
  ],
  [
    "a step that is kept back",
    UP,
    said((text) => text.replace(/^Applied 0004_d.*\n/m, "")),
  ],
  [
    "a step that was not done",
    DOWN,
    said((text) => `${text}Rolled back 0001_a (1 ms)\n`),
  ],
  [
    "nothing was changed",
    UP,
    said((text) => `${text}nothing was changed\n`, "stderr"),
  ],
  [
    "a stack trace",
    UP,
    said((text) => `${text}error: Uncaught (in promise)\n`, "stderr"),
  ],
  [
    "a failure for success",
    UP,
    (_, result) => Promise.resolve({ ...result, code: 1 }),
  ],
  [
    "an exit code of a signal",
    UP,
    (_, result) => Promise.resolve({ ...result, code: 143 }),
  ],
  ["a repair that is kept back", REPAIR, said(() => "")],
  [
    "a repair that was not done",
    REPAIR,
    sql("update migration_history set checksum = 'x' where name = '0002_b'"),
  ],
];

for (const { version, url } of testServers()) {
  Deno.test(`what is planted is found by the judge of the random faults [pg${version}]`, async () => {
    await using stage = await fuzzStage(url);
    for (const run of [UP, DOWN, REPAIR]) await stage.run(run);
    for (const [name, run, tamper] of PLANTED) {
      await assertRejects(() => stage.run(run, tamper), Error, "Run 0", name);
    }
  });
}
