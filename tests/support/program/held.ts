/**
 * Statements that are held up in the middle of their work.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { openSession } from "./application.ts";
import type { Scenario } from "./scenario.ts";

/**
 * `held(n, key, at)` is `n`, and waits at the row `at` until nobody has the advisory lock with the key. It polls: a wait for a
 * lock would be told as one.
 */
export const HELD = [
  "create schema hold",
  `create function hold.held(n int, key int, at int) returns int language plpgsql immutable as $$ begin
    while n = at and not pg_try_advisory_lock_shared(key) loop perform pg_sleep(0.02); end loop;
    if n = at then perform pg_advisory_unlock_shared(key); end if;
    return n;
  end $$`,
];

/** Runs `up` until it has said this on stderr, lets it go on, and returns what it wrote. */
export async function toldWhileHeld(
  s: Scenario,
  text: RegExp | string,
  command = "up",
): Promise<string> {
  await using other = await openSession(s.db.url);
  await other.run("select pg_advisory_lock(1)");
  await using up = s.start(command);
  await up.waitFor(text);
  await other.run("select pg_advisory_unlock_all()");
  const { code, stderr } = await up.result;
  assertEquals(code, 0, stderr);
  return stderr;
}
