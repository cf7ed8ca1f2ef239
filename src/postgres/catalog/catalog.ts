/**
 * The catalog of a database, on a session.
 *
 * @module
 */
import type {
  Catalog,
  FoundSchemaObject,
  SchemaQuestion,
} from "../../engine/catalog_ports.ts";
import { causeOf, DatabaseError } from "../../errors.ts";
import type { DatabaseFacts } from "../../insight/facts.ts";
import type { Answer, Probe } from "../../insight/probe_values.ts";
import type { PlannedTime } from "../../insight/planned_times.ts";
import type { AskedNames } from "../../insight/tables.ts";
import type { SchemaLockHolder } from "../../report/differences.ts";
import type { Connection } from "../connection/connection.ts";
import { keepsQuery, readPlans } from "../history/plans.ts";
import { askFacts } from "./facts.ts";
import {
  probeFailure,
  probeQuery,
  tablesOf,
  violationsOf,
  violationsQuery,
} from "./probe_query.ts";
import { PROBE_ROW, readTables, tablesQuery } from "./probe_tables.ts";
import { readLockHolders, readSnapshot } from "./read_snapshot.ts";
import type { Row, Rows } from "../wire/protocol.ts";

/** Where a catalog is read. */
interface Place {
  /** The schema of the history. */
  readonly schema: string;
  /** As `server_version_num`. */
  readonly versionNumber: number;
  /** The program's own tables, which are no part of the schema. */
  readonly without: readonly string[];
  /** A role that is trusted because the user of the program says so. */
  readonly trustedOwner?: string | undefined;
}

/** The {@link Catalog} on PostgreSQL. */
export class SchemaCatalog implements Catalog {
  readonly #connection: Connection;
  readonly #place: Place;
  readonly #inTransaction: boolean;

  /** @param options.inTransaction whether it is asked in a transaction that goes on */
  constructor(
    connection: Connection,
    place: Place,
    options = { inTransaction: false },
  ) {
    this.#connection = connection;
    this.#place = place;
    this.#inTransaction = options.inTransaction;
  }

  async objects(
    question: SchemaQuestion,
  ): Promise<ReadonlyMap<string, FoundSchemaObject>> {
    return await readSnapshot(this.#connection, {
      ...question,
      ...this.#place,
      inTransaction: this.#inTransaction,
    });
  }

  async lockHolders(): Promise<readonly SchemaLockHolder[]> {
    return await readLockHolders(this.#connection, this.#place.schema);
  }

  async probe(probe: Probe): Promise<Answer> {
    try {
      const found = await this.#row(
        tablesQuery(this.#place.schema, tablesOf(probe)),
      );
      const violations = violationsOf(probe, readTables(String(found.tables)));
      if (typeof violations === "string") {
        return { outcome: "unknown", reason: violations };
      }
      const { violated } = await this.#row(probeQuery(violations));
      return violated === true
        ? { outcome: "fails", query: violationsQuery(violations) }
        : { outcome: "holds" };
    } catch (error) {
      const server = causeOf(error, DatabaseError)?.server;
      if (server === undefined) throw error;
      return { outcome: "unknown", reason: probeFailure(server) };
    }
  }

  async #row(query: string): Promise<Row> {
    const answers = await this.#connection.query(
      query,
    ) as unknown as readonly Rows[];
    return answers[PROBE_ROW]![0]!;
  }

  async facts(wanted: AskedNames): Promise<DatabaseFacts> {
    const { schema } = this.#place;
    return await askFacts(this.#connection, { ...wanted, schema });
  }

  async keepsPlans(): Promise<boolean> {
    // What is asked together with it goes with the same flight.
    await this.#connection.prepare();
    const query = keepsQuery(this.#place.schema);
    const [row] = await this.#connection.query(query);
    return row?.keeps === true;
  }

  async plans(): Promise<ReadonlyMap<number, PlannedTime>> {
    const { schema, trustedOwner } = this.#place;
    return await readPlans(this.#connection, schema, trustedOwner);
  }
}
