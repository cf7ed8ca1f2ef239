/**
 * Puts the history in the place of the table of Kysely's migrator.
 *
 * @module
 */
import type { Connection } from "../connection/connection.ts";
import { RefusedError } from "../../errors.ts";
import type { HistoryRow } from "../../plan/history.ts";
import type { Migration } from "../../plan/migration.ts";
import { quote } from "../../text.ts";
import type { Row } from "../wire/protocol.ts";
import type { RunIdentity } from "./changes.ts";
import {
  convertStatements,
  type Grant,
  grantsQuery,
  lockStatement,
} from "./creation.ts";
import { historyName } from "./place.ts";
import { historyQuery, readHistory } from "./rows.ts";

/** What the conversion is made from. */
export interface ConversionOptions {
  readonly run: RunIdentity;
  readonly migrations: readonly Migration[];
  /** The rows of Kysely's table that the run was planned from. */
  readonly planned: readonly HistoryRow[];
}

/** The statements that put the history in the place of Kysely's table. @throws {RefusedError} when it cannot be taken over */
export async function conversion(
  connection: Connection,
  schema: string,
  { run, migrations, planned }: ConversionOptions,
): Promise<readonly string[]> {
  const answer = await connection.query(grantsQuery(schema));
  const [first] = answer;
  if (first?.owned !== true) {
    throw new RefusedError([
      `Cannot turn the table of Kysely's migrator into ${
        historyName(schema)
      }: that takes the rights of its owner, ${
        quote(String(first?.owner))
      }; run the program as that role once`,
    ]);
  }
  const grants = answer.filter(({ privilege }) => privilege !== null).map((
    row,
  ): Grant => ({
    privilege: String(row.privilege),
    grantee: row.grantee as string | null,
    grantable: row.grantable === true,
  }));
  const checksums = new Map(
    migrations.map(({ name, checksum }) => [name, checksum]),
  );
  const rows = await lockedRows(connection, schema, planned);
  return convertStatements(schema, run, { rows, grants }, checksums);
}

/** The rows of Kysely's table, which nobody changes any more: its migrator does not know our lock. */
async function lockedRows(
  connection: Connection,
  schema: string,
  planned: readonly HistoryRow[],
): Promise<readonly HistoryRow[]> {
  const answers = await connection.query(
    `${lockStatement(schema)}; ${historyQuery(schema, "kysely")}`,
  );
  const rows = readHistory("kysely", answers.flat() as Row[]);
  const same = rows.length === planned.length &&
    rows.every(({ name, finishedAt }, i) =>
      name === planned[i]!.name && finishedAt === planned[i]!.finishedAt
    );
  if (same) return rows;
  throw new RefusedError([
    `Cannot take over Kysely's rows: somebody is writing to ${
      historyName(schema)
    }; stop the other migrator, and start again`,
  ]);
}
