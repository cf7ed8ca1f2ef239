import { assertEquals } from "@std/assert";
import deno from "../../deno.json" with { type: "json" };
import {
  KYSELY_VERSION,
  programInfo,
  VERSION,
  versionLines,
} from "../../src/cli/version.ts";
import { migration } from "../support/program/planning.ts";

Deno.test("VERSION and KYSELY_VERSION are those of deno.json", () => {
  assertEquals(VERSION, deno.version);
  assertEquals(`npm:kysely@${KYSELY_VERSION}`, deno.imports.kysely);
});

Deno.test("programInfo() says what the program is made of", () => {
  assertEquals(programInfo([migration("a"), migration("b")], "2.9.6"), {
    name: "battlescope-migrate",
    version: VERSION,
    commit: null,
    deno: "2.9.6",
    kysely: KYSELY_VERSION,
    migrations: { count: 2, last: "b" },
  });
  assertEquals(programInfo([], "2.9.6").migrations, { count: 0, last: null });
});

Deno.test("versionLines() says it to a person", () => {
  const info = {
    name: "battlescope-migrate",
    version: "1.2.3",
    commit: "abc",
    deno: "2.9.6",
    kysely: "0.29.9",
    migrations: { count: 2, last: "b" },
  } as const;

  assertEquals(versionLines(info), [
    "battlescope-migrate 1.2.3",
    "commit abc",
    "deno 2.9.6",
    "kysely 0.29.9",
    "migrations 2, the last is b",
  ]);
  assertEquals(
    versionLines({
      ...info,
      commit: null,
      migrations: { count: 0, last: null },
    }),
    [
      "battlescope-migrate 1.2.3",
      "commit none: running from source",
      "deno 2.9.6",
      "kysely 0.29.9",
      "migrations 0",
    ],
  );
});
