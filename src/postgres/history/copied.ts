/**
 * The history as COPY tells it, row by row: a history that is far longer than the list of its migrations takes little more
 * memory than that list, and next to no garbage is made of what is past.
 *
 * @module
 */
import { decides, type HistoryRow, isApplied } from "../../plan/history.ts";
import { readCopied } from "../wire/protocol.ts";
import type { Row } from "../wire/protocol.ts";
import type { Form } from "./place.ts";
import { convertedRows, historyRow, type HistoryState } from "./rows.ts";

const TAB = 9;
const ZERO = 48;
const BACKSLASH = 92;

/** The first letters of `failed`, and of `rolled_back` and `running`; in the second they differ. */
const NOT_APPLIED: readonly (number | undefined)[] = [102, 114];
const ROLLED_BACK = [114, 111] as const;

const decoder = new TextDecoder();

/** The row of a migration that decides its state so far: read, or as it came. */
interface Deciding {
  id: number;
  row: HistoryRow | undefined;
  bytes: Uint8Array;
  length: number;
}

/** Takes the rows that `copyStatement` copies, for which `DateStyle` is ISO and `TimeZone` UTC. */
export class CopiedHistory {
  readonly #form: Form;
  readonly #carries: (name: string) => boolean;
  readonly #deciding = new Map<string, Deciding>();
  readonly #past: number[] = [];
  readonly #kyselyRows: Row[] = [];
  #fault: unknown;

  /** @param carries whether the program carries a migration of that name */
  constructor(form: Form, carries: (name: string) => boolean) {
    this.#form = form;
    this.#carries = carries;
  }

  /** Takes a row: the bytes of a `CopyData`. Never throws: whether it is one of a history is not known yet. */
  take(data: Uint8Array, begin: number, end: number): void {
    if (this.#fault !== undefined) return;
    try {
      if (this.#form === "kysely") {
        const [name, timestamp] = readCopied(data.subarray(begin, end));
        this.#kyselyRows.push({ name, timestamp });
      } else if (!this.#isPast(data, begin, end)) {
        this.#decide(historyRow(readCopied(data.subarray(begin, end))));
      }
    } catch (error) {
      this.#fault = error;
    }
  }

  /** @throws {RefusedError} when a row says what none can say */
  state(horizon: string): HistoryState {
    if (this.#fault !== undefined) throw this.#fault;
    const rows = this.#form === "kysely"
      ? convertedRows(this.#kyselyRows)
      : Array.from(this.#deciding.values(), rowOf);
    return { rows, past: this.#past, horizon };
  }

  /** Deals with most of the rows that are not applied, without reading all of them. */
  #isPast(data: Uint8Array, begin: number, end: number): boolean {
    const idEnd = data.indexOf(TAB, begin);
    const nameEnd = data.indexOf(TAB, idEnd + 1);
    const checksumEnd = data.indexOf(TAB, nameEnd + 1);
    if (!NOT_APPLIED.includes(data[checksumEnd + 1])) return false;
    const bytes = data.subarray(idEnd + 1, nameEnd);
    if (bytes.includes(BACKSLASH)) return false;
    const name = decoder.decode(bytes);
    const known = this.#deciding.get(name);
    let id = 0;
    for (let i = begin; i < idEnd; i++) id = id * 10 + data[i]! - ZERO;
    // One that was rolled back and is not carried any more is as good as none.
    const isForgotten = known === undefined &&
      data[checksumEnd + 2] === ROLLED_BACK[1] && !this.#carries(name);
    if (known === undefined && !isForgotten) return false;
    if (known === undefined || isApplied(known.row) || id < known.id) {
      this.#past.push(id);
      return true;
    }
    this.#past.push(known.id);
    const length = end - begin;
    if (known.bytes.length < length) known.bytes = new Uint8Array(2 * length);
    known.bytes.set(data.subarray(begin, end));
    Object.assign(known, { id, row: undefined, length });
    return true;
  }

  #decide(row: HistoryRow): void {
    const known = this.#deciding.get(row.name);
    if (known !== undefined && !decides(row, rowOf(known))) {
      this.#past.push(row.id);
      return;
    }
    if (known !== undefined) this.#past.push(known.id);
    this.#deciding.set(row.name, {
      id: row.id,
      row,
      bytes: NO_BYTES,
      length: 0,
    });
  }
}

const NO_BYTES = new Uint8Array();

function rowOf(deciding: Deciding): HistoryRow {
  const { bytes, length } = deciding;
  return deciding.row ??= historyRow(readCopied(bytes.subarray(0, length)));
}
