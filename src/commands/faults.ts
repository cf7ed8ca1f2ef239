import type { Command } from "../cli/command.ts";
import { compareNames, type Migration } from "../plan/migration.ts";
import type { Operator } from "../engine/ports.ts";
import { quote, quoteValue } from "../text.ts";

/** What is wrong with a command although it reads well: a name that nobody knows, a question that nobody can answer. */
export function commandFaults(
  command: Command,
  migrations: readonly Migration[],
  { isTerminal }: Pick<Operator, "isTerminal">,
): string[] {
  switch (command.kind) {
    case "verify":
      return unknownName(migrations, command.to);
    case "up":
      return unknownName(migrations, command.request.to);
    case "down":
      return [
        ...unknownName(migrations, command.request.to),
        ...(command.dryRun || command.yes || isTerminal
          ? []
          : [needsYes(command.kind)]),
      ];
    case "redo":
      return command.yes || isTerminal ? [] : [needsYes(command.kind)];
    case "baseline":
      return "to" in command.from
        ? unknownName(migrations, command.from.to)
        : [];
    default:
      return [];
  }
}

function needsYes(command: string): string {
  return `The command ${command} asks before it rolls back: pass --yes where there is no terminal`;
}

function unknownName(
  migrations: readonly Migration[],
  name: string | undefined,
): string[] {
  const known = migrations.map((migration) => migration.name);
  if (name === undefined || known.includes(name)) return [];
  const near = known
    .filter((other) => other.includes(name) || name.includes(other))
    .sort(compareNames)
    .slice(0, 3);
  const hint = near.length === 0
    ? "; status lists the migrations"
    : `; did you mean ${near.map(quote).join(" or ")}?`;
  return [
    `Option --to: this program carries no migration ${quoteValue(name)}${hint}`,
  ];
}
