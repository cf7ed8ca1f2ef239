/**
 * Keeps a migration to its time: once its function has ended, what it left running has no say any more.
 *
 * @module
 */
import type {
  Kysely,
  KyselyPlugin,
  PluginTransformQueryArgs,
  PluginTransformResultArgs,
  QueryResult,
  RootOperationNode,
  UnknownRow,
} from "kysely";

// deno-lint-ignore no-explicit-any -- migrations are frozen in time: they must not depend on today's table types
type AnyKysely = Kysely<any>;

/**
 * The database as one migration gets it. After `end()` every further statement through it is refused: it would run in the
 * transaction of the next migration, or in none.
 */
export function guardStep(
  db: AnyKysely,
  name: string,
): { readonly db: AnyKysely; end(): void } {
  const guard = new StepGuard(name);
  return { db: db.withPlugin(guard), end: () => void (guard.ended = true) };
}

class StepGuard implements KyselyPlugin {
  ended = false;

  constructor(readonly name: string) {}

  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    if (this.ended) {
      throw new Error(
        `Cannot run a statement of "${this.name}": its function has ended`,
      );
    }
    return node;
  }

  transformResult(
    { result }: PluginTransformResultArgs,
  ): Promise<QueryResult<UnknownRow>> {
    return Promise.resolve(result);
  }
}
