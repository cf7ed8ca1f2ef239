/**
 * The types of values: how their texts become values of JavaScript, and what a parameter is wanted as.
 *
 * PostgreSQL's own types have numbers that never change. Any other is looked up when it comes.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { parseArray } from "./array_text.ts";
import { parseDate } from "./date_text.ts";

/** A type; a domain counts as the type that it is made of. */
export interface ValueType {
  readonly oid: number;
  /** What an array consists of, and what stands between. */
  readonly elements?: {
    readonly type: ValueType;
    readonly delimiter: string;
  };
  /** Whether its values are texts, whatever the text. */
  readonly isText: boolean;
}

type Parse = (text: string) => unknown;

/** OIDs of `pg_type` that parameters ask for. */
export const [BYTEA, JSON_TYPE, TEXT, UUID, JSONB] = [17, 114, 25, 2950, 3802];

/** Below it OIDs are assigned by hand, once and for all: `FirstGenbkiObjectId` of PostgreSQL's `access/transam.h`. */
const FIRST_GENERATED_OID = 10_000;

/** "char", name, text, json, xml, unknown, char and varchar. */
const TEXTS = [18, 19, TEXT, JSON_TYPE, 142, 705, 1042, 1043];

/** The arrays among PostgreSQL's own types, as of version 18: element and array. */
const ARRAYS = "142:143 114:199 71:210 75:270 5069:271 81:272 83:273 628:629 " +
  "650:651 718:719 774:775 790:791 16:1000 17:1001 18:1002 19:1003 21:1005 " +
  "22:1006 23:1007 24:1008 25:1009 27:1010 28:1011 29:1012 30:1013 1042:1014 " +
  "1043:1015 20:1016 600:1017 601:1018 602:1019 603:1020 700:1021 701:1022 " +
  "604:1027 26:1028 1033:1034 829:1040 869:1041 1114:1115 1082:1182 1083:1183 " +
  "1184:1185 1186:1187 1700:1231 2275:1263 1266:1270 1560:1561 1562:1563 " +
  "1790:2201 2202:2207 2203:2208 2204:2209 2205:2210 2206:2211 2249:2287 " +
  "2970:2949 2950:2951 3220:3221 3614:3643 3642:3644 3615:3645 3734:3735 " +
  "3769:3770 3802:3807 3904:3905 3906:3907 3908:3909 3910:3911 3912:3913 " +
  "3926:3927 4072:4073 4089:4090 4096:4097 4191:4192 5038:5039 4451:6150 " +
  "4532:6151 4533:6152 4534:6153 4535:6155 4536:6157";

/** Element by array. */
const ELEMENTS: ReadonlyMap<number, number> = new Map(
  ARRAYS.split(" ").map((pair) => {
    const [element, array] = pair.split(":").map(Number);
    return [array!, element!];
  }),
);

/** The only type of PostgreSQL's own whose arrays have another delimiter than a comma. */
const BOX = 603;

/** A type that PostgreSQL brings along; `undefined` for any other. */
export function builtInType(oid: number): ValueType | undefined {
  if (oid >= FIRST_GENERATED_OID) return undefined;
  const element = ELEMENTS.get(oid);
  return element === undefined
    ? { oid, isText: TEXTS.includes(oid) }
    : arrayType(oid, builtInType(element)!, element === BOX ? ";" : ",");
}

/** The parsers of PostgreSQL's own types; a value of any type that is not among them stays a text. */
export function builtInParsers(): Record<number, Parse> {
  const arrays = [...ELEMENTS.keys()].map((oid) =>
    [oid, parserOf(builtInType(oid)!)!] as const
  );
  return { ...PARSERS, ...Object.fromEntries(arrays) };
}

/** How the text of a value is read; `undefined` when it stays a text. */
export function parserOf({ oid, elements }: ValueType): Parse | undefined {
  if (elements === undefined) return PARSERS[oid];
  const { type, delimiter } = elements;
  const parse = parserOf(type);
  return (text) => parseArray(text, delimiter, parse);
}

/** Asks for types by their OIDs, and for those that they are made of. {@link readTypes} takes the rows. */
export function typesQuery(oids: readonly number[]): string {
  const columns = ["oid", "typbasetype", "typelem", "typdelim", "typcategory"];
  const list = (table: string) =>
    columns.map((column) => `${table}.${column}`).join(", ");
  // What is written as an array is told by its output function: `point` has elements, too.
  const isArray = "t.typoutput operator(pg_catalog.=) " +
    "'pg_catalog.array_out'::pg_catalog.regproc";
  return `with recursive known as (
    select ${list("t")}, ${isArray} as is_array from pg_catalog.pg_type t
      where t.oid operator(pg_catalog.=) any ('{${oids}}'::pg_catalog.oid[])
    union all
    select ${list("t")}, ${isArray} from known k join pg_catalog.pg_type t
      on t.oid operator(pg_catalog.=) k.typbasetype
      or k.is_array and t.oid operator(pg_catalog.=) k.typelem
  ) select oid, typbasetype as base, case when is_array then typelem end as element,
    typdelim::pg_catalog.text as delimiter, typcategory::pg_catalog.text as category from known`;
}

/** The types in the rows that {@link typesQuery} returned, by OID. */
export function readTypes(
  rows: readonly Readonly<Record<string, unknown>>[],
): Map<number, ValueType> {
  const byOid = new Map(rows.map((row) => [Number(row.oid), row]));
  const read = (oid: number): ValueType => {
    const row = byOid.get(oid);
    if (row === undefined) return builtInType(oid) ?? { oid, isText: false };
    if (Number(row.base) !== 0) return read(Number(row.base));
    if (row.element === null) {
      // Strings, and enums, which are written like them.
      return { oid, isText: row.category === "S" || row.category === "E" };
    }
    const element = Number(row.element);
    return arrayType(
      oid,
      read(element),
      String(byOid.get(element)?.delimiter ?? ","),
    );
  };
  return new Map(
    [...byOid.keys()].map((oid) => [oid, builtInType(oid) ?? read(oid)]),
  );
}

function arrayType(
  oid: number,
  type: ValueType,
  delimiter: string,
): ValueType {
  return { oid, elements: { type, delimiter }, isText: false };
}

/** By the OIDs of `pg_type`. A `bigint` and a `numeric` hold more than a number of JavaScript, and stay texts. */
const PARSERS: Readonly<Record<number, Parse>> = {
  16: (text) => text === "t",
  [BYTEA]: parseBytes,
  21: Number,
  23: Number,
  26: Number,
  700: Number,
  701: Number,
  [JSON_TYPE]: JSON.parse,
  [JSONB]: JSON.parse,
  1082: parseDate,
  1114: parseDate,
  1184: parseDate,
};

/** Reads bytes in either format: a migration may choose another than ours. */
function parseBytes(text: string): Buffer {
  return text.startsWith("\\x")
    ? Buffer.from(text.slice(2), "hex")
    : Buffer.from(
      text.replace(
        /\\(?:\\|([0-7]{3}))/g,
        (_, octal) =>
          octal === undefined ? "\\" : String.fromCharCode(parseInt(octal, 8)),
      ),
      "latin1",
    );
}
