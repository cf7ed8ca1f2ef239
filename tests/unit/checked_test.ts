import { assertEquals } from "@std/assert";
import { checked, map, parsed, together } from "../../src/cli/checked.ts";

Deno.test("checked() takes the faults that are there, in their order", () => {
  assertEquals(checked(1, "b", false, undefined, "", "a"), {
    value: 1,
    faults: ["b", "a"],
  });
});

Deno.test("together() tells the faults of all its parts, in the order of the keys", () => {
  const parts = {
    port: checked(0, "no port", "no number"),
    host: checked("localhost"),
    user: checked("", "no user"),
  };

  assertEquals(together(parts), {
    value: { port: 0, host: "localhost", user: "" },
    faults: ["no port", "no number", "no user"],
  });
});

Deno.test("map() keeps the faults", () => {
  assertEquals(map(checked(2, "odd"), String), { value: "2", faults: ["odd"] });
});

Deno.test("parsed() names the source of a text that cannot be read", () => {
  const given = { text: "x", source: "Option --steps" };
  const parse = (text: string) => Number(text) || new Error("no number");

  assertEquals(parsed(given, parse, 7), {
    value: 7,
    faults: ["Option --steps: no number"],
  });
  assertEquals(parsed({ ...given, text: "3" }, parse, 7), checked(3));
});
