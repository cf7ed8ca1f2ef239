/**
 * Statements, their parameters and their results on postgres.js.
 *
 * The driver would ask for the types of parameters first, and convert by them in its own way. Here the texts of
 * `parameters.ts` go with the statement, in one flight, and the server reads them. Only arrays and bytes, of which the type
 * decides the text, take the way of the driver. A type that is not known yet is looked up when it comes.
 *
 * @module
 */
import type postgres from "postgres";
import { type Parameter, writeParameters } from "../values/parameters.ts";
import type { Answer, Rows } from "./protocol.ts";
import {
  builtInParsers,
  builtInType,
  parserOf,
  readTypes,
  TEXT,
  typesQuery,
  type ValueType,
} from "../values/value_type.ts";

/** What the driver sends in place of the arguments of a statement. */
interface Texts {
  readonly length: number;
  forEach(write: (text: string | null, i: number) => void): void;
}

/** A statement of the driver's. */
interface Query extends PromiseLike<unknown> {
  parameters?: Texts;
  /** `false` once the server has understood it. */
  readonly parsing?: boolean;
  /** What the server wants for its parameters, once it has described it. */
  readonly statement: { readonly types: readonly number[] } | null;
  /** Sends it. Awaiting it would do so as well, but not in the order in which statements were made. */
  execute(): void;
}

interface Column {
  readonly name: string;
  /** The OID of its type. */
  readonly type: number;
  /** What the driver has converted it with. */
  readonly parser?: unknown;
}

type Result = Record<string, unknown>[] & {
  readonly columns?: readonly Column[] | null;
};

/** So many parameters, and more, the driver does not send together with their statement. */
const DRIVER_LIMIT = 65_534;

/** Thrown between the description of a statement and its parameters: the driver gives the statement up. */
class UnknownTypeError extends Error {}

/** Runs statements on the driver's one connection. */
export class StatementRunner {
  readonly #handle: postgres.ReservedSql;
  readonly #answers: Answer[];
  /** The driver's, by OID; what is added holds for the results that it begins to read later. */
  readonly #parsers: Record<number, (text: string) => unknown>;
  /** The types that have come and that PostgreSQL does not bring along. */
  readonly #types = new Map<number, ValueType>();
  /** The end of a statement that may have to be sent twice: nothing else may come in between. */
  #asking: Promise<void> | undefined;

  /** @param answers gets an answer to be filled for each query, before it is sent */
  constructor(
    sql: postgres.Sql,
    handle: postgres.ReservedSql,
    answers: Answer[],
  ) {
    const { parsers, serializers } = sql.options;
    this.#handle = handle;
    this.#answers = answers;
    this.#parsers = Object.assign(parsers, builtInParsers());
    for (const oid of Object.keys(serializers)) delete serializers[Number(oid)];
  }

  /**
   * Runs one statement, or several without parameters, in the same flight as others of this turn.
   *
   * @param answer is filled with what the server says of it
   * @throws {Error} for a parameter that cannot be sent, and whatever the driver throws
   */
  async run(
    text: string,
    values: readonly unknown[],
    answer: Answer,
  ): Promise<Rows> {
    const parameters = writeParameters(text, values);
    const rows = await this.#inTurn(text, parameters, answer);
    // Without more to wait for, a statement ends before the next: with as many steps whether it succeeds or fails.
    if (resultsOf(rows).some(isUnread)) await this.#read(rows, answer);
    return rows as Rows;
  }

  #inTurn(
    text: string,
    parameters: readonly Parameter[],
    answer: Answer,
  ): PromiseLike<unknown> {
    const before = this.#asking;
    if (parameters.every(isText)) {
      const send = () => this.#send(text, parameters, answer);
      return before?.then(send) ?? send();
    }
    const ask = () => this.#ask(text, parameters, answer);
    const result = before?.then(ask) ?? ask();
    this.#asking = result.then(() => {}, () => {});
    return result;
  }

  /** Sends a statement whose parameters depend on types; once more, when one of the types has to be looked up first. */
  async #ask(
    text: string,
    parameters: readonly Parameter[],
    answer: Answer,
  ): Promise<unknown> {
    const query = this.#send(text, parameters, answer);
    try {
      return await query;
    } catch (error) {
      if (!(error instanceof UnknownTypeError)) throw error;
    }
    const oids = parameters.map((_, i) => wantedBy(query, i));
    await this.#learn(oids.filter((_, i) => !isText(parameters[i]!)), answer);
    const texts = parameters.map((one, i) =>
      isText(one) ? one : one(this.#type(oids[i]!))
    );
    return await this.#send(text, texts, answer);
  }

  /** Sends a statement with its parameters, or several without. */
  #send(
    text: string,
    parameters: readonly Parameter[],
    answer: Answer,
  ): Query {
    const { length } = parameters;
    const together = length < DRIVER_LIMIT && parameters.every(isText);
    // The driver asks for the types of the arguments that it was given.
    const query = this.#handle.unsafe(
      text,
      together ? [] : [null],
      // Without parameters the simple protocol is used: one message, and several statements are allowed.
      { prepare: false, simple: length === 0 } as never,
    ) as unknown as Query;
    if (together && length > 0) query.parameters = [...parameters];
    if (!together) query.parameters = this.#described(query, parameters);
    this.#answers.push(answer);
    query.execute();
    return query;
  }

  /** The parameters of a statement that is described first: till then there are none, and the driver does not count them. */
  #described(query: Query, parameters: readonly Parameter[]): Texts {
    const list = () => query.parsing === false ? parameters : [];
    return {
      get length() {
        return list().length;
      },
      forEach: (write) =>
        list().forEach((one, i) =>
          write(isText(one) ? one : one(this.#known(wantedBy(query, i))), i)
        ),
    };
  }

  /** Converts what the driver has left as text because it did not know the type yet. */
  async #read(rows: unknown, answer: Answer): Promise<void> {
    const unread = resultsOf(rows).filter(isUnread);
    await this.#learn(
      unread.flatMap(({ columns }) => columns!.map(({ type }) => type)),
      answer,
    );
    for (const result of unread) {
      // Of several columns of one name the last one counts.
      const byName = new Map(result.columns!.map((one) => [one.name, one]));
      for (const { name, type, parser } of byName.values()) {
        const parse = parser === undefined
          ? parserOf(this.#type(type))
          : undefined;
        if (parse === undefined) continue;
        for (const row of result) {
          if (row[name] !== null) row[name] = parse(String(row[name]));
        }
      }
    }
  }

  /** Looks up those among the types that are not known, in a flight after the one that `answer` answers. */
  async #learn(oids: readonly number[], answer: Answer): Promise<void> {
    const unknown = oids.filter((oid) =>
      builtInType(oid) === undefined && !this.#types.has(oid)
    );
    if (unknown.length === 0) return;
    const own: Answer = { tags: [] };
    try {
      const rows = await this.#send(typesQuery(unknown), [], own);
      for (const [oid, type] of readTypes(rows as Result)) {
        this.#types.set(oid, type);
        const parse = parserOf(type);
        if (parse !== undefined) this.#parsers[oid] = parse;
      }
    } finally {
      if (own.status !== undefined) answer.status = own.status;
      if (own.failure !== undefined) answer.failure = own.failure;
    }
  }

  #known(oid: number): ValueType {
    const type = builtInType(oid) ?? this.#types.get(oid);
    if (type === undefined) throw new UnknownTypeError();
    return type;
  }

  /** A type that has been looked up; what is in no catalog, as nothing special. */
  #type(oid: number): ValueType {
    return builtInType(oid) ?? this.#types.get(oid) ?? { oid, isText: false };
  }
}

/** The OID of the type that the server wants in a place. A place that there is not is an error of the server's. */
function wantedBy({ statement }: Query, i: number): number {
  return statement?.types[i] || TEXT;
}

function isText(parameter: Parameter): parameter is string | null {
  return typeof parameter !== "function";
}

/** Whether the driver may have left values as text for not knowing their types. */
function isUnread({ length, columns }: Result): boolean {
  return length > 0 &&
    columns?.some(({ type, parser }) =>
        parser === undefined && builtInType(type) === undefined
      ) === true;
}

/** One statement is answered with its rows, several with a list of such. */
function resultsOf(rows: unknown): readonly Result[] {
  return "columns" in (rows as object) ? [rows as Result] : rows as Result[];
}
