/**
 * The process behind `resident.ts`: runs the program again and again, one line of standard input for each run.
 *
 * @module
 */
import { createInterface } from "node:readline";
import process from "node:process";
import { main } from "../../src/main.ts";

/** Closes what one run wrote, on both streams. No output of the program holds a zero byte. */
function mark(code: number): void {
  const bytes = new TextEncoder().encode(`\0${code}\n`);
  Deno.stdout.writeSync(bytes);
  Deno.stderr.writeSync(bytes);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { args, env, registry } = JSON.parse(line);
  const module = registry === undefined ? undefined : await import(registry);
  mark(await main(args, env, module?.migrations));
}
