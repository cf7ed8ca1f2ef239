/**
 * The time that goes into what is built from a commit: the same for everybody who builds it.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** `SOURCE_DATE_EPOCH`, as reproducible builds set it, or the time of the commit. */
export async function buildTime(): Promise<Date> {
  const variable = Deno.env.get("SOURCE_DATE_EPOCH");
  const seconds = variable ?? await commitSeconds();
  if (!/^\d{1,11}$/.test(seconds)) {
    throw new Error(
      `Cannot tell the time of the build: SOURCE_DATE_EPOCH is "${seconds}", not a number of seconds`,
    );
  }
  return new Date(Number(seconds) * 1_000);
}

async function commitSeconds(): Promise<string> {
  const { success, stdout } = await new Deno.Command("git", {
    args: ["log", "-1", "--format=%ct"],
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    stderr: "null",
  }).output();
  if (success) return new TextDecoder().decode(stdout).trim();
  throw new Error(
    "Cannot tell the time of the build: this is no git checkout; set SOURCE_DATE_EPOCH",
  );
}
