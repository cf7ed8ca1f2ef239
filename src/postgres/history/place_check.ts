/**
 * Under the lock the server itself sees to it that the history is where it is thought to be and may be written there: it goes
 * no further when a migration, or another migrator, has created a schema meanwhile, or the table is a stranger's.
 *
 * @module
 */
import { RefusedError } from "../../errors.ts";
import {
  elsewhereError,
  HISTORY_TABLE,
  historyName,
  historyTable,
  type Place,
  placeOf,
  readPath,
  strangerText,
} from "./place.ts";
import { HORIZON } from "./rows.ts";
import {
  elsewhereQuery,
  pathQuery,
  trustQuery,
  writableQuery,
} from "./place_query.ts";
import { quote } from "../../text.ts";
import { refusal, refusedText } from "./server_refusal.ts";
import { quoteIdentifier, quoteLiteral } from "../../sql/quote.ts";

export interface PlaceOptions {
  /** The schema that was chosen; the search path decides when missing. */
  readonly chosenSchema: string | undefined;
  /** The role that is trusted by `--trust-history-owner`. */
  readonly trustedOwner: string | undefined;
}

/** What the server says when it goes no further. */
interface News {
  readonly facts: string;
  readonly trusted: boolean | null;
  /** Whether the user has the privileges to write it. */
  readonly writable: boolean | null;
  readonly elsewhere: readonly string[] | null;
}

const KIND = "place";

/** Returns one row, `horizon`, or fails with what {@link placeAfter} reads. */
export function placeCheck(
  { schema, form, facts }: Place,
  { chosenSchema, trustedOwner }: PlaceOptions,
): string {
  const [trusted, writable] = form === "missing"
    ? ["null::boolean", "null::boolean"]
    : [
      trustQuery(schema!, HISTORY_TABLE, trustedOwner),
      writableQuery(schema!),
    ];
  const elsewhere = form === "missing" && chosenSchema === undefined
    ? elsewhereQuery(trustedOwner)
    : "null::pg_catalog.name[]";
  const news = "pg_catalog.json_build_object('facts', c.facts, " +
    `'trusted', c.trusted, 'writable', ${writable}, 'elsewhere', c.elsewhere)`;
  return `select ${HORIZON} as horizon,
      case when c.facts operator(pg_catalog.=) ${quoteLiteral(facts)}
        and c.trusted is not false and c.elsewhere is null then 0 else ${
    refusal(KIND, [news])
  } end as moved
    from (select p.facts, ${trusted} as trusted, ${elsewhere} as elsewhere from ${
    pathQuery(chosenSchema)
  } p) c`;
}

/**
 * Where the history is according to an error of {@link placeCheck}; `undefined` when it is another error.
 *
 * @throws {RefusedError} when it cannot be used there
 */
export function placeAfter(
  error: unknown,
  before: Place,
  user: string,
): Place | undefined {
  const text = refusedText(error, KIND);
  if (text === undefined) return undefined;
  const { facts, trusted, writable, elsewhere } = JSON.parse(text) as News;
  const place = placeOf(facts, user);
  if (place.form === "missing" && elsewhere !== null) {
    throw elsewhereError(elsewhere, place.schema);
  }
  const { table } =
    readPath(facts, user).find(({ schema }) => schema === place.schema) ?? {};
  // The owner of another table is not known yet.
  if (trusted === false && place.schema === before.schema && table) {
    const why = writable === false
      ? `${quote(user)} may not; as its owner: grant insert, update on ${
        historyTable(table.schema)
      } to ${quoteIdentifier(user)}`
      : strangerText(table, user);
    throw new RefusedError([
      `Cannot write to ${historyName(table.schema)}: ${why}`,
    ]);
  }
  return place;
}
