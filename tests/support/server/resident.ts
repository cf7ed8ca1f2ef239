/**
 * The program in a process that stays, for tests that run it many times: a run costs no start.
 *
 * An error that nothing catches ends the process, and with it the run at hand or the next one: it cannot go unnoticed.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import {
  denoEnvironment,
  type MigrateResult,
  MORE_OPTIONS,
} from "../program/cli.ts";
import { LIMIT_MS } from "../program/wait.ts";

export interface Resident extends AsyncDisposable {
  /** Runs the program to its end; one run at a time. Fails when it does not return, or takes the process with it. */
  run(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    options?: {
      /** @default {LIMIT_MS} */
      readonly limitMs?: number;
      /** The module of the migrations. @default {those of this checkout} */
      readonly registry?: string;
    },
  ): Promise<MigrateResult>;
}

const MAIN = fileURLToPath(new URL("./resident_main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../../deno.json", import.meta.url));

/** Starts the process; leaving the scope of `await using` ends it. */
export function startResident(): Resident {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--frozen"],
      ...["--allow-net", "--allow-env", "--allow-read"],
      ...[`--config=${CONFIG}`, MAIN],
    ],
    clearEnv: true,
    env: denoEnvironment(),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  const written = { stdout: "", stderr: "" };
  let changed = Promise.withResolvers<void>();
  let ended = false;
  const read = Promise.all([
    gather("stdout"),
    gather("stderr"),
    child.status,
  ]).then(() => {
    ended = true;
    changed.resolve();
  });

  return {
    async run(args, env, { limitMs = LIMIT_MS, registry } = {}) {
      const all = [...args, ...MORE_OPTIONS];
      const line = `${JSON.stringify({ args: all, env, registry })}\n`;
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        changed.resolve();
      }, limitMs);
      try {
        await input.write(new TextEncoder().encode(line)).catch(() => {});
        for (;;) {
          const [stdout, stderr] = [taken("stdout"), taken("stderr")];
          if (stdout !== undefined && stderr !== undefined) {
            written.stdout = stdout.rest;
            written.stderr = stderr.rest;
            return {
              code: stdout.code,
              stdout: stdout.text,
              stderr: stderr.text,
            };
          }
          if (ended || late) {
            throw new Error(
              `${
                ended ? "Ended by itself" : `Still running after ${limitMs} ms`
              }\n--- stdout\n${written.stdout}\n--- stderr\n${written.stderr}`,
            );
          }
          await changed.promise;
          changed = Promise.withResolvers();
        }
      } finally {
        clearTimeout(timer);
      }
    },
    async [Symbol.asyncDispose]() {
      if (!ended) child.kill("SIGKILL");
      await input.abort().catch(() => {});
      await read;
    },
  };

  /** What the run at hand has written to a stream, once it is complete. */
  function taken(
    stream: "stdout" | "stderr",
  ): { text: string; code: number; rest: string } | undefined {
    const found = /^([^\0]*)\0(\d+)\n/.exec(written[stream]);
    return found === null ? undefined : {
      text: found[1]!,
      code: Number(found[2]),
      rest: written[stream].slice(found[0].length),
    };
  }

  async function gather(stream: "stdout" | "stderr"): Promise<void> {
    const decoder = new TextDecoderStream();
    for await (const text of child[stream].pipeThrough(decoder)) {
      written[stream] += text;
      changed.resolve();
    }
  }
}
