/**
 * The few errors that a caller treats apart, and the table of exit codes.
 *
 * @module
 */

/** What the process returns. Scripts build on these numbers: the list stays small and stable. */
export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  pending: 3,
  differs: 3,
  unfinished: 4,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** The arguments, the environment or the configuration cannot be used; every fault is in `faults`. Exit 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  constructor(readonly faults: readonly string[]) {
    super(faults.join("\n"));
  }
}

/** The plan, or the state it would run in, is refused before anything ran; every fault is in `faults`. Exit 1. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";

  constructor(readonly faults: readonly string[]) {
    super(faults.join("\n"));
  }
}

/** What PostgreSQL said of a failed statement. */
export interface ServerMessage {
  /** SQLSTATE, five characters. */
  readonly code: string;
  readonly severity: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly where?: string;
  /** The statement, as it was sent, without its parameters. */
  readonly statement?: string;
  /** Where in the statement, counted in characters from 1. */
  readonly position?: number;
  /** What the error is about, if it is about one. */
  readonly schema?: string;
  readonly table?: string;
  readonly constraint?: string;
}

/** PostgreSQL refused a statement. */
export class DatabaseError extends Error {
  override readonly name = "DatabaseError";

  constructor(readonly server: ServerMessage, options?: ErrorOptions) {
    super(server.message, options);
  }
}

/** No connection could be made. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** Whether waiting may help. */
  readonly transient: boolean;
  /** Whether nobody answered in time. */
  readonly timedOut: boolean;
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: ErrorOptions & {
      transient: boolean;
      timedOut?: boolean;
      hint?: string | undefined;
    },
  ) {
    super(message, options);
    this.transient = options.transient;
    this.timedOut = options.timedOut ?? false;
    this.hint = options.hint;
  }
}

/** The connection ended under a running session. The session is over: it is never replaced by a fresh one. */
export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";

  constructor(reason: string, options?: ErrorOptions) {
    super(`The connection to the database was lost: ${reason}`, options);
  }
}

/** The process was asked to stop. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";

  constructor(readonly signal: "SIGINT" | "SIGTERM") {
    super(`Stopped by ${signal}`);
  }
}

/** One migration failed; `cause` says why. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";

  constructor(
    readonly migration: string,
    readonly direction: "up" | "down",
    options: { cause: unknown },
  ) {
    super(
      `Cannot ${direction === "up" ? "apply" : "roll back"} "${migration}"`,
      options,
    );
  }
}

/** It ended in a way that somebody has to look at; `cause` is what made it so. */
export class UnsettledError extends Error {
  override readonly name = "UnsettledError";
  /** Why the program cannot settle it. */
  readonly detail: string | undefined;
  /** What to do. */
  readonly hint: string;

  constructor(
    message: string,
    options: { cause: unknown; detail?: string; hint: string },
  ) {
    super(message, options);
    this.detail = options.detail;
    this.hint = options.hint;
  }
}

/** What a run has made of the schema is not what its migrations were recorded to make. */
export class DiffersError extends Error {
  override readonly name = "DiffersError";
  readonly hint: string;
  readonly migration: string | undefined;

  /**
   * @param lines each difference, for a person
   * @param differences the same as data, as `verify` prints it
   * @param options.migration what they are put down to; missing when nobody can tell
   */
  constructor(
    message: string,
    readonly lines: readonly string[],
    readonly differences: readonly object[],
    options: {
      readonly hint: string;
      readonly migration: string | undefined;
    },
  ) {
    super(message);
    this.hint = options.hint;
    this.migration = options.migration;
  }
}

/** What the code of a migration threw, and where; says nothing that its cause does not say. */
export class LocatedError extends Error {
  override readonly name = "LocatedError";

  /** @param location as `migrations/0002_b.ts:7:13` */
  constructor(readonly location: string, options: { cause: Error }) {
    super("", options);
  }
}

/** What failed has left indexes behind, invalid; says nothing else that its cause does not say. */
export class LeftBehindError extends Error {
  override readonly name = "LeftBehindError";

  /**
   * @param indexes as they are written in SQL
   * @param unnamed those of them whose name nobody can tell from the statement
   * @param isDropped whether the next run drops them
   */
  constructor(
    readonly indexes: readonly string[],
    readonly unnamed: readonly string[],
    readonly isDropped: boolean,
    options: { cause: unknown },
  ) {
    super("", options);
  }
}

/** A migration would have ended the process. */
export class ExitError extends Error {
  override readonly name = "ExitError";

  /**
   * @param deed as `called Deno.exit(0)`
   * @param who did it
   */
  constructor(readonly deed: string, who = "a migration") {
    super(
      `${who} ${deed}: a migration cannot end the program; to fail, throw an error`,
    );
  }
}

/** What is said of an error that comes from nowhere; its cause says which. */
export const STRAY = "something failed that nothing waited for";

/** The SQLSTATE of an error or of the errors that caused it, or `undefined`. */
export function sqlStateOf(error: unknown): string | undefined {
  return causeOf(error, DatabaseError)?.server.code;
}

/** The first error of class `type` in the chain of causes, or `undefined`. */
export function causeOf<T extends Error>(
  error: unknown,
  // deno-lint-ignore no-explicit-any -- a constructor's parameters are contravariant: only `any` accepts every class
  type: new (...args: any[]) => T,
): T | undefined {
  return causesOf(error).find((e) => e instanceof type) as T | undefined;
}

/** The error and what caused it, as far as these are errors. Migrations throw what they like: a circle is cut. */
export function causesOf(error: unknown): readonly Error[] {
  const chain = new Set<Error>();
  for (let e = error; e instanceof Error && !chain.has(e); e = e.cause) {
    chain.add(e);
  }
  return [...chain];
}
