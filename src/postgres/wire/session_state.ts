/**
 * What the server says of the session, beside the rows: settings, transactions, answers, and why it ended.
 *
 * @module
 */
import type { DatabaseError } from "../../errors.ts";
import {
  type Answer,
  endsSession,
  type Message,
  readError,
  readSetting,
  readStatus,
  textOf,
} from "./protocol.ts";

/** Hears every message of the server. */
export class SessionState {
  /** The answers that are to come, in the order of the queries: the server keeps it. */
  readonly answers: Answer[] = [];
  readonly #settings = new Map<string, string>();
  /** The command tags of the answer in hand. */
  #tags: string[] = [];
  #isIdle = false;
  #farewell: DatabaseError | undefined;

  /** The settings that the server reports, such as `standard_conforming_strings`, as they are now. */
  get settings(): ReadonlyMap<string, string> {
    return this.#settings;
  }

  /** Whether the last message says that the server waits for a query and that no transaction is open. */
  get isIdle(): boolean {
    return this.#isIdle;
  }

  /** The error with which the server has ended the session. */
  get farewell(): DatabaseError | undefined {
    return this.#farewell;
  }

  take({ type, body }: Message): void {
    this.#isIdle = false;
    switch (type) {
      case "C":
        this.#tags.push(textOf(body));
        break;
      case "E": {
        const error = readError(body);
        if (endsSession(error)) this.#farewell = error;
        const [answer] = this.answers;
        if (answer !== undefined) answer.failure ??= error;
        break;
      }
      case "S":
        this.#settings.set(...readSetting(body));
        break;
      case "Z": {
        const status = readStatus(body);
        this.#isIdle = status === "idle";
        const tags = this.#tags;
        this.#tags = [];
        Object.assign(this.answers.shift() ?? {}, {
          tags,
          status,
          at: performance.now(),
        });
      }
    }
  }
}
