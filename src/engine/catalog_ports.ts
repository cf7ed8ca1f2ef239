/**
 * What commands ask of a database's catalog: reads only, and waits for no lock longer than it says.
 *
 * @module
 */
import type { FoundObject } from "../insight/differences.ts";
import type { DatabaseFacts } from "../insight/facts.ts";
import type { Answer, Probe } from "../insight/probe_values.ts";
import type { PlannedTime } from "../insight/planned_times.ts";
import type { Json } from "../insight/recording.ts";
import type { AskedNames } from "../insight/tables.ts";
import type { SchemaLockHolder } from "../report/differences.ts";

/** The objects of a schema. */
export interface SchemaReader {
  /**
   * The objects of the history's schema, by identity such as `table killmails`, without the program's own tables. One flight.
   *
   * @throws {DatabaseError} 55P03 when one stays locked for as long as it may wait
   */
  objects(
    question: SchemaQuestion,
  ): Promise<ReadonlyMap<string, FoundSchemaObject>>;
}

export interface Catalog extends SchemaReader {
  /** Who keeps the definitions of the schema's relations from being read. */
  lockHolders(): Promise<readonly SchemaLockHolder[]>;

  /**
   * What a forecast needs to know of this database. One flight, tried three times.
   *
   * @throws {DatabaseError} 55P03 when a table stays locked for as long as it may wait
   */
  facts(wanted: AskedNames): Promise<DatabaseFacts>;

  /** Asks whether the rows that are there satisfy what is demanded of them. One flight, two seconds at most. */
  probe(probe: Probe): Promise<Answer>;

  /** Whether this user can keep what was planned for migrations beside the history that is there. One flight. */
  keepsPlans(): Promise<boolean>;

  /** What was planned for migrations, by the id of the row of the history. Two flights; one where nothing was ever kept. */
  plans(): Promise<ReadonlyMap<number, PlannedTime>>;
}

/** What is asked of the objects of a schema. */
export interface SchemaQuestion {
  /** Only these, by identity. @default {all of them} */
  readonly only?: readonly string[];
  readonly bodies: boolean;
  readonly grants: boolean;
  readonly lockTimeoutMs: number;
}

/** An object of a schema as it was found; with its body, when that was asked for. */
export type FoundSchemaObject = FoundObject & { readonly body?: Json };
