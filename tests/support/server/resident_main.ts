/**
 * The process behind `resident.ts`: runs the program again and again, one line of standard input for each run.
 *
 * @module
 */
import { createInterface } from "node:readline";
import process from "node:process";
import { main } from "../../../src/main.ts";
import { sourceRegistry } from "../../../src/registry/source.ts";

/** Kept before the program takes the streams away from everybody else. */
const write = [Deno.stdout, Deno.stderr].map((stream) =>
  stream.writeSync.bind(stream)
);

/** Closes what one run wrote, on both streams. No output of the program holds a zero byte. */
function mark(code: number): void {
  const bytes = new TextEncoder().encode(`\0${code}\n`);
  for (const one of write) one(bytes);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { args, env, registry } = JSON.parse(line);
  const own = registry === undefined
    ? undefined
    : sourceRegistry(registry, () => import(registry));
  mark(await main(args, env, own));
}
