/**
 * Migrations of a test's own with the recording of what they make.
 *
 * @module
 */
import { makeProject } from "./project.ts";

const MAIN = new URL("record_main.ts", import.meta.url);

const known = new Map<string, Promise<string>>();

/** The migrations with `insight.json` beside them, recorded on every server of the test run; each set once. */
export async function recorded(
  migrations: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const key = JSON.stringify(migrations);
  const text = known.get(key) ?? record(migrations);
  known.set(key, text);
  return { ...migrations, "insight.json": await text };
}

async function record(
  migrations: Readonly<Record<string, string>>,
): Promise<string> {
  await using project = await makeProject(migrations);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN.href, project.folder],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return await Deno.readTextFile(`${project.folder}/migrations/insight.json`);
}
