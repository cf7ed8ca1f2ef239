/**
 * What a migration has made that may hurt one day, from what there was before it and after.
 *
 * @module
 */
import type { Footprint } from "../../src/insight/footprint.ts";
import {
  type Column,
  filled,
  type ForeignKey,
  nameIn,
  type Seen,
} from "./seen.ts";

/** What a migration has made, from what there was before it and after. */
export function madeBy(
  start: Seen,
  end: Seen,
  messages: readonly string[],
  schema: string,
): Pick<Footprint, "intKeys" | "zoneless" | "unindexed" | "cutNames"> {
  const nameOf = (id: number) => nameIn(end.relations, id, schema);
  const fresh = [...end.columns].filter(([at, { type }]) =>
    start.columns.get(at)?.type !== type
  ).map(([, column]) => column);
  const indexes = [...end.relations.values()].filter(({ columns }) =>
    columns !== null
  );
  const isKey = ({ table, number }: Column) =>
    indexes.some((index) =>
      index.table === table && index.primary === true &&
      index.columns!.length === 1 && index.columns![0] === number
    );
  const isIndexed = ({ table, columns }: ForeignKey) =>
    indexes.some((index) =>
      index.table === table &&
      columns.every((column) =>
        index.columns!.slice(0, columns.length).includes(column)
      )
    );
  const had = new Set(start.keys.map(({ table, name }) => `${table} ${name}`));
  const place = ({ table, name }: { table: number; name: string }) =>
    `${nameOf(table)}.${name}`;
  return {
    ...filled(
      "intKeys",
      fresh.filter((one) => INTS.includes(one.type) && isKey(one)).map(place)
        .sort(),
    ),
    ...filled(
      "zoneless",
      fresh.filter(({ type }) =>
        /^timestamp(\(\d\))? without time zone$/.test(type)
      )
        .map(place).sort(),
    ),
    ...filled(
      "unindexed",
      end.keys.filter((key) =>
        !had.has(`${key.table} ${key.name}`) && !isIndexed(key)
      )
        .map(place).sort(),
    ),
    ...filled(
      "cutNames",
      messages.flatMap((message) =>
        /^identifier "(.*)" will be truncated to ".*"$/.exec(message)?.slice(
          1,
        ) ?? []
      ).sort(),
    ),
  };
}

const INTS: readonly string[] = ["integer", "smallint"];
