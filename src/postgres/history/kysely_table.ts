/**
 * A table of Kysely's migrator that the user has named.
 *
 * @module
 */
import type { Connection } from "../connection/connection.ts";
import { RefusedError } from "../../errors.ts";
import { readPath, strangerText, unfitText } from "./place.ts";
import { type KyselyRow, kyselyRowsQuery, readKyselyRows } from "./rows.ts";
import { pathQuery, trustQuery } from "./place_query.ts";
import { quoteValue } from "../../text.ts";
import { quoteIdentifier } from "../../sql/quote.ts";

/** Reads such tables over one connection, each from where it was found first. */
export class KyselyTables {
  readonly #connection: Connection;
  readonly #user: string;
  readonly #trustedOwner: string | undefined;
  readonly #found = new Map<string, string>();

  constructor(
    connection: Connection,
    user: string,
    trustedOwner: string | undefined,
  ) {
    this.#connection = connection;
    this.#user = user;
    this.#trustedOwner = trustedOwner;
  }

  /**
   * The rows of a table: `kysely_migration`, which the search path leads to, or `app.kysely_migration`.
   *
   * @throws {RefusedError} when there is none that can be read
   */
  async read(table: string): Promise<readonly KyselyRow[]> {
    let found = this.#found.get(table);
    if (found === undefined) {
      found = await this.#find(table);
      this.#found.set(table, found);
    }
    return readKyselyRows(await this.#connection.query(kyselyRowsQuery(found)));
  }

  async #find(table: string): Promise<string> {
    const parts = table.split(".");
    const [name, schema] = parts.toReversed();
    const refused = (why: string) =>
      new RefusedError([`Cannot read ${quoteValue(table)}: ${why}`]);
    const [answer] = await this.#connection.query(
      `select p.facts from ${pathQuery(schema, name)} p`,
    );
    const path = readPath(String(answer!.facts), this.#user)
      .filter(({ schema }) => !schema.startsWith("pg_"));
    const found = path.find(({ table }) => table !== undefined)?.table;
    if (found === undefined || parts.length > 2) {
      throw refused("there is no such table in this database");
    }
    if (found.fault === "columns" || found.form === "own") {
      throw refused(
        "it is not a migration table of Kysely, which has the columns name and timestamp",
      );
    }
    if (found.fault !== null) {
      throw refused(unfitText(found, this.#user, name!));
    }
    // To read it is to plan it, and that runs what its owner has built into an index of it.
    const [owner] = await this.#connection.query(
      `select ${
        trustQuery(found.schema, name!, this.#trustedOwner)
      } as trusted`,
    );
    if (owner!.trusted !== true) throw refused(strangerText(found, this.#user));
    return [found.schema, name!].map(quoteIdentifier).join(".");
  }
}
