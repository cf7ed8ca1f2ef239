/**
 * What the table of Kysely's own migrator says of the migrations of this program. No I/O.
 *
 * @module
 */
import { quote, shellWord } from "../text.ts";
import type { Migration } from "./migration.ts";
import { byName } from "./states.ts";

/** A table in the form of Kysely's own migrator, in a database whose history says that nothing was ever applied. */
export interface KyselyTable {
  /** As `--from-kysely` takes it. */
  readonly table: string;
  readonly schema: string;
  readonly owner: string;
  /** Of the migrations that it lists; `undefined` when it was not read, since nobody has trusted its owner. */
  readonly names: readonly string[] | undefined;
}

/** Finds the migration that a name in Kysely's table stands for: where a provider of its own has given it, also with path and ending. */
export function kyselyNames(
  migrations: readonly Migration[],
): (name: string) => Migration | undefined {
  const exact = byName(migrations);
  const similar = Map.groupBy(migrations, ({ name }) => bareName(name));
  return (name) => {
    const found = similar.get(bareName(name)) ?? [];
    return exact.get(name) ?? (found.length === 1 ? found[0] : undefined);
  };
}

/** What is to be done before the pending migrations are applied, and what may have to be. */
export interface KyselyFindings {
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
}

export interface KyselyQuestion {
  /** All that the program carries. */
  readonly migrations: readonly Migration[];
  /** Those that are to be applied. */
  readonly pending: readonly Migration[];
  /** The schema that they are for. */
  readonly schema: string | null;
  /** Whether somebody has chosen it: then a table in another one speaks of that. */
  readonly isChosen: boolean;
}

export function kyselyFindings(
  tables: readonly KyselyTable[],
  question: KyselyQuestion,
): KyselyFindings {
  const { migrations, pending, schema, isChosen } = question;
  const faults: string[] = [];
  const warnings: string[] = [];
  if (pending.length === 0) return { faults, warnings };
  const find = kyselyNames(migrations);
  for (const table of tables) {
    const { names } = table;
    if (names === undefined) {
      warnings.push(strangerText(table));
      continue;
    }
    const known = new Set(names.flatMap((name) => find(name) ?? []));
    const applied = pending.filter((one) => known.has(one)).length;
    if (applied > 0 && (table.schema === schema || !isChosen)) {
      faults.push(appliedText(table, applied, question));
    } else if (applied > 0) {
      const place = quote(schema ?? "");
      warnings.push(
        `${says(table)} ${applied} of ${pending.length} pending migrations; ` +
          `if that was in the schema ${place}, ${record(table)}`,
      );
    } else if (known.size === 0 && names.length > 0) {
      warnings.push(
        `${says(table)} ${
          count(names.length)
        } to this database, none of which this program carries; ` +
          "if it has the same ones under other names, record them: baseline --to NAME, with the last that this database has",
      );
    }
  }
  return { faults, warnings };
}

function appliedText(
  table: KyselyTable,
  applied: number,
  { pending, schema }: KyselyQuestion,
): string {
  const some = applied === pending.length ? "" : `${applied} of `;
  const them = pending.length === 1 ? "it" : "them";
  const text = `Cannot apply ${count(pending.length)}: ` +
    `${says(table)} ${some}${them} already; ${record(table)}`;
  if (schema === null || table.schema === schema) return text;
  const [shown, word] = [quote(schema), shellWord(schema)];
  return `${text}; if that was in another schema than ${shown}, pass --schema ${word}`;
}

function strangerText({ table, owner }: KyselyTable): string {
  const [shown, word] = [quote(owner), shellWord(owner)];
  return `${
    quote(table)
  } has the form of the table of Kysely's own migrator, ` +
    `and is not read because it belongs to ${shown}; ` +
    `if that migrator has been at work here, pass --trust-history-owner ${word}`;
}

function says({ table }: KyselyTable): string {
  return `${quote(table)} says that Kysely's own migrator has applied`;
}

function record({ table }: KyselyTable): string {
  return `record what it has applied: baseline --from-kysely ${
    shellWord(table)
  }`;
}

function count(number: number): string {
  return `${number} migration${number === 1 ? "" : "s"}`;
}

function bareName(name: string): string {
  return name.replace(/^.*[/\\]/, "").replace(/\.[cm]?[jt]s$/, "").normalize();
}
