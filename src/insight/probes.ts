/**
 * What migrations will demand of the rows that are there, as questions that a database can be asked: from what they were recorded
 * to change in the schema.
 *
 * @module
 */
import type { Finding } from "./findings.ts";
import type { RecordedStep } from "./forecast_values.ts";
import type { Demand, Probe, Probed } from "./probe_values.ts";
import { canonical, type Json } from "./recording.ts";
import { readLines, versionFor } from "./recording_lines.ts";
import { splitIdentity } from "./snapshot.ts";

/**
 * The questions that the steps of a run give rise to.
 *
 * @param recording in UTF-8
 * @param major the version of the server, 18
 */
export function probesOf(
  recording: Uint8Array,
  steps: readonly RecordedStep[],
  major: number,
): Probe[] {
  const states = statesOf(
    recording,
    new Set(steps.map(({ name }) => name)),
    major,
  );
  const changed = new Set<string>();
  let isUnknown = false;
  return steps.flatMap((step) => {
    const { footprint, backfill } = step;
    if (typeof footprint === "string") {
      isUnknown = true;
      return [];
    }
    // What a migration does itself may come before or after.
    for (const one of footprint.statements) {
      const { changes = [], rows = {}, rewrites = [], verb } = one;
      const emptied = verb === "truncate" ? rewrites : [];
      for (const table of [...changes, ...Object.keys(rows), ...emptied]) {
        changed.add(table);
      }
    }
    // Where there are rows, code that reads them may change them.
    for (const table of footprint.readsData ?? []) changed.add(table);
    if (backfill !== undefined) changed.add(backfill);
    const isChanged = (table: string) => isUnknown || changed.has(table);
    return [...states].flatMap(([identity, history]) => {
      const [type, table] = splitIdentity(identity);
      const at = history.findIndex(({ migration }) => migration === step.name);
      if (type !== "table" || at < 1) return [];
      const [was, is] = step.direction === "up" ? [at - 1, at] : [at, at - 1];
      return demandsOf(history[was]!.body, history[is]!.body).map((
        [object, demand],
      ) => ({
        migration: step.name,
        table,
        object: `${table}.${object}`,
        demand,
        changedBefore: isChanged(table) ||
          (demand.kind === "foreign key" && isChanged(demand.references)),
      }));
    });
  });
}

/** What one migration left of an object; `undefined` when that is gone. */
interface State {
  readonly migration: string;
  readonly body: Json | undefined;
}

/** The objects that some of the migrations change, by identity, as each migration left them. */
function statesOf(
  recording: Uint8Array,
  names: ReadonlySet<string>,
  major: number,
): ReadonlyMap<string, readonly State[]> {
  const wanted = new Set<string>();
  let version = major;
  readLines(recording, {
    head: (head) => {
      version = versionFor(head, major);
    },
    entry: ({ migration, identity }) => {
      if (names.has(migration)) wanted.add(identity);
    },
  });
  const states = new Map<string, State[]>();
  readLines(recording, {
    entry: (entry) => {
      const { identity, migration, change } = entry;
      if (!wanted.has(identity)) return;
      if (entry.version !== undefined && entry.version !== version) return;
      const known = states.get(identity) ?? [];
      const isSame = known.at(-1)?.migration === migration;
      const others = isSame ? known.slice(0, -1) : known;
      states.set(identity, [...others, { migration, body: change.body() }]);
    },
  });
  return states;
}

/** What is demanded of the rows of a table after a change, and was not before; each with its name. */
function demandsOf(
  before: Json | undefined,
  after: Json | undefined,
): [string, Demand][] {
  // A table that is new has no rows.
  if (before === undefined || after === undefined) return [];
  const [was, is] = [before, after].map((body) => ({
    columns: members(body, "columns"),
    constraints: members(body, "constraints"),
    indexes: members(body, "indexes"),
  })) as [Parts, Parts];
  return [
    ...Object.entries(is.columns).flatMap(([name, column]) => {
      const known = was.columns[name];
      return column.notNull === true && known !== undefined &&
          known.notNull !== true
        ? [[name, { kind: "not null", column: name }] as [string, Demand]]
        : [];
    }),
    ...Object.entries(is.constraints).flatMap(([name, constraint]) => {
      const known = was.constraints[name];
      const isNew = known === undefined ||
        DECISIVE.some((part) =>
          canonical(known[part]) !== canonical(constraint[part])
        );
      const demand = isNew ? constraintDemand(constraint) : undefined;
      return demand === undefined ? [] : [[name, demand] as [string, Demand]];
    }),
    ...Object.entries(is.indexes).flatMap(([name, { definition }]) =>
      was.indexes[name]?.definition !== definition && isUnique(definition)
        ? [[name, { kind: "unique", definition }] as [string, Demand]]
        : []
    ),
  ];
}

/** What of a constraint decides which rows satisfy it; the rest is how it is enforced. */
const DECISIVE = [
  "type",
  "columns",
  "expression",
  "noInherit",
  "notValid",
  "enforced",
  "references",
  "referencedColumns",
  "match",
  "index",
] as const;

type Member = Readonly<Record<string, Json>>;
type Members = Readonly<Record<string, Member>>;
type Parts = Readonly<
  Record<"columns" | "constraints" | "indexes", Members>
>;

function members(body: Json, key: string): Members {
  return ((body as Readonly<Record<string, Json>>)[key] ?? {}) as Members;
}

function isUnique(definition: Json | undefined): definition is string {
  return typeof definition === "string" &&
    definition.startsWith("CREATE UNIQUE ");
}

function constraintDemand(constraint: Member): Demand | undefined {
  const { type, notValid, enforced, expression } = constraint;
  if (notValid === true || enforced === false) return undefined;
  switch (type) {
    case "check":
      return {
        kind: "check",
        expression: String(expression),
        noInherit: constraint.noInherit === true,
      };
    case "primary key":
    case "unique": {
      const { definition } = constraint.index as Member;
      return isUnique(definition) ? { kind: "unique", definition } : undefined;
    }
    case "foreign key":
      return {
        kind: "foreign key",
        columns: constraint.columns as readonly string[],
        references: String(constraint.references),
        referencedColumns: constraint.referencedColumns as readonly string[],
        full: constraint.match === "full",
      };
    default:
      return undefined;
  }
}

/** What is to be said of an answer; nothing where all is well, or nobody knows. */
export function probeFinding(
  { object, demand, changedBefore, ...answer }: Probed,
): Finding | undefined {
  if (answer.outcome !== "fails") return undefined;
  return {
    rule: "fails-with-rows",
    level: changedBefore ? "warning" : "error",
    object,
    message: changedBefore
      ? `${
        VIOLATIONS[demand.kind]
      } now; the run changes rows before, or may do so`
      : `${VIOLATIONS[demand.kind]}: it fails with the rows that are there now`,
    advice: `change them first; to see some: ${answer.query}`,
  };
}

const VIOLATIONS: Readonly<Record<Demand["kind"], string>> = {
  "not null": "there are rows where it is null",
  "check": "there are rows that do not satisfy it",
  "unique": "there are rows that are not unique by it",
  "foreign key": "there are rows that refer to nothing",
};
