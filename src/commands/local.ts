/**
 * The commands that need no database: they say what the program is, and how to use it.
 *
 * @module
 */
import type { Command } from "../cli/command.ts";
import type { OutputConfig } from "../cli/config.ts";
import { helpLines } from "../cli/help.ts";
import { programInfo, versionLines } from "../cli/version.ts";
import { UsageError } from "../errors.ts";
import type { Migration } from "../plan/migration.ts";

export type LocalCommand = Extract<
  Command,
  { kind: "help" | "version" | "new" | "completions" | "schema" }
>;

/** What such a command is given. */
export interface LocalContext extends Pick<OutputConfig, "format"> {
  /** Of the runtime. */
  readonly denoVersion: string;
  /** The migrations, if they can be loaded; why they cannot is said elsewhere. */
  readonly migrations: () => Promise<readonly Migration[] | undefined>;
  /** What was recorded of them. */
  readonly recording: () => Promise<Uint8Array | undefined>;
}

/** What the command prints, line by line. @throws {UsageError} for what it cannot do here */
export async function localLines(
  command: LocalCommand,
  { format, denoVersion, migrations, recording }: LocalContext,
): Promise<readonly string[]> {
  switch (command.kind) {
    case "help":
      return helpLines(command.topic);
    case "completions": {
      // Who runs migrations never needs it.
      const { completionLines } = await import("../cli/completions.ts");
      return completionLines(command.shell);
    }
    case "schema": {
      const { schemaLines } = await import("./schema.ts");
      const list = await migrations() ?? [];
      return schemaLines(command, format, list, await recording());
    }
    case "version": {
      const program = programInfo(await migrations(), denoVersion);
      return format === "json"
        ? [JSON.stringify(program)]
        : versionLines(program);
    }
    case "new":
      throw new UsageError([NEW_HERE]);
  }
}

/** Why `new` is refused, wherever the program itself is run. */
export const NEW_HERE =
  "The command new works in a source checkout only: deno task new NAME";
