/**
 * The journal of a step outside a transaction: `running` before it, `applied` or `rolled_back` after it. Each of its writes
 * takes effect at once, and so may have taken effect when its answer is lost.
 *
 * @module
 */
import { cannotTell, lookUp, type Loss } from "./commit.ts";
import { RefusedError, UnsettledError } from "../errors.ts";
import { addressText } from "../text.ts";
import type { AppliedRow, HistoryChange } from "../plan/history.ts";
import { outcomeOf, type TracedRow } from "../plan/outcome.ts";
import type { Step } from "../plan/plan.ts";
import type { Session, Work } from "./ports.ts";
import { shellWord } from "../text.ts";

/** Where the journal of a step is written. */
interface Place extends Loss {
  readonly work: Work;
}

/** The journal of one step. */
export class Journal {
  readonly #at: Place;
  readonly #step: Step;
  #id: number | undefined;

  constructor(step: Step, at: Place) {
    this.#at = at;
    this.#step = step;
  }

  /** The row of the step, once it is there. */
  get id(): number | undefined {
    return this.#id;
  }

  /**
   * Writes that the step runs, and closes what an interrupted attempt left open.
   *
   * @throws {UnsettledError} when the history may say that the step runs
   * @throws what went wrong; then the history does not say so
   */
  async open(): Promise<void> {
    const { session, work } = this.#at;
    const changes = openingChanges(this.#step);
    try {
      await work.prepareHistory();
      this.#id = (await work.write(changes)).at(-1)!.id;
    } catch (error) {
      if (session.isLost) await this.#takeBack(changes.at(-1)!, error);
      throw error;
    }
  }

  /**
   * Writes that the step has taken effect, also when the process was asked to stop meanwhile.
   *
   * @throws {UnsettledError} when the history may still say that the step runs
   */
  async close(durationMs: number): Promise<void> {
    const { session, work } = this.#at;
    const id = this.#id!;
    const change: HistoryChange = this.#step.direction === "up"
      ? { kind: "finish", id, durationMs }
      : { kind: "roll_back", id };
    const write = () => session.despiteStop(() => work.write([change]));
    try {
      // The request to stop may come while it is written, and cancel it.
      await write().catch((error) => {
        if (session.isLost) throw error;
        return write();
      });
    } catch (error) {
      if (!session.isLost) throw this.#notClosed(error);
      await this.#closeAnew(change, error);
    }
  }

  /** What to say of a step one of whose statements has no answer. Its row stays as it is: nobody knows what it should say. */
  async unanswered(error: unknown): Promise<Error> {
    const { direction, migration: { name, idempotent } } = this.#step;
    const id = this.#id!;
    const reason = await lookUp(
      this.#at,
      [{ kind: "roll_back", id }],
      (now) => changedSince(now.find((row) => row.id === id)),
    ).catch((reason) => reason);
    return cannotTell(
      `"${name}" took effect`,
      { error, reason },
      idempotent && direction === "up"
        ? "The history says running, and it is idempotent: the next up tries it again"
        : "The history says running: look at the database, then " +
          `run repair --retry ${shellWord(name)} or repair --mark-applied ${
            shellWord(name)
          }`,
    );
  }

  /** A step that did not run must not be told as running. */
  async #takeBack(opening: HistoryChange, error: unknown): Promise<void> {
    const { direction, row, migration: { name } } = this.#step;
    await lookUp(this.#at, [opening], (now, work) => {
      if (outcomeOf([opening], [], now) !== "committed") return;
      const opened = now.find((one) =>
        one.status === "running" &&
        (direction === "up"
          ? one.isOurs && one.name === name
          : one.id === row!.id)
      );
      if (opened === undefined) return;
      void work.write([
        direction === "up" ? { kind: "roll_back", id: opened.id } : {
          kind: "cancel_rollback",
          id: opened.id,
          status: row!.status as AppliedRow["status"],
        },
      ]);
    }).catch((reason) => {
      const way = direction === "up" ? "--retry" : "--mark-applied";
      throw cannotTell(
        `the history says that "${name}" runs`,
        { error, reason },
        `It did not run: if status says running, run repair ${way} ${name}`,
      );
    });
  }

  /** The step has taken effect: if the history does not say so yet, it may be told. */
  async #closeAnew(change: HistoryChange, error: unknown): Promise<void> {
    const outcome = await lookUp(this.#at, [change], (now, work) => {
      const outcome = outcomeOf([change], [], now);
      if (outcome === "rolled_back") void work.write([change]);
      return outcome;
    }).catch((reason) => {
      throw this.#notClosed(error, reason);
    });
    if (outcome === "unknown") {
      throw this.#notClosed(
        error,
        new RefusedError(["Another run has changed its row"]),
      );
    }
    this.#at.ports.report({
      event: "warning",
      message:
        `The connection was lost when "${this.#step.migration.name}" had taken effect; the history says so`,
    });
  }

  /** @param reason why it is not even known whether the history says so */
  #notClosed(error: unknown, reason?: unknown): Error {
    const { direction, migration: { name } } = this.#step;
    const [state, way] = direction === "up"
      ? ["applied", "--mark-applied"]
      : ["rolled back", "--retry"];
    const remedy = `run repair ${way} ${name}`;
    return reason === undefined
      ? new UnsettledError(`Cannot record that "${name}" is ${state}`, {
        cause: error,
        hint: `It has taken effect: ${remedy}`,
      })
      : cannotTell(
        `the history says that "${name}" is ${state}`,
        { error, reason },
        `It has taken effect: if status says running, ${remedy}`,
      );
  }
}

/**
 * Behind a pooler no step can run outside a transaction: its lock would be another client's.
 *
 * @throws {RefusedError} before anything runs
 */
export function refusePooler(session: Session, steps: readonly Step[]): void {
  if (!session.server.pooled) return;
  const faults = steps.filter(({ migration }) => !migration.transaction).map((
    { migration, direction },
  ) =>
    `Cannot ${
      direction === "up" ? "apply" : "roll back"
    } "${migration.name}": it runs outside a transaction, and ` +
    `${
      addressText(session.server)
    } is a connection pooler; use the direct address of the server`
  );
  if (faults.length > 0) throw new RefusedError(faults);
}

function openingChanges({ direction, migration, row }: Step): HistoryChange[] {
  if (direction === "down") return [{ kind: "start_rollback", id: row!.id }];
  const left: HistoryChange[] = row?.status === "running"
    ? [{ kind: "fail", id: row.id, durationMs: null, error: "interrupted" }]
    : [];
  return [...left, {
    kind: "insert",
    name: migration.name,
    checksum: migration.checksum,
    status: "running",
    startedAgoMs: 0,
    durationMs: null,
    error: null,
  }];
}

/** What another run has made of a row that said running. */
function changedSince(row: TracedRow | undefined): Error | undefined {
  if (row?.status === "running") return undefined;
  return new RefusedError([
    `Another run has changed its row, which says ${row?.status ?? "nothing"}`,
  ]);
}
