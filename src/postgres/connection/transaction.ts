/**
 * The state of the transaction on a connection: what the server says with each answer decides it.
 *
 * @module
 */
import { DatabaseError } from "../../errors.ts";
import type { TransactionStatus } from "../wire/protocol.ts";

/** The open transaction is not the one that was begun any more: a migration has ended it. */
export class TransactionEndedError extends Error {
  override readonly name = "TransactionEndedError";
}

/** What is known of the transaction on a connection. */
export class TransactionState {
  /** Whether a transaction that {@link begin} has begun is open. */
  isOpen = false;
  /** What the open transaction, whoever began it, is stuck on: nothing of it can be committed. */
  aborted: Error | undefined;
  /** The error that the migration at work was told at the statement that met it: it may have survived it since. */
  told: Error | undefined;
  /** What the open transaction is given up for: it is the error of all that fails from then on. */
  abandoned: Error | undefined;
  /** Whether the migration at work has set a savepoint: then it may survive an error, and sees each where it happens. */
  hasSavepoint = false;

  /** Whether the statement that aborted the transaction has told the migration so. */
  get abortSeen(): boolean {
    return this.aborted !== undefined && this.told === this.aborted;
  }

  begin(): void {
    this.isOpen = true;
    this.aborted = this.abandoned = undefined;
    this.hasSavepoint = false;
  }

  end(): void {
    this.isOpen = false;
    this.aborted = this.abandoned = undefined;
  }

  /**
   * Takes what an answer says of the transaction.
   *
   * @param isOurs whether it was sent in a transaction of {@link begin}, which has to be open still
   * @param failure the error, if it was one
   */
  follow(
    status: TransactionStatus | undefined,
    isOurs: boolean,
    failure?: Error,
  ): void {
    if (status === "failed") {
      this.aborted ??= failure;
    } else if (status === "idle" && isOurs) {
      this.aborted ??= failure ??
        new TransactionEndedError("the transaction has been ended");
    } else if (
      status !== undefined && !(this.aborted instanceof TransactionEndedError)
    ) {
      this.aborted = undefined;
    }
  }

  /** Nothing after the error that has aborted the transaction can succeed. */
  throwIfAborted(): void {
    if (this.aborted !== undefined) throw this.aborted;
  }
}

/** What a commit has failed with that the server answered by a rollback, and no error. */
export function rolledBack(): DatabaseError {
  return new DatabaseError({
    code: "40000",
    severity: "ERROR",
    message: "the server rolled back the transaction instead of committing it",
  });
}
