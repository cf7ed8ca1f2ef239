/**
 * A session that is logged in and knows the history as it was then. What it needs for more than that is loaded when it is
 * asked for more: most runs find that nothing is to be done.
 *
 * @module
 */
import type { LockHolder, ServerInfo } from "../report/events.ts";
import type { HistoryRow } from "../plan/history.ts";
import type { Link } from "./wire/link.ts";
import type { Backend, Session, Work } from "../engine/ports.ts";
import type { SessionOptions, WorkingSession } from "./working_session.ts";

/** The {@link Session} on PostgreSQL. */
export class PostgresSession implements Session {
  readonly server: ServerInfo;
  readonly history: readonly HistoryRow[];
  readonly #link: Link;
  readonly #options: SessionOptions;
  readonly #openedAt = performance.now();
  #working: Promise<WorkingSession> | undefined;
  #loaded: WorkingSession | undefined;

  constructor(link: Link, options: SessionOptions) {
    this.#link = link;
    this.#options = options;
    this.server = options.server;
    this.history = options.history?.rows ?? [];
  }

  get isLost(): boolean {
    return this.#link.lost !== undefined;
  }

  get backend(): Backend | undefined {
    const pid = this.server.pooled ? undefined : this.#link.announcedPid;
    const { host, port } = this.server;
    return pid === undefined
      ? undefined
      : { host, port, pid, since: this.#openedAt };
  }

  get isUnanswered(): boolean {
    return this.#loaded?.isUnanswered ?? false;
  }

  async despiteStop<T>(work: () => Promise<T>): Promise<T> {
    return await (await this.#work()).despiteStop(work);
  }

  async kyselyTable(
    table: string,
  ): Promise<readonly { readonly name: string; readonly timestamp: string }[]> {
    return await (await this.#work()).kyselyTable(table);
  }

  async transaction<T>(work: (work: Work) => Promise<T>): Promise<T> {
    return await (await this.#work()).transaction(work);
  }

  async pinned<T>(work: (work: Work) => Promise<T>): Promise<T> {
    return await (await this.#work()).pinned(work);
  }

  async lockHolder(): Promise<LockHolder | undefined> {
    return await (await this.#work()).lockHolder();
  }

  async endIdle(abandoned: Backend): Promise<void> {
    await (await this.#work()).endIdle(abandoned);
  }

  async close(): Promise<void> {
    if (this.#working === undefined) await this.#link.close();
    else await (await this.#working).close();
  }

  #work(): Promise<WorkingSession> {
    return this.#working ??= this.#begin();
  }

  async #begin(): Promise<WorkingSession> {
    const { WorkingSession } = await import("./working_session.ts");
    return this.#loaded = new WorkingSession(this.#link, this.#options);
  }
}
