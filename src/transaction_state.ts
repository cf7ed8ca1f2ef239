/**
 * What is known of the open transaction from the statements that were sent and the errors that came back.
 *
 * @module
 */
import type { DatabaseError } from "./errors.ts";
import { changesSettings } from "./statement.ts";

const BEGIN = /^\s*(?:begin|start\s+transaction)\b[^;]*;?\s*$/i;
const COMMIT = /^\s*commit\s*;?\s*$/i;
const ROLLBACK = /^\s*(?:rollback|abort)(?:\s+(?:work|transaction))?\s*;?\s*$/i;
const ROLLBACK_TO = /^\s*rollback\s+to\b/i;
const SAVEPOINT = /^\s*savepoint\b/i;
const NEW_TYPE = /^\s*create\s+(?:type|domain|table|extension)\b/i;

/** Whether the statement begins a transaction. */
export function begins(text: string): boolean {
  return BEGIN.test(text);
}

/** Whether the statement commits the transaction. */
export function commits(text: string): boolean {
  return COMMIT.test(text);
}

/** Whether the statement rolls the transaction back. */
export function rollsBack(text: string): boolean {
  return ROLLBACK.test(text);
}

/** Whether the statement rolls back to a savepoint. */
export function rollsBackTo(text: string): boolean {
  return ROLLBACK_TO.test(text);
}

/** Follows one connection. */
export class TransactionState {
  /** `ahead`: in a transaction without a savepoint, in which an error is final. */
  #state: "idle" | "ahead" | "transaction" = "idle";
  #aborted: DatabaseError | undefined;
  #abortSeen = false;
  #settingsChanged = false;
  #typesKnown = false;

  /** Whether a transaction is open, as far as statements tell. */
  get isOpen(): boolean {
    return this.#state !== "idle";
  }

  /** Whether an error of a statement would be final, so that the next may be sent before its answer. */
  get errorsAreFinal(): boolean {
    return this.#state === "ahead";
  }

  /** The first error of the transaction: from there on the server ignores every statement of it. */
  get aborted(): DatabaseError | undefined {
    return this.#aborted;
  }

  /** Whether {@link aborted} was thrown to a caller; a statement sent ahead has no caller to throw to. */
  get abortSeen(): boolean {
    return this.#abortSeen;
  }

  /** Whether the array types of the database are known. New types have new array types. */
  get typesKnown(): boolean {
    return this.#typesKnown;
  }

  /** The array types were read. */
  typesRead(): void {
    this.#typesKnown = true;
  }

  /** A statement is sent. */
  follow(text: string): void {
    if (begins(text)) {
      this.#state = "ahead";
      this.resolve();
    } else if (commits(text) || rollsBack(text)) {
      this.#state = "idle";
    } else if (SAVEPOINT.test(text) && this.#state === "ahead") {
      // A migration that sets one may want to survive an error: from here on it sees each where it happens.
      this.#state = "transaction";
    }
    if (changesSettings(text)) this.#settingsChanged = true;
    if (NEW_TYPE.test(text)) this.#typesKnown = false;
  }

  /** A statement of the transaction has failed; only the first counts. */
  abort(error: DatabaseError): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = error;
    this.#abortSeen = false;
  }

  /** What had failed is undone. */
  resolve(): void {
    this.#aborted = undefined;
    this.#abortSeen = false;
  }

  /** The error that aborted the transaction, for a caller, unless one has seen it already. */
  takeUnseen(): DatabaseError | undefined {
    if (this.#abortSeen) return undefined;
    this.#abortSeen = this.#aborted !== undefined;
    return this.#aborted;
  }

  /** Whether a statement since the last call has changed settings that outlive it. */
  takeSettingsChanged(): boolean {
    const changed = this.#settingsChanged;
    this.#settingsChanged = false;
    return changed;
  }
}
