/**
 * The schema of the history as the work of a run sees it.
 *
 * @module
 */
import type { SchemaReader } from "../engine/catalog_ports.ts";
import { SchemaCatalog } from "./catalog/catalog.ts";
import type { Connection } from "./connection/connection.ts";
import { OWN_TABLES } from "./history/place.ts";

/** How it is read. */
export interface ReaderOptions {
  readonly schema: string;
  /** As `server_version_num`. */
  readonly versionNumber: number;
  readonly inTransaction: boolean;
  /** Makes of an error what is to be told of it. */
  readonly explained: (error: unknown) => unknown;
}

/** Reads it; what fails says that it was to be compared. */
export function schemaReader(
  connection: Connection,
  { schema, versionNumber, inTransaction, explained }: ReaderOptions,
): SchemaReader {
  const place = { schema, versionNumber, without: OWN_TABLES };
  const catalog = new SchemaCatalog(connection, place, { inTransaction });
  return {
    objects: (question) =>
      catalog.objects(question).catch((error) => {
        const cause = explained(error);
        throw new Error("Cannot compare the schema", { cause });
      }),
  };
}
