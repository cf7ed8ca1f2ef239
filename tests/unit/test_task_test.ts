import { assertEquals } from "@std/assert";
import { readReport } from "../../scripts/dev/test_report.ts";
import {
  missingRounds,
  planRounds,
  shortFolders,
} from "../../scripts/dev/test_rounds.ts";
import { notRunLines, refusalText } from "../../scripts/dev/test_summary.ts";

const FOLDERS = ["tests/integration", "tests/fire", "tests/infra"];

const NOTHING = { programs: [], packages: [], obstacles: [], root: true };

Deno.test("planRounds() runs on the newest version, unless told otherwise", () => {
  assertEquals(planRounds(FOLDERS, { all: false }), [
    { paths: FOLDERS, versions: [18] },
  ]);
});

Deno.test("planRounds() runs all on all versions or the two ends, and faults once more without sending ahead", () => {
  assertEquals(planRounds(FOLDERS, { all: true }), [
    { paths: ["tests/integration"], versions: [15, 16, 17, 18] },
    { paths: ["tests/fire", "tests/infra"], versions: [15, 18] },
    { paths: ["tests/fire"], versions: [18], more: "--no-pipeline" },
  ]);
});

Deno.test("planRounds() runs everything on the versions that were asked for", () => {
  assertEquals(planRounds(FOLDERS, { all: false, versions: [16, 17] }), [
    { paths: FOLDERS, versions: [16, 17] },
  ]);
  assertEquals(planRounds(["tests/fire"], { all: true, versions: [16] }), [
    { paths: ["tests/fire"], versions: [16] },
    { paths: ["tests/fire"], versions: [16], more: "--no-pipeline" },
  ]);
});

Deno.test("planRounds() knows the folder of a file, and a folder with a longer name", () => {
  const paths = ["tests/integration/up_test.ts", "tests/integrations"];
  assertEquals(planRounds(paths, { all: true }), [
    { paths: ["tests/integration/up_test.ts"], versions: [15, 16, 17, 18] },
    { paths: ["tests/integrations"], versions: [15, 18] },
  ]);
});

Deno.test("planRounds() has what is said, and what waits, on the newest of several versions", () => {
  const paths = ["tests/cli", "tests/fire", "tests/outage"];
  assertEquals(planRounds(paths, { all: true }), [
    { paths: ["tests/fire"], versions: [15, 18] },
    { paths: ["tests/cli", "tests/outage"], versions: [18] },
    { paths: ["tests/fire"], versions: [18], more: "--no-pipeline" },
  ]);
});

Deno.test("shortFolders() leaves faults and losses to a run of everything", () => {
  const folders = [
    "tests/cli",
    "tests/fire",
    "tests/hostile",
    "tests/infra",
    "tests/outage",
  ];
  assertEquals(shortFolders(folders), ["tests/cli", "tests/infra"]);
  const rounds = planRounds(shortFolders(folders), { all: false });
  assertEquals(missingRounds(folders, rounds), [
    { paths: ["tests/fire", "tests/hostile"], versions: [15, 18] },
    { paths: ["tests/infra"], versions: [15] },
    { paths: ["tests/outage"], versions: [18] },
    { paths: ["tests/fire"], versions: [18], more: "--no-pipeline" },
  ]);
});

Deno.test("missingRounds() is what a run of everything has besides, and nothing for that run", () => {
  const rounds = planRounds(FOLDERS, { all: false });
  assertEquals(missingRounds(FOLDERS, rounds), [
    { paths: ["tests/integration"], versions: [15, 16, 17] },
    { paths: ["tests/fire", "tests/infra"], versions: [15] },
    { paths: ["tests/fire"], versions: [18], more: "--no-pipeline" },
  ]);
  assertEquals(
    missingRounds(FOLDERS, planRounds(FOLDERS, { all: true })),
    [],
  );
  const local = planRounds(["tests/local"], { all: false });
  assertEquals(missingRounds(["tests/local"], local), []);
});

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="5" failures="1" errors="0" time="0.010">
    <testsuite name="./tests/integration/a_test.ts" tests="5" disabled="3" errors="0" failures="1">
        <testcase name="passes (needs nerves)" classname="./tests/integration/a_test.ts" time="0.001" line="1" col="6">
        </testcase>
        <testcase name="fails" classname="./tests/integration/a_test.ts" time="0.001" line="2" col="6">
            <failure message="Uncaught &lt;no&gt;
&#10;two">no
    at file:///here.ts:1:30
Caused by: Error: &lt;why&gt;
    at file:///there.ts:1:58</failure>
        </testcase>
        <testcase name="asks [pg18] (needs pgbouncer, openssl)" classname="./tests/support/postgres.ts" time="0.000" line="3" col="6">
            <skipped/>
        </testcase>
        <testcase name="is kept out by the filter" classname="./tests/integration/a_test.ts" line="4" col="6">
            <skipped/>
        </testcase>
        IGNORED
    </testsuite>
</testsuites>
`;

const FAILURE = [
  "./tests/integration/a_test.ts: fails",
  "  Uncaught <no>",
  "",
  "  two",
  "  Caused by: Error: <why>",
  "      at file:///there.ts:1:58",
].join("\n");

Deno.test("readReport() counts, and tells what was left out because of its needs", () => {
  assertEquals(readReport(REPORT), {
    passed: 1,
    failed: 1,
    failures: [FAILURE],
    leftOut: ["pgbouncer, openssl"],
    ignored: [],
  });
});

Deno.test("readReport() counts a test that is ignored without a word as failed", () => {
  const ignored =
    '<testcase name="ignored" classname="./tests/integration/a_test.ts" time="0.000" line="5" col="6">\n<skipped/></testcase>';
  assertEquals(readReport(REPORT.replace("IGNORED", ignored)), {
    passed: 1,
    failed: 2,
    failures: [FAILURE],
    leftOut: ["pgbouncer, openssl"],
    ignored: ["ignored"],
  });
});

Deno.test("notRunLines() says nothing when nothing was left out", () => {
  assertEquals(
    notRunLines({
      leftOut: [],
      rounds: [],
      missing: NOTHING,
      command: "deno task test --all",
    }),
    [],
  );
});

Deno.test("notRunLines() counts tests by what they need, the rounds, and the way to all of it", () => {
  assertEquals(
    notRunLines({
      leftOut: ["pgbouncer", "podman, openssl", "pgbouncer"],
      rounds: [
        { paths: ["tests/integration"], versions: [16, 17] },
        { paths: ["tests/fire"], versions: [18], more: "--no-pipeline" },
      ],
      missing: {
        programs: ["pgbouncer", "podman"],
        packages: ["pgbouncer", "podman"],
        obstacles: ["you are not root"],
        root: false,
      },
      command: "npx -y deno@2.9.6 task test --all",
    }).join("\n"),
    `\
Not run:
  2 tests need pgbouncer
  1 test needs podman, openssl
  on PostgreSQL 16, 17: tests/integration
  on PostgreSQL 18 with --no-pipeline: tests/fire
To run everything: npx -y deno@2.9.6 task test --all
  first: sudo sh -c 'apt-get update && apt-get install --yes --no-install-recommends pgbouncer podman'
  in the way: you are not root`,
  );
});

Deno.test("refusalText() names all that is missing, and how to install it", () => {
  assertEquals(refusalText(NOTHING), undefined);
  assertEquals(
    refusalText({ ...NOTHING, obstacles: ["you are not root"] }),
    "Cannot run all tests: you are not root",
  );
  assertEquals(
    refusalText({
      programs: ["unzip", "ip"],
      packages: ["iproute2", "unzip"],
      obstacles: ["git knows no commit of this folder"],
      root: true,
    }),
    `\
Cannot run all tests: there is no unzip, ip; git knows no commit of this folder
  first: apt-get update && apt-get install --yes --no-install-recommends iproute2 unzip`,
  );
});
