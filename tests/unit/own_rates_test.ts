import { assertEquals } from "@std/assert";
import type { Basis } from "../../src/insight/estimate.ts";
import { ownRates } from "../../src/insight/own_rates.ts";

const MB = 1_000_000;

function taken(durationMs: number, bytes: Partial<Record<Basis, number>>) {
  return { planned: { bytes }, durationMs };
}

Deno.test("ownRates() reaches from half of the slowest to twice the fastest, after three times", () => {
  const two = [
    taken(1_000, { rewrite: 40 * MB }),
    taken(2_000, { rewrite: 40 * MB }),
  ];
  assertEquals(ownRates(two), {});
  const three = [...two, taken(500, { rewrite: 29 * MB, scan: MB })];
  assertEquals(ownRates(three), {
    rewrite: { fast: 116, slow: 10, seen: 3 },
  });
});

Deno.test("ownRates() takes nothing for a rate that may be something else's time", () => {
  const quick = taken(0, { build: 50 * MB });
  const small = taken(50, { build: MB });
  const mixed = taken(1_000, { build: 50 * MB, change: 50 * MB });
  assertEquals(ownRates([quick, quick, quick]), {});
  assertEquals(ownRates([small, small, small]), {});
  assertEquals(ownRates([mixed, mixed, mixed]), {});
});
