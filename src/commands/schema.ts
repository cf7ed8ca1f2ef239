import type { OutputConfig } from "../cli/config.ts";
import type { SchemaRequest } from "../cli/schema_values.ts";
import { RefusedError } from "../errors.ts";
import { type Expectation, readExpectation } from "../insight/expectation.ts";
import type { Json } from "../insight/recording.ts";
import { splitIdentity } from "../insight/snapshot.ts";
import type { Migration } from "../plan/migration.ts";
import { markdownLines } from "../report/schema/markdown.ts";
import { mermaidLines } from "../report/schema/mermaid.ts";
import { type SchemaModel, schemaModel } from "../report/schema/model.ts";
import { typeLines } from "../report/schema/types.ts";

const FORMS = {
  markdown: markdownLines,
  mermaid: mermaidLines,
  types: typeLines,
};

/**
 * The schema that the migrations make, line by line; no database is asked.
 *
 * @param recording as `deno task insight` wrote it; `undefined` when nothing was recorded
 * @throws {RefusedError} when it cannot be told
 */
export function schemaLines(
  request: SchemaRequest,
  format: OutputConfig["format"],
  migrations: readonly Pick<Migration, "name" | "checksum">[],
  recording: Uint8Array | undefined,
): readonly string[] {
  const known = recordedSchema(request, migrations, recording);
  const { migration, recordedOn, bodies } = known;
  return format === "json"
    ? [JSON.stringify({ migration, recordedOn, objects: list(bodies) })]
    : FORMS[request.as](schemaModel(migration, bodies));
}

/** The schema that the migrations make. @throws {RefusedError} when it cannot be told */
export function schemaOf(
  request: Pick<SchemaRequest, "to">,
  migrations: readonly Pick<Migration, "name" | "checksum">[],
  recording: Uint8Array | undefined,
): SchemaModel {
  const { migration, bodies } = recordedSchema(request, migrations, recording);
  return schemaModel(migration, bodies);
}

function recordedSchema(
  { to }: Pick<SchemaRequest, "to">,
  migrations: readonly Pick<Migration, "name" | "checksum">[],
  recording: Uint8Array | undefined,
): Pick<Expectation, "migration" | "recordedOn"> & {
  readonly bodies: ReadonlyMap<string, Json>;
} {
  if (recording === undefined) {
    throw new RefusedError([
      'Cannot tell what the migrations make: not recorded; run "deno task insight" and build the program anew',
    ]);
  }
  if (to !== undefined && !migrations.some(({ name }) => name === to)) {
    throw new RefusedError([
      `Cannot tell what "${to}" makes: this program carries no such migration`,
    ]);
  }
  const expectation = readExpectation(recording, {
    migrations: migrations.map(({ name, checksum }) => ({
      name,
      checksum,
      isApplied: true,
    })),
    to,
    // The newest that was recorded.
    major: Infinity,
    grants: false,
  });
  if ("faults" in expectation) throw new RefusedError(expectation.faults);
  const { migration, recordedOn, objects } = expectation;
  return {
    migration,
    recordedOn,
    bodies: expectation.bodies([...objects.keys()]),
  };
}

function list(bodies: ReadonlyMap<string, Json>): readonly unknown[] {
  return [...bodies].sort(([a], [b]) => a < b ? -1 : 1).map(
    ([identity, definition]) => {
      const [type, name] = splitIdentity(identity);
      return { type, name, definition };
    },
  );
}
