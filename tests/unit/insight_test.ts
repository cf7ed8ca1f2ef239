import { assertEquals, assertThrows } from "@std/assert";
import {
  compareSchemas,
  type Side,
  without,
} from "../../src/insight/differences.ts";
import {
  type ExpectationOptions,
  readExpectation,
} from "../../src/insight/expectation.ts";
import {
  type Json,
  readRecording,
  type Recording,
  recordingText,
} from "../../src/insight/recording.ts";
import { deltaOf, foldSnapshot } from "../../src/insight/snapshot.ts";

const hash = (digit: string) => digit.repeat(64);

const A = { hash: hash("a"), body: { columns: { id: { type: "integer" } } } };
const B = {
  hash: hash("b"),
  body: { order: ["id"], columns: {} },
  grants: { public: ["select"] },
  parent: 'odd "hash":"name',
};
const ODD = 'table odd "name": {\\';

const RECORDING: Recording = {
  format: 1,
  recordedOn: { "15": "15.18", "18": "18.4" },
  migrations: [
    {
      name: "0001_a",
      checksum: "1",
      status: "recorded",
      exact: true,
      delta: { "table a": A, [ODD]: B },
    },
    {
      name: "0002_b",
      checksum: "2",
      status: "recorded",
      delta: { [ODD]: null, "view v": { hash: hash("c"), body: "of 18" } },
      versions: { "15": { "view v": { hash: hash("d"), body: "of 15" } } },
    },
    {
      name: "0003_c",
      checksum: "3",
      status: "unknown",
      reason: "no postgis",
      delta: {},
    },
  ],
};

Deno.test("recordingText() is read again as it was, and has an object on each line", () => {
  const text = recordingText(RECORDING);
  assertEquals(readRecording(text), RECORDING);
  assertEquals(recordingText(readRecording(text)), text);
  const lines = text.split("\n").filter((line) => /^"[a-z]+ /.test(line));
  assertEquals(lines.length, 5);
});

Deno.test("readRecording() refuses what it cannot read", () => {
  for (
    const [text, reason] of [
      ["{", "it is no JSON"],
      ["null", "its format is undefined, not 1"],
      ['{"format":2}', "its format is 2, not 1"],
      ['{"format":1}', "it has no migrations"],
    ] as const
  ) {
    assertThrows(
      () => readRecording(text),
      TypeError,
      `Cannot read "insight.json": ${reason}; run "deno task insight"`,
    );
  }
});

Deno.test("foldSnapshot() and deltaOf() undo each other", () => {
  const [first, second] = RECORDING.migrations;
  const [before, after] = [[first!], [first!, second!]].map((list) =>
    foldSnapshot(list, 18)
  );
  assertEquals(deltaOf(before!, after!), second!.delta);
  assertEquals(deltaOf(after!, after!), {});
});

const BYTES = new TextEncoder().encode(recordingText(RECORDING));

function expectation(options: Partial<ExpectationOptions> = {}) {
  return readExpectation(BYTES, {
    migrations: [
      { name: "0001_a", checksum: "1", isApplied: true },
      { name: "0002_b", checksum: "2", isApplied: false },
      { name: "0003_c", checksum: "3", isApplied: false },
    ],
    to: undefined,
    major: 18,
    grants: false,
    ...options,
  });
}

Deno.test("readExpectation() reads what the applied migrations make, bodies when they are asked for", () => {
  const found = expectation();
  if ("faults" in found) throw new Error(found.faults.join());
  assertEquals(found.migration, "0001_a");
  assertEquals(found.recordedOn, "18.4");
  assertEquals(
    [...found.objects],
    [
      ["table a", { hash: hash("a") }],
      [ODD, { hash: hash("b"), parent: B.parent }],
    ].toSorted() as unknown as [string, { hash: string }][],
  );
  assertEquals([...found.bodies([ODD])], [[ODD, B.body as Json]]);
  const granted = expectation({ grants: true });
  if ("faults" in granted) throw new Error(granted.faults.join());
  assertEquals(granted.objects.get(ODD)?.grants, { public: ["select"] });
});

Deno.test("readExpectation() knows what is otherwise on a version, and on one that was not recorded", () => {
  for (
    const [major, body, isNewer] of [
      [15, "of 15", false],
      [18, "of 18", false],
      [19, "of 18", true],
    ] as const
  ) {
    const found = expectation({ to: "0002_b", major });
    if ("faults" in found) throw new Error(found.faults.join());
    assertEquals([...found.objects.keys()], ["table a", "view v"]);
    assertEquals(found.bodies(["view v"]).get("view v"), body);
    assertEquals(found.isNewer, isNewer);
  }
  assertEquals(expectation({ major: 16 }), {
    faults: [
      "Cannot tell what the migrations make on PostgreSQL 16: they were recorded on 15, 18",
    ],
  });
});

Deno.test("readExpectation() says what it cannot tell", () => {
  assertEquals(expectation({ to: "0003_c" }), {
    faults: [
      'Cannot tell what "0003_c" makes: it could not be recorded: no postgis',
    ],
  });
  const migrations = [
    { name: "0001_a", checksum: "x", isApplied: true },
    { name: "0004_d", checksum: "4", isApplied: true },
  ];
  assertEquals(expectation({ migrations }), {
    faults: [
      'Cannot tell what "0001_a", "0004_d" make: not recorded; run "deno task insight" and build the program anew',
    ],
  });
});

Deno.test("readExpectation() tells what migrations would have changed that are not applied", () => {
  const found = expectation({
    migrations: [
      { name: "0001_a", checksum: "1", isApplied: false },
      { name: "0002_b", checksum: "2", isApplied: true },
    ],
  });
  if ("faults" in found) throw new Error(found.faults.join());
  assertEquals(found.gaps, ["0001_a"]);
  assertEquals([...found.uncertain].sort(), [ODD, "table a"].sort());
});

function side(bodies: Readonly<Record<string, Json>>, parents = {}): Side {
  return {
    objects: new Map(
      Object.entries(bodies).map(([identity, body]) => [
        identity,
        { hash: JSON.stringify(body), ...parents },
      ]),
    ),
    bodies: new Map(Object.entries(bodies)),
  };
}

Deno.test("compareSchemas() takes no difference for the order of columns", () => {
  const columns = { a: {}, b: {} };
  const expected = side({ "table t": { columns, order: ["a", "b"] } });
  const found = side({ "table t": { columns, order: ["b", "a"] } });
  assertEquals(compareSchemas(expected, found, { grants: false }), {
    differences: [],
    notCompared: [],
    reordered: ["t"],
  });
});

Deno.test("compareSchemas() leaves out partitions of a table that is known", () => {
  const expected = side({ "table t": {} });
  const found: Side = {
    objects: new Map([
      ...expected.objects,
      ["table t_1", { hash: "1", parent: "t" }],
      ["table t_1_1", { hash: "1", parent: "t_1" }],
      ["table u_1", { hash: "1", parent: "u" }],
    ]),
    bodies: expected.bodies,
  };
  const { differences, notCompared } = compareSchemas(expected, found, {
    grants: false,
  });
  assertEquals(differences.map(({ object }) => object), ["u_1"]);
  assertEquals(notCompared.map(({ object }) => object), ["t_1", "t_1_1"]);
});

Deno.test("without() leaves out an object with all that belongs to it, and no other", () => {
  const expected = side({ "table t": { columns: { a: {} } }, "enum t": {} });
  const found = side({ "table t": { columns: { b: {} } }, "table t.b": {} });
  const all = compareSchemas(expected, found, { grants: false });
  const left = (type: string, object: string) =>
    without(all, [{ type, object, reason: "ignored" }]).differences.map((
      { kind, type, object },
    ) => `${kind} ${type} ${object}`);
  const [missing, extra, type, other] = [
    "missing column t.a",
    "extra column t.b",
    "missing enum t",
    "extra table t.b",
  ];
  assertEquals(
    left("sequence", "t").sort(),
    [extra, other, missing, type].sort(),
  );
  assertEquals(left("table", "t").sort(), [other, type].sort());
  assertEquals(left("column", "t.a").sort(), [extra, other, type].sort());
  assertEquals(left("enum", "t").sort(), [extra, missing, other].sort());
});
