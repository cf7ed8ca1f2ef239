/**
 * How a test says what it needs besides Node. A plain `deno task test` leaves it out and says so; `--all` runs it.
 *
 * @module
 */
import { NEEDS_VARIABLE } from "../../../scripts/dev/test_environment.ts";
import type { NeedName } from "../../../scripts/dev/test_needs.ts";

const met = new Set(Deno.env.get(NEEDS_VARIABLE)?.split(","));

/** What the tests of this file have said so far. */
const said = new Set<NeedName>();

/** Called where something is used: a file that does not say so passes where it happens to be there, and nowhere else. */
export function assertSaid(need: NeedName): void {
  if (said.has(need)) return;
  throw new Error(
    `Cannot use ${need} in this test: it does not say that it needs it (see tests/support/program/needs.ts)`,
  );
}

/** Whether what tests need is there in this run. */
export function areMet(needs: readonly NeedName[]): boolean {
  return needs.every((need) => met.has(need));
}

/** What a test with these needs is registered with: `scripts/dev/test_report.ts` reads them from its name. */
export function withNeeds(
  name: string,
  needs: readonly NeedName[] = [],
): { readonly name: string; readonly ignore: boolean } {
  for (const need of needs) said.add(need);
  return needs.length === 0 ? { name, ignore: false } : {
    name: `${name} (needs ${needs.join(", ")})`,
    ignore: !areMet(needs),
  };
}

/** `Deno.test` for tests that need all of these. */
export function testWith(
  ...needs: readonly NeedName[]
): (name: string, test: () => Promise<void> | void) => void {
  return (name, test) => Deno.test({ ...withNeeds(name, needs), fn: test });
}
