/**
 * What backfills need of a transaction, in the engine's words.
 *
 * @module
 */
import type {
  Backfill,
  BackfillControl,
  FillTable,
  Key,
} from "../plan/backfill.ts";

/** How long the statements of a transaction may take; milliseconds. */
export interface BatchLimits {
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

/** Who works, or has worked, on a backfill. */
export interface Runner {
  readonly host: string | null;
  readonly pid: number | null;
  /** Milliseconds since it was last heard of. */
  readonly beatAgoMs: number;
  /** Whether it is this run. */
  readonly isUs: boolean;
  /** Whether it may still be at work. */
  readonly isThere: boolean;
}

/** The position of a backfill and what it is told to do. */
export interface Position {
  /** Whether the history still says that it runs. */
  readonly isOpen: boolean;
  readonly runner: Runner | undefined;
  readonly keys: readonly string[];
  /** `null`: before the first key. */
  readonly position: Key | null;
  /** Where this pass ends; `null` when it has not begun. */
  readonly lastKey: Key | null;
  /** How many passes are done. */
  readonly passes: number;
  /** Whether this pass has found rows that earlier ones had done. */
  readonly found: boolean;
  readonly rowsDone: number;
  /** The planner's count of the keys of a pass. */
  readonly rowsTotal: number;
  /** How many keys the last batch was to take. */
  readonly batchRows: number | null;
  readonly isPaused: boolean;
  /** Rest after a batch, in times of its work. */
  readonly rest: number;
  readonly aimMs: number;
  /** Milliseconds since it was begun. */
  readonly ageMs: number;
}

/** What is written of a batch, with its data. */
export interface Advance {
  readonly position: Key;
  readonly found: boolean;
  readonly rows: number;
  readonly tookMs: number;
  readonly batchRows: number;
}

/** What is written now and then. */
export interface Beat {
  /** Why it does not go on; `null` when it does. */
  readonly heldFor: string | null;
  readonly heldMs: number;
  readonly share: number | null;
  readonly rowsPerSecond: number | null;
  readonly etaSeconds: number | null;
}

/** What the server says of itself that may be a reason to wait. */
export interface Signals {
  /** The standby that is the furthest behind, in bytes. */
  readonly lag:
    | { readonly standby: string; readonly bytes: number }
    | undefined;
  /** A standby whose lag this role may not see. */
  readonly hiddenStandby: string | undefined;
  /** The file that could not be archived, when the last attempt failed. */
  readonly unarchived: string | undefined;
}

/** What a transaction can do for a backfill. */
export interface BackfillWork {
  /**
   * Looks at the table of a backfill; `undefined` when there is none of the name.
   *
   * @returns why it cannot be walked, as a text
   */
  inspect(backfill: Backfill): Promise<FillTable | string | undefined>;

  /** Makes the table of positions, if there is none. @throws {RefusedError} when it is not to be trusted */
  prepare(): Promise<void>;

  /** Writes the first position of a backfill whose row of the history this transaction has written. */
  open(name: string, keys: readonly string[]): Promise<void>;

  /** Lets a failed or edited backfill go on, or brings it to its end: nobody may be at a batch. */
  stop(id: number): Promise<void>;

  /**
   * Begins a batch: applies the settings and takes the position.
   *
   * @returns `busy` when another transaction has it, `undefined` when there is none
   */
  claim(
    id: number,
    limits: BatchLimits,
  ): Promise<Position | "busy" | undefined>;

  /** Reads the position without taking it. */
  look(id: number): Promise<Position | undefined>;

  /** Makes this run the one that works on it. */
  take(id: number): Promise<void>;

  /** The greatest key; `undefined` when the table is empty. */
  lastKey(table: FillTable): Promise<Key | undefined>;

  /** The planner's count of the keys between two. */
  estimate(
    table: FillTable,
    after: Key | null,
    through: Key,
  ): Promise<number>;

  /** Begins a pass. */
  beginPass(
    id: number,
    pass: { readonly passes: number; readonly lastKey: Key; rowsTotal: number },
  ): Promise<void>;

  /** The last of at most so many keys, and how many they are; `undefined` when there is none. */
  bound(
    table: FillTable,
    range: { readonly after: Key | null; readonly through: Key },
    rows: number,
  ): Promise<{ readonly through: Key; readonly rows: number } | undefined>;

  /** How many sessions wait for this one. Sent ahead. */
  waiting(): Promise<number>;

  /** Writes the position; sent ahead of the commit. */
  advance(id: number, advance: Advance): Promise<void>;

  /** Tells the one that is open what to do. @returns whether there is one */
  control(id: number, control: BackfillControl): Promise<boolean>;

  /** Keeps why this run has left it open. */
  note(id: number, error: string): Promise<void>;

  /** Says that this run is there. */
  beat(id: number, beat: Beat): Promise<void>;

  signals(): Promise<Signals>;

  /** Whether the operator's own query says that it has to wait. @throws what is wrong with it */
  asks(query: string, timeoutMs: number): Promise<boolean>;
}
