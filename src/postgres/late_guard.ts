/**
 * Notices what a migration sends after its function has ended.
 *
 * @module
 */
import type {
  KyselyPlugin,
  PluginTransformQueryArgs,
  PluginTransformResultArgs,
  QueryResult,
  RootOperationNode,
  UnknownRow,
} from "kysely";

/** Looks at every statement when it is made, before Kysely says that its transaction is over. */
export class LateGuard implements KyselyPlugin {
  constructor(readonly refuseLate: () => void) {}

  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    this.refuseLate();
    return node;
  }

  transformResult(
    { result }: PluginTransformResultArgs,
  ): Promise<QueryResult<UnknownRow>> {
    return Promise.resolve(result);
  }
}
