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
  { migrations, pending, schema, isChosen }: KyselyQuestion,
): KyselyFindings {
  const faults: string[] = [];
  const warnings: string[] = [];
  if (pending.length === 0) return { faults, warnings };
  const find = kyselyNames(migrations);
  for (const { table, schema: itsSchema, owner, names } of tables) {
    const isHere = itsSchema === schema;
    if (names === undefined) {
      warnings.push(
        `${
          quote(table)
        } has the form of the table of Kysely's own migrator, and is not read because it belongs to ${
          quote(owner)
        }; if that migrator has been at work here, pass --trust-history-owner ${
          shellWord(owner)
        }`,
      );
      continue;
    }
    const known = new Set(names.flatMap((name) => find(name) ?? []));
    const applied = pending.filter((one) => known.has(one)).length;
    const says = `${quote(table)} says that Kysely's own migrator has applied`;
    if (applied > 0) {
      const some = applied === pending.length ? "" : `${applied} of `;
      const them = pending.length === 1 ? "it" : "them";
      const record = `baseline --from-kysely ${shellWord(table)}`;
      if (isHere || !isChosen) {
        const other = isHere || schema === null
          ? ""
          : `; if that was in another schema than ${
            quote(schema)
          }, pass --schema ${shellWord(schema)}`;
        faults.push(
          `Cannot apply ${
            count(pending.length)
          }: ${says} ${some}${them} already; record what it has applied: ${record}${other}`,
        );
      } else {
        warnings.push(
          `${says} ${applied} of ${pending.length} pending migrations; if that was in the schema ${
            quote(schema ?? "")
          }, record what it has applied: ${record}`,
        );
      }
    } else if (known.size === 0 && names.length > 0) {
      warnings.push(
        `${says} ${
          count(names.length)
        } to this database, none of which this program carries; if it has the same ones under other names, record them: baseline --to NAME, with the last that this database has`,
      );
    }
  }
  return { faults, warnings };
}

function count(number: number): string {
  return `${number} migration${number === 1 ? "" : "s"}`;
}

function bareName(name: string): string {
  return name.replace(/^.*[/\\]/, "").replace(/\.[cm]?[jt]s$/, "").normalize();
}
