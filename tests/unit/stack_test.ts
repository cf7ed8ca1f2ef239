import { assertEquals, assertStrictEquals } from "@std/assert";
import { LocatedError } from "../../src/errors.ts";
import { framesOf, located } from "../../src/stack.ts";

function withStack(stack: unknown): Error {
  return Object.assign(new Error("no"), { stack });
}

Deno.test("framesOf() reads the lines of a stack that are in files", () => {
  const error = withStack(`TypeError: no
second line of the message
    at first (file:///a/migrations/0002_b%20(c).ts:7:13)
    at Array.map (<anonymous>)
    at new Crew (file:///a/migrations/0002_b.ts:3:1)
    at async up (file:///a/migrations/0002_b.ts:9:3)
    at ext:core/01_core.js:1:2
    at file:///a/main.ts:1:20`);

  assertEquals(framesOf(error), [
    { url: "file:///a/migrations/0002_b%20(c).ts", line: 7, column: 13 },
    { url: "file:///a/migrations/0002_b.ts", line: 3, column: 1 },
    { url: "file:///a/migrations/0002_b.ts", line: 9, column: 3 },
    { url: "file:///a/main.ts", line: 1, column: 20 },
  ]);
});

Deno.test("framesOf() reads where Deno could not load something", () => {
  const [color, plain] = ["\u001b[36m", "\u001b[0m"];

  assertEquals(
    [
      `TypeError: Module not found "file:///a/c.ts".\n    at ${color}file:///a/b.ts${plain}:${color}1${plain}:25`,
      "SyntaxError: The requested module 'c' does not provide an export named 'd' at file:///a/b.ts:1:25",
    ].map(withStack).map(framesOf),
    [
      [{ url: "file:///a/b.ts", line: 1, column: 25 }],
      [{ url: "file:///a/b.ts", line: 1, column: 25 }],
    ],
  );
});

Deno.test("framesOf() reads the stack of this very engine", () => {
  const [frame] = framesOf(new Error());
  assertEquals(frame?.url, import.meta.url);
});

Deno.test("framesOf() takes an error without a stack, or with something else for one", () => {
  assertEquals([undefined, 1, "", {}].map(withStack).map(framesOf), [
    ...[[], [], [], []],
  ]);
});

Deno.test("located() adds the place of the first error of the chain that has one", () => {
  const inner = new Error("inner");
  const outer = new Error("outer", { cause: inner });
  const places = (error: unknown, placed: Error[]) => {
    const found = located(
      error,
      (one) => placed.includes(one) ? one.message : undefined,
    );
    return found instanceof LocatedError
      ? [found.location, found.cause]
      : found;
  };

  assertEquals(places(outer, [inner, outer]), ["outer", outer]);
  assertEquals(places(outer, [inner]), ["inner", outer]);
  assertStrictEquals(places(outer, []), outer);
  assertEquals(places("no error", [inner]), "no error");
});
